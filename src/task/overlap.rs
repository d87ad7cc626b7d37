//! Finds rows that two data sets share, since prompts must not be tested on queries that they were
//! optimized on.

use super::compare::normalised;
use super::dataset::Query;
use std::collections::HashMap;

/// One row that is in both data sets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedRow<'a> {
    /// The row in the first data set.
    pub first: &'a Query,
    /// The row in the second data set.
    pub second: &'a Query,
}

/// Returns the rows of `second` that are also in `first`, in order: those with the same normalized
/// text, and if `ids` says that the two sets share their numbering, those with the same id.
pub fn shared_rows<'a>(
    first: impl IntoIterator<Item = &'a Query>,
    second: impl IntoIterator<Item = &'a Query>,
    ids: bool,
) -> Vec<SharedRow<'a>> {
    let (mut by_text, mut by_id) = (HashMap::new(), HashMap::new());
    for query in first {
        by_text.entry(normalised(&query.question)).or_insert(query);
        by_id.entry(query.id.as_str()).or_insert(query);
    }
    let find = |query: &Query| {
        let by_id = by_id.get(query.id.as_str()).filter(|_| ids);
        by_text.get(&normalised(&query.question)).or(by_id).copied()
    };
    second.into_iter().filter_map(|second| Some(SharedRow { first: find(second)?, second })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(first: &[(&str, &str)], second: &[(&str, &str)], ids: bool, expected: &[(&str, &str)]) {
        let queries = |rows: &[(&str, &str)]| -> Vec<Query> {
            let query = |(at, (id, text)): (usize, &(&str, &str))| Query {
                id: (*id).into(),
                question: (*text).into(),
                line: at + 1,
            };
            rows.iter().enumerate().map(query).collect()
        };
        let (first, second) = (queries(first), queries(second));
        let shared = shared_rows(&first, &second, ids);
        let shared: Vec<_> = shared.iter().map(|row| (row.first.id.as_str(), row.second.id.as_str())).collect();
        assert_eq!(shared, expected);
    }

    #[test]
    fn an_equal_text_is_shared_whatever_its_id() {
        check(&[("1", "How many?"), ("2", "Why?")], &[("7", " how  MANY? "), ("8", "When?")], false, &[("1", "7")]);
    }

    #[test]
    fn normal_forms_and_characters_without_width_hide_no_shared_row() {
        let (composed, decomposed) = ("O\u{f9} est le caf\u{e9} ?", "Ou\u{300} est le\u{200b} cafe\u{301} ?\u{feff}");
        check(&[("1", composed)], &[("7", decomposed)], false, &[("1", "7")]);
        check(&[("1", decomposed)], &[("7", composed)], false, &[("1", "7")]);
        check(&[("1", composed)], &[("7", "Ou est le cafe ?")], false, &[]);
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric(
            first in proptest::collection::vec("[aAé\u{300}\u{200b} ]{1,4}", 1..5),
            second in proptest::collection::vec("[aAé\u{300}\u{200b} ]{1,4}", 1..5),
        ) {
            let queries = |texts: &[String]| -> Vec<Query> {
                let query = |(at, text): (usize, &String)| Query {
                    id: at.to_string(),
                    question: text.as_str().into(),
                    line: at + 1,
                };
                texts.iter().enumerate().map(query).collect()
            };
            let (first, second) = (queries(&first), queries(&second));
            let texts = |shared: Vec<SharedRow<'_>>| -> std::collections::BTreeSet<String> {
                shared.iter().flat_map(|row| [row.first, row.second]).map(|query| normalised(&query.question)).collect()
            };
            prop_assert_eq!(texts(shared_rows(&first, &second, false)), texts(shared_rows(&second, &first, false)));
        }
    }

    #[test]
    fn ids_count_only_where_they_mean_the_same() {
        let (first, second) = ([("1", "a"), ("2", "b")], [("2", "c"), ("3", "d")]);
        check(&first, &second, false, &[]);
        check(&first, &second, true, &[("2", "2")]);
    }
}
