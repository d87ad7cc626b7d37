//! A tokenizer without its added tokens, and beside it the added tokens (`<|im_end|>`, `<think>`
//! and their like, called control tokens here): the caller decides which text becomes one, never
//! the text itself.

use super::{SpecialTokens, TextError, json_object};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A token outside the model's merges, with Hugging Face's field names.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AddedToken {
    /// The id; 0 where the file gives none.
    #[serde(default)]
    pub(super) id: u32,
    /// The text.
    pub(super) content: String,
    /// Whether decoding leaves it out.
    #[serde(default)]
    pub(super) special: bool,
    /// Whether it is a token only where no letter or digit touches it.
    #[serde(default)]
    pub(super) single_word: bool,
    /// Whether it takes the whitespace before it with it.
    #[serde(default)]
    pub(super) lstrip: bool,
    /// Whether it takes the whitespace after it with it.
    #[serde(default)]
    pub(super) rstrip: bool,
}

impl AddedToken {
    /// Returns a special token without flags and without an id.
    pub(super) fn special(content: String) -> Self {
        Self { id: 0, content, special: true, single_word: false, lstrip: false, rstrip: false }
    }
}

/// A piece of text that was searched for control tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Control(u32),
}

/// The text of a control token in a longer text.
struct Match {
    start: usize,
    end: usize,
    /// The token, as an index into `Tokenizer::added`.
    index: usize,
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
    /// Tokens that `tokenizer.json` lacks and other files name, as lines for an identity.
    further: Vec<String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// Text that is not a tokenizer.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TextError> {
        Self::from_value("tokenizer.json", json_object("tokenizer.json", bytes)?)
    }

    /// Reads a `tokenizer.json` that is parsed already; `file` is its name in messages.
    pub(super) fn from_value(file: &'static str, mut fields: Map<String, Value>) -> Result<Self, TextError> {
        let wrong = |reason: String| TextError::File { file, reason };
        let added =
            fields.insert("added_tokens".to_string(), Value::Array(Vec::new())).unwrap_or(Value::Array(Vec::new()));
        // Settings of the program that saved the file, not of the model.
        fields.insert("truncation".to_string(), Value::Null);
        fields.insert("padding".to_string(), Value::Null);
        fields.insert("post_processor".to_string(), Value::Null);
        if let Some(Value::Object(model)) = fields.get_mut("model") {
            model.insert("dropout".to_string(), Value::Null);
        }
        if marks_first_word(fields.get("pre_tokenizer").unwrap_or(&Value::Null)) {
            let reason = "`pre_tokenizer`: a `Metaspace` with the scheme `first` (a SentencePiece vocabulary) is not \
                supported";
            return Err(wrong(reason.to_string()));
        }
        let added: Vec<AddedToken> =
            serde_json::from_value(added).map_err(|error| wrong(format!("`added_tokens`: {error}")))?;
        let plain: tokenizers::Tokenizer =
            serde_json::from_value(Value::Object(fields)).map_err(|error| wrong(error.to_string()))?;
        Ok(Self::new(plain, added))
    }

    fn new(plain: tokenizers::Tokenizer, mut added: Vec<AddedToken>) -> Self {
        added.retain(|token| !token.content.is_empty());
        added.sort_by(|a, b| b.content.len().cmp(&a.content.len()).then(a.id.cmp(&b.id)));
        let by_id = added.iter().enumerate().map(|(index, token)| (token.id, index)).collect();
        let mut starts = Box::new([false; 256]);
        for token in &added {
            starts[token.content.as_bytes()[0] as usize] = true;
        }
        let ids = plain.get_vocab(false).into_values().chain(added.iter().map(|token| token.id));
        let id_bound = ids.max().map_or(0, |id| id.saturating_add(1));
        Self { plain, added, by_id, starts, id_bound, further: Vec::new() }
    }

    /// Adds the tokens that other files name and that `tokenizer.json` lacks, as transformers does.
    /// A token that the vocabulary has keeps its id. Any other gets the id that the files declare,
    /// or, where they declare none or a taken one, the next free id. A token without an id is left
    /// out where the next free id is not below `vocab_size`, because the model has no row for it.
    #[must_use]
    pub fn with_tokens(self, tokens: &SpecialTokens, vocab_size: usize) -> Self {
        let mut vocabulary = self.plain.get_vocab(false);
        vocabulary.extend(self.added.iter().map(|token| (token.content.clone(), token.id)));
        let mut taken: std::collections::HashSet<u32> = vocabulary.values().copied().collect();
        let (mut added, mut next) = (self.added, self.id_bound);
        let mut further = self.further;
        let declared = tokens.declared().iter().map(|token| (token, Some(token.id)));
        let bare = tokens.bare().iter().map(|token| (token, None));
        for (token, id) in declared.chain(bare) {
            if token.content.is_empty() || added.iter().any(|known| known.content == token.content) {
                continue;
            }
            let known = vocabulary.get(&token.content).copied();
            let id = match known.or(id.filter(|id| !taken.contains(id))) {
                Some(id) => id,
                None if next as usize >= vocab_size => continue,
                None => next,
            };
            taken.insert(id);
            next = next.max(id.saturating_add(1));
            let AddedToken { content, special, single_word, lstrip, rstrip, .. } = token;
            further.push(format!("{id} {special} {single_word} {lstrip} {rstrip} {content}"));
            added.push(AddedToken { id, ..token.clone() });
        }
        Self { further, ..Self::new(self.plain, added) }
    }

    /// Returns one line for each token that `tokenizer.json` lacks and other files name: all of it
    /// that can change a token id.
    pub(crate) fn further_tokens(&self) -> Vec<String> {
        self.further.clone()
    }

    /// Returns the id of a token by its text.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        let added = self.added.iter().find(|added| added.content == token);
        added.map(|added| added.id).or_else(|| self.plain.token_to_id(token))
    }

    /// Returns one more than the largest id, added tokens included.
    pub fn id_bound(&self) -> u32 {
        self.id_bound
    }

    /// Returns the ids of plain text: whatever it holds, no control token comes out.
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

    /// Returns the ids of text in which the texts of control tokens are control tokens.
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

    /// Returns the text of generated ids. Special tokens and ids that the tokenizer lacks (a padded
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

    /// Splits text at the control tokens in it: leftmost first, longest first, each with the
    /// whitespace that it takes, as Hugging Face does.
    pub(super) fn pieces<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut from = 0;
        for Match { start, end, index } in self.matches(text) {
            let token = &self.added[index];
            if start < from || (token.single_word && !is_single_word(text, start, end)) {
                continue;
            }
            let before = &text[from..start];
            let before = if token.lstrip { before.trim_end() } else { before };
            if !before.is_empty() {
                pieces.push(Piece::Text(before));
            }
            pieces.push(Piece::Control(token.id));
            let after = &text[end..];
            from = if token.rstrip { text.len() - after.trim_start().len() } else { end };
        }
        if from < text.len() {
            pieces.push(Piece::Text(&text[from..]));
        }
        pieces
    }

    /// Returns the byte ranges of the texts of control tokens in `text`, in order; with
    /// `special_only`, of those marked special.
    pub(super) fn control_ranges(&self, text: &str, special_only: bool) -> Vec<(usize, usize)> {
        let wanted = |found: &Match| !special_only || self.added[found.index].special;
        self.matches(text).into_iter().filter(wanted).map(|found| (found.start, found.end)).collect()
    }

    /// Returns how many bytes at the start of `text` could go on with a control token that begins
    /// before it; all of a text that could be the middle of one.
    pub(super) fn dangling_start(&self, text: &str) -> usize {
        let common = |tail: &str| match () {
            () if text.starts_with(tail) => tail.len(),
            () if tail.starts_with(text) => text.len(),
            () => 0,
        };
        self.parts().map(|(_, tail)| common(tail)).max().unwrap_or(0)
    }

    /// Returns how many bytes at the end of `text` could begin a control token that ends after it.
    pub(super) fn dangling_end(&self, text: &str) -> usize {
        self.parts().filter(|(head, _)| text.ends_with(head)).map(|(head, _)| head.len()).max().unwrap_or(0)
    }

    /// Returns every way to cut a control token in two.
    fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.added.iter().flat_map(|token| {
            let cuts = token.content.char_indices().map(|(at, _)| at).filter(|&at| at > 0);
            cuts.map(|at| token.content.split_at(at))
        })
    }

    /// Finds the texts of control tokens, whatever stands around them.
    fn matches(&self, text: &str) -> Vec<Match> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        let mut start = 0;
        while start < bytes.len() {
            let hit = if self.starts[bytes[start] as usize] {
                self.added.iter().position(|token| bytes[start..].starts_with(token.content.as_bytes()))
            } else {
                None
            };
            match hit {
                Some(index) => {
                    let end = start + self.added[index].content.len();
                    found.push(Match { start, end, index });
                    start = end;
                }
                None => start += 1,
            }
        }
        found
    }
}

