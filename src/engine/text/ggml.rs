//! The tokenizer that the metadata of a GGUF file describe, as the `tokenizer.json` of the model it
//! was made from: byte-level BPE after the split into words that the metadata name. Knows the
//! lists, not the file that they come from.

use super::{TextError, Tokenizer};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// How text is cut into words, within which pairs are merged.
struct Words {
    /// The name in the metadata.
    pre: &'static str,
    /// Whether text is brought into NFC first.
    nfc: bool,
    cut: Cut,
    /// Whether a word that is a token stays one, whatever the merges say.
    ignore_merges: bool,
}

/// The rule by which text is cut.
enum Cut {
    /// A word is what this regular expression matches.
    Regex(&'static str),
    /// Every digit is a word, and the rest is cut by GPT-2's expression, which is built in.
    DigitsAndGpt2,
}

const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// As Qwen2, but up to three digits are one word.
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// Every way that is known.
const WORDS: &[Words] = &[
    Words { pre: "qwen2", nfc: true, cut: Cut::Regex(QWEN2), ignore_merges: false },
    Words { pre: "deepseek-r1-qwen", nfc: true, cut: Cut::Regex(QWEN2), ignore_merges: false },
    Words { pre: "llama-bpe", nfc: false, cut: Cut::Regex(LLAMA3), ignore_merges: true },
    Words { pre: "smollm", nfc: false, cut: Cut::DigitsAndGpt2, ignore_merges: false },
];

impl Words {
    /// Finds a way by its name in the metadata.
    fn named(pre: &str) -> Result<&'static Self, TextError> {
        WORDS.iter().find(|words| words.pre == pre).ok_or_else(|| {
            let known: Vec<String> = WORDS.iter().map(|words| format!("`{}`", words.pre)).collect();
            let (last, others) = known.split_last().expect("some are known");
            let hint = "(a tokenizer.json beside the file would be used instead)";
            let reason = format!("`{pre}` is not supported; {} and {last} are {hint}", others.join(", "));
            TextError::File { file: "tokenizer.ggml.pre", reason }
        })
    }

    /// Writes the pre-tokenizers of `tokenizer.json`.
    fn pre_tokenizers(&self) -> Value {
        let bytes = |use_regex: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": use_regex,
            })
        };
        match self.cut {
            Cut::Regex(split) => json!([
                {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": false},
                bytes(false),
            ]),
            Cut::DigitsAndGpt2 => json!([{"type": "Digits", "individual_digits": true}, bytes(true)]),
        }
    }
}

/// Types of tokens.
const NORMAL: u64 = 1;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
/// Rows of the embedding table that pad it and stand for no text.
const UNUSED: u64 = 5;
/// Tokens that end the model's turn whatever the file says of them, as other programs that run GGUF
/// files have it: the metadata have room for one id, where the `generation_config.json` of Qwen3
/// and of Llama 3 have two or three.
const ENDS: &[&str] =
    &["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>"];

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
    /// Another algorithm than byte-level BPE, or lists that do not fit together; each names the
    /// key.
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
        match self.model {
            "gpt2" => {}
            "llama" => {
                let hint = "put the model's own tokenizer.json beside the file";
                return wrong(
                    "tokenizer.ggml.model",
                    format!("`llama`, a SentencePiece vocabulary, is not read: {hint}"),
                );
            }
            other => return wrong("tokenizer.ggml.model", format!("`{other}` is not supported; `gpt2` is")),
        }
        let words = Words::named(self.pre)?;
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
            "normalizer": if words.nfc { json!({"type": "NFC"}) } else { Value::Null },
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": words.pre_tokenizers()},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": merges?, "ignore_merges": words.ignore_merges},
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

    /// Cuts a text into words: with every byte a token and no merges but those of whole words, a
    /// word is one token.
    fn words(pre: &'static str, text: &str) -> Vec<String> {
        let json = json!({"type": "Sequence", "pretokenizers": Words::named(pre).unwrap().pre_tokenizers()});
        let pre: tokenizers::PreTokenizerWrapper = serde_json::from_value(json).unwrap();
        let mut text = tokenizers::PreTokenizedString::from(text);
        tokenizers::PreTokenizer::pre_tokenize(&pre, &mut text).unwrap();
        let splits = text.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
        splits.into_iter().map(|(word, ..)| word.replace('Ġ', " ").replace('Ċ', "\n")).collect()
    }

    #[test]
    fn words_are_those_of_the_models() {
        for pre in ["qwen2", "deepseek-r1-qwen"] {
            assert_eq!(
                words(pre, "It's 2026,  ok\n\nA"),
                ["It", "'s", " ", "2", "0", "2", "6", ",", " ", " ok", "\n\n", "A"]
            );
        }
        let llama = ["It", "'S", " ", "202", "6", ",", " ", " ok", "\n\n", "A"];
        assert_eq!(words("llama-bpe", "It'S 2026,  ok\n\nA"), llama);
        // GPT-2 knows endings in lower case only, and a blank belongs to a word or to nothing.
        let smollm = ["It", "'", "S", " ", "2", "0", "2", "6", ",", " ", " ok", "\n", "\n", "A"];
        assert_eq!(words("smollm", "It'S 2026,  ok\n\nA"), smollm);
        assert_eq!(words("smollm", "it's x12"), ["it", "'s", " x", "1", "2"]);
    }

    #[test]
    fn a_whole_word_is_one_token_where_merges_are_ignored() {
        let ids = |pre| {
            let vocabulary = GgmlVocabulary { pre, merges: Vec::new(), ..small() };
            vocabulary.tokenizer().unwrap().encode_data("ab").unwrap()
        };
        assert_eq!((ids("llama-bpe"), ids("qwen2")), (vec![3], vec![0, 1]));
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        check(|v| v.model = "t5", "tokenizer.ggml.model: `t5` is not supported; `gpt2` is");
        check(
            |v| v.model = "llama",
            "tokenizer.ggml.model: `llama`, a SentencePiece vocabulary, is not read: put the model's own \
            tokenizer.json beside the file",
        );
        check(
            |v| v.pre = "default",
            "tokenizer.ggml.pre: `default` is not supported; `qwen2`, `deepseek-r1-qwen`, `llama-bpe` and `smollm` are \
            (a tokenizer.json beside the file would be used instead)",
        );
        check(|v| v.types.truncate(3), "tokenizer.ggml.token_type: there are 3 types for 9 tokens");
        check(|v| v.types[1] = 6, "tokenizer.ggml.token_type: the token `b` has the type 6");
        check(|v| v.tokens[1] = "a", "tokenizer.ggml.tokens: the token `a` occurs twice");
        check(|v| v.merges[0] = "ab", "tokenizer.ggml.merges: `ab` is not two tokens with a blank between them");
        check(|v| v.merges[0] = "a c", "tokenizer.ggml: Token `c` out of vocabulary");
    }
}
