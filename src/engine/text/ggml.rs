//! The tokenizer that the metadata of a GGUF file describe, as the `tokenizer.json` that Qwen3 has:
//! byte-level BPE after NFC and Qwen2's split into words. Knows the lists, not the file that they
//! come from.

use super::{TextError, Tokenizer};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// How Qwen2 and Qwen3 cut text into words, within which pairs are merged.
const SPLIT: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Types of tokens.
const NORMAL: u64 = 1;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
/// Rows of the embedding table that pad it and stand for no text.
const UNUSED: u64 = 5;
/// Tokens that end the model's turn whatever the file says of them, as other programs that run GGUF
/// files have it: the metadata have room for one id, where Qwen3's `generation_config.json` has
/// two.
const ENDS: &[&str] = &["<|im_end|>", "<|endoftext|>"];

/// The lists under `tokenizer.ggml`.
pub struct GgmlVocabulary<'a> {
    /// `model`: the algorithm.
    pub model: &'a str,
    /// `pre`: how text is cut into words.
    pub pre: &'a str,
    /// `tokens`, by id.
    pub tokens: Vec<&'a str>,
    /// `token_type`, by id.
    pub types: Vec<u64>,
    /// `merges`: two tokens and a blank between them.
    pub merges: Vec<&'a str>,
}

impl GgmlVocabulary<'_> {
    /// Makes the tokenizer.
    ///
    /// # Errors
    /// Another algorithm than Qwen3's, or lists that do not fit together; each names the key.
    pub fn tokenizer(&self) -> Result<Tokenizer, TextError> {
        Tokenizer::from_value("tokenizer.ggml", self.json()?)
    }

    /// Returns the ids of the tokens that end a turn by their texts, whatever type the file
    /// declares for them.
    pub fn ends(&self) -> Vec<u32> {
        let tokens = self.tokens.iter().zip(0u32..);
        tokens.filter(|(text, _)| ENDS.contains(text)).map(|(_, id)| id).collect()
    }

    /// Makes a `tokenizer.json`.
    fn json(&self) -> Result<Map<String, Value>, TextError> {
        if self.model != "gpt2" {
            return wrong("tokenizer.ggml.model", format!("`{}` is not supported; `gpt2` is", self.model));
        }
        if self.pre != "qwen2" {
            let hint = "`qwen2` is (a tokenizer.json beside the file would be used instead)";
            return wrong("tokenizer.ggml.pre", format!("`{}` is not supported; {hint}", self.pre));
        }
        if self.types.len() != self.tokens.len() {
            let reason = format!("there are {} types for {} tokens", self.types.len(), self.tokens.len());
            return wrong("tokenizer.ggml.token_type", reason);
        }
        let (mut vocabulary, mut added, mut seen) = (Map::new(), Vec::new(), HashSet::new());
        for ((&text, &kind), id) in self.tokens.iter().zip(&self.types).zip(0u32..) {
            let kind = if ENDS.contains(&text) { CONTROL } else { kind };
            if kind != UNUSED && !seen.insert(text) {
                return wrong("tokenizer.ggml.tokens", format!("the token `{text}` occurs twice"));
            }
            match kind {
                NORMAL => _ = vocabulary.insert(text.to_string(), json!(id)),
                CONTROL | USER_DEFINED => {
                    added.push(json!({"id": id, "content": text, "special": kind == CONTROL}));
                }
                UNUSED => {}
                _ => return wrong("tokenizer.ggml.token_type", format!("the token `{text}` has the type {kind}")),
            }
        }
        let merges: Result<Vec<Value>, TextError> = self.merges.iter().map(|merge| pair(merge)).collect();
        let fields = json!({
            "version": "1.0",
            "added_tokens": added,
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            ]},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": merges?},
        });
        let Value::Object(fields) = fields else { unreachable!("an object was just made") };
        Ok(fields)
    }
}

fn pair(merge: &str) -> Result<Value, TextError> {
    match merge.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok(json!([left, right]))
        }
        _ => wrong("tokenizer.ggml.merges", format!("`{merge}` is not two tokens with a blank between them")),
    }
}

fn wrong<T>(file: &'static str, reason: String) -> Result<T, TextError> {
    Err(TextError::File { file, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> GgmlVocabulary<'static> {
        GgmlVocabulary {
            model: "gpt2",
            pre: "qwen2",
            tokens: vec!["a", "b", "Ġ", "ab", "Ġab", "<|im_end|>", "<think>", "[PAD7]", "[PAD7]"],
            types: vec![1, 1, 1, 1, 1, 3, 4, 5, 5],
            merges: vec!["a b", "Ġ ab"],
        }
    }

    /// Checks the message about a vocabulary with one change.
    fn check(change: impl Fn(&mut GgmlVocabulary<'_>), expected: &str) {
        let mut vocabulary = small();
        change(&mut vocabulary);
        assert_eq!(vocabulary.tokenizer().err().unwrap().to_string(), expected);
    }

    #[test]
    fn merges_and_kinds_of_tokens_are_kept() {
        let tokenizer = small().tokenizer().unwrap();
        assert_eq!(tokenizer.encode_data("ab abb").unwrap(), [3, 4, 1]);
        assert_eq!(tokenizer.encode_raw("ab<|im_end|>a<think>").unwrap(), [3, 5, 0, 6]);
        assert_eq!(tokenizer.encode_data("<|im_end|>ab").unwrap(), [3]);
        assert_eq!(tokenizer.decode(&[3, 4, 5, 6, 7]), "ab ab<think>");
        assert_eq!(tokenizer.id_bound(), 7);
        assert_eq!(small().ends(), [5]);
        let mut user_defined = small();
        user_defined.types[5] = 4;
        assert_eq!(user_defined.ends(), [5]);
        assert_eq!(user_defined.tokenizer().unwrap().decode(&[3, 5, 6]), "ab<think>");
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        check(|v| v.model = "llama", "tokenizer.ggml.model: `llama` is not supported; `gpt2` is");
        check(
            |v| v.pre = "default",
            "tokenizer.ggml.pre: `default` is not supported; `qwen2` is (a tokenizer.json beside \
            the file would be used instead)",
        );
        check(|v| v.types.truncate(3), "tokenizer.ggml.token_type: there are 3 types for 9 tokens");
        check(|v| v.types[1] = 6, "tokenizer.ggml.token_type: the token `b` has the type 6");
        check(|v| v.tokens[1] = "a", "tokenizer.ggml.tokens: the token `a` occurs twice");
        check(|v| v.merges[0] = "ab", "tokenizer.ggml.merges: `ab` is not two tokens with a blank between them");
        check(|v| v.merges[0] = "a c", "tokenizer.ggml: Token `c` out of vocabulary");
    }
}