/// Whether a pre-tokenizer marks the first word of a whole text and no other beginning. Text is
/// tokenized here piece by piece, so that every piece would look like a first word.
fn marks_first_word(pre_tokenizer: &Value) -> bool {
    match &pre_tokenizer["pretokenizers"] {
        Value::Array(sequence) => sequence.iter().any(marks_first_word),
        _ => pre_tokenizer["type"] == "Metaspace" && pre_tokenizer["prepend_scheme"] == "first",
    }
}

/// Whether no letter, digit or underscore touches `text[start..end]`.
fn is_single_word(text: &str, start: usize, end: usize) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    !text[..start].ends_with(is_word) && !text[end..].starts_with(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_the_first_word_alone_is_refused() {
        let read = |scheme: &str| {
            let metaspace = serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme});
            let json = serde_json::json!({
                "version": "1.0", "added_tokens": [], "normalizer": null, "decoder": null,
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [metaspace]},
                "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
            });
            Tokenizer::from_json(json.to_string().as_bytes()).err().map(|error| error.to_string())
        };
        assert_eq!(read("always"), None);
        let expected = "tokenizer.json: `pre_tokenizer`: a `Metaspace` with the scheme `first` (a SentencePiece \
            vocabulary) is not supported";
        assert_eq!(read("first").as_deref(), Some(expected));
    }
}
