//! The order of the rows that make queries and keys. Files of Llama have the two numbers of a
//! rotated pair side by side; Hugging Face has the first numbers of all pairs of a head before the
//! second ones. Nobody else reorders rows.

use super::metadata::Metadata;
use crate::weights::WeightsError;

/// The heads of a file whose rows are reordered.
#[derive(Clone, Copy)]
pub(super) struct Reordered {
    queries: usize,
    keys: usize,
}

impl Reordered {
    /// Reads whether a file's rows are reordered.
    ///
    /// # Errors
    /// Numbers of heads that are none.
    pub(super) fn read(metadata: Metadata<'_>) -> Result<Option<Self>, WeightsError> {
        if metadata.text("general.architecture")? != Some("llama") {
            return Ok(None);
        }
        let Some(queries) = metadata.whole("llama.attention.head_count")? else { return Ok(None) };
        let keys = metadata.whole("llama.attention.head_count_kv")?.unwrap_or(queries);
        Ok(Some(Self { queries: queries as usize, keys: keys as usize }))
    }

    /// Returns the order of the rows of a tensor by its GGUF name; `None` where they are in Hugging
    /// Face's order.
    ///
    /// # Errors
    /// Rows that are not made of heads.
    pub(super) fn rows(self, name: &str, rows: usize) -> Result<Option<RowOrder>, String> {
        let module = name.strip_prefix("blk.").and_then(|name| name.split('.').nth(1));
        let heads = match module {
            Some("attn_q") => self.queries,
            Some("attn_k") => self.keys,
            _ => return Ok(None),
        };
        match rows.checked_div(heads) {
            Some(d) if d * heads == rows && d % 2 == 0 => Ok(Some(RowOrder { d })),
            _ => Err(format!("its {rows} rows are not those of {heads} heads of an even size")),
        }
    }
}

/// The order of rows in heads of one size.
#[derive(Clone, Copy)]
pub(super) struct RowOrder {
    d: usize,
}

impl RowOrder {
    /// Returns where the file has the row that Hugging Face has at `row`.
    pub(super) fn place(self, row: usize) -> usize {
        let (head, within) = (row / self.d, row % self.d);
        let (second, pair) = (within / (self.d / 2), within % (self.d / 2));
        head * self.d + 2 * pair + second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_taken_apart_in_every_head_of_queries_and_keys() {
        let heads = Reordered { queries: 2, keys: 1 };
        let order = |name: &str, rows: usize| {
            heads.rows(name, rows).map(|order| order.map(|order| (0..rows).map(|row| order.place(row)).collect()))
        };
        let expected: Vec<usize> = vec![0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11];
        assert_eq!(order("blk.3.attn_q.weight", 12), Ok(Some(expected.clone())));
        assert_eq!(order("blk.3.attn_q.bias", 12), Ok(Some(expected)));
        assert_eq!(order("blk.0.attn_k.weight", 4), Ok(Some(vec![0, 2, 1, 3])));
        for name in ["blk.0.attn_v.weight", "blk.0.attn_output.weight", "attn_q.weight", "token_embd.weight"] {
            assert_eq!(order(name, 12), Ok(None), "{name}");
        }
        assert!(order("blk.0.attn_q.weight", 7).is_err() && order("blk.0.attn_q.weight", 6).is_err());
        assert!(Reordered { queries: 0, keys: 0 }.rows("blk.0.attn_q.weight", 12).is_err());
    }
}
