//! The tokenizer without its control tokens, and beside it the control tokens: which text becomes
//! one is decided here by the caller, never by the text itself.

use super::TextError;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// A token outside the model's merges: `<|im_end|>`, `<think>` and their like.
#[derive(Clone, Debug, Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
}

/// A piece of text that was searched for control tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Control(u32),
}

/// A Hugging Face tokenizer (`tokenizer.json`).
pub struct Tokenizer {
    /// The tokenizer without added tokens: it cannot produce one.
    plain: tokenizers::Tokenizer,
    /// Longest first, so that the first match is the longest.
    added: Vec<AddedToken>,
    by_id: HashMap<u32, usize>,
    /// Whether an added token starts with this byte.
    starts: Box<[bool; 256]>,
    id_bound: u32,
}

impl Tokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// Text that is not a tokenizer, or added tokens of a kind that Qwen3 does not use.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TextError> {
        let json = serde_json::from_slice(bytes)
            .map_err(|error| TextError::File { file: "tokenizer.json", reason: error.to_string() })?;
        Self::from_value("tokenizer.json", json)
    }

    /// The same from JSON that is parsed already; `file` is what messages name.
    pub(super) fn from_value(file: &'static str, mut json: Value) -> Result<Self, TextError> {
        let wrong = |reason: String| TextError::File { file, reason };
        let Some(fields) = json.as_object_mut() else { return Err(wrong("a JSON object is called for".to_string())) };
        let added =
            fields.insert("added_tokens".to_string(), Value::Array(Vec::new())).unwrap_or(Value::Array(Vec::new()));
        // Settings of the program that saved the file, not of the model.
        fields.insert("truncation".to_string(), Value::Null);
        fields.insert("padding".to_string(), Value::Null);
        fields.insert("post_processor".to_string(), Value::Null);
        if let Some(Value::Object(model)) = fields.get_mut("model") {
            model.insert("dropout".to_string(), Value::Null);
        }
        let added: Vec<AddedToken> =
            serde_json::from_value(added).map_err(|error| wrong(format!("`added_tokens`: {error}")))?;
        let plain: tokenizers::Tokenizer = serde_json::from_value(json).map_err(|error| wrong(error.to_string()))?;
        Self::new(plain, added)
    }

    fn new(plain: tokenizers::Tokenizer, mut added: Vec<AddedToken>) -> Result<Self, TextError> {
        for token in &added {
            let flags = [("single_word", token.single_word), ("lstrip", token.lstrip), ("rstrip", token.rstrip)];
            if let Some((flag, _)) = flags.into_iter().find(|(_, set)| *set) {
                return Err(TextError::AddedToken { token: token.content.clone(), flag });
            }
        }
        added.retain(|token| !token.content.is_empty());
        added.sort_by(|a, b| b.content.len().cmp(&a.content.len()).then(a.id.cmp(&b.id)));
        let by_id = added.iter().enumerate().map(|(index, token)| (token.id, index)).collect();
        let mut starts = Box::new([false; 256]);
        for token in &added {
            starts[token.content.as_bytes()[0] as usize] = true;
        }
        let ids = plain.get_vocab(false).into_values().chain(added.iter().map(|token| token.id));
        let id_bound = ids.max().map_or(0, |id| id.saturating_add(1));
        Ok(Self { plain, added, by_id, starts, id_bound })
    }

    /// One more than the largest id, added tokens included.
    pub fn id_bound(&self) -> u32 {
        self.id_bound
    }

    /// The ids of plain text: whatever it holds, no control token comes out.
    ///
    /// # Errors
    /// A tokenizer that makes a control token of plain text all the same.
    pub fn encode_data(&self, text: &str) -> Result<Vec<u32>, TextError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let encoding = self
            .plain
            .encode_fast(text, false)
            .map_err(|error| TextError::File { file: "tokenizer.json", reason: error.to_string() })?;
        let ids = encoding.get_ids().to_vec();
        match ids.iter().find_map(|id| self.by_id.get(id)) {
            Some(&index) => Err(TextError::ControlToken { token: self.added[index].content.clone() }),
            None => Ok(ids),
        }
    }

    /// The ids of text in which the texts of control tokens are control tokens.
    ///
    /// # Errors
    /// As [`encode_data`](Self::encode_data).
    pub fn encode_raw(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        for piece in self.pieces(text) {
            match piece {
                Piece::Control(id) => ids.push(id),
                Piece::Text(text) => ids.extend(self.encode_data(text)?),
            }
        }
        Ok(ids)
    }

    /// The text of generated ids. Special tokens and ids that the tokenizer lacks (a padded
    /// vocabulary) give nothing.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut run = Vec::new();
        for &id in ids {
            match self.by_id.get(&id).map(|&index| &self.added[index]) {
                None => run.push(id),
                Some(token) if token.special => {}
                Some(token) => {
                    self.decode_run(&mut run, &mut text);
                    text.push_str(&token.content);
                }
            }
        }
        self.decode_run(&mut run, &mut text);
        text
    }

    fn decode_run(&self, run: &mut Vec<u32>, text: &mut String) {
        // The decoder of a byte-level tokenizer cannot fail: bytes that are not UTF-8 become
        // U+FFFD.
        text.push_str(&self.plain.decode(run, false).unwrap_or_default());
        run.clear();
    }

    /// Splits text at the control tokens in it: leftmost first, longest first, as Hugging Face
    /// does.
    pub(super) fn pieces<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut from = 0;
        for (start, end, index) in self.matches(text) {
            if from < start {
                pieces.push(Piece::Text(&text[from..start]));
            }
            pieces.push(Piece::Control(self.added[index].id));
            from = end;
        }
        if from < text.len() {
            pieces.push(Piece::Text(&text[from..]));
        }
        pieces
    }

    /// Byte ranges of the control tokens in `text`, in order; with `special_only`, of those marked
    /// special.
    pub(super) fn control_ranges(&self, text: &str, special_only: bool) -> Vec<(usize, usize)> {
        let wanted = |index: usize| !special_only || self.added[index].special;
        self.matches(text).into_iter().filter(|m| wanted(m.2)).map(|(start, end, _)| (start, end)).collect()
    }

    /// Bytes at the start of `text` that could go on with a control token begun before it; all of a
    /// text that could be the middle of one.
    pub(super) fn dangling_start(&self, text: &str) -> usize {
        let common = |tail: &str| match () {
            () if text.starts_with(tail) => tail.len(),
            () if tail.starts_with(text) => text.len(),
            () => 0,
        };
        self.parts().map(|(_, tail)| common(tail)).max().unwrap_or(0)
    }

    /// Bytes at the end of `text` that could begin a control token finished after it.
    pub(super) fn dangling_end(&self, text: &str) -> usize {
        self.parts().filter(|(head, _)| text.ends_with(head)).map(|(head, _)| head.len()).max().unwrap_or(0)
    }

    /// Every way to cut a control token in two.
    fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.added.iter().flat_map(|token| {
            let cuts = token.content.char_indices().map(|(at, _)| at).filter(|&at| at > 0);
            cuts.map(|at| token.content.split_at(at))
        })
    }

    fn matches(&self, text: &str) -> Vec<(usize, usize, usize)> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let hit = if self.starts[bytes[at] as usize] {
                self.added.iter().position(|token| bytes[at..].starts_with(token.content.as_bytes()))
            } else {
                None
            };
            match hit {
                Some(index) => {
                    let end = at + self.added[index].content.len();
                    found.push((at, end, index));
                    at = end;
                }
                None => at += 1,
            }
        }
        found
    }
}
