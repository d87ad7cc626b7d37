//! The special tokens that a model names beside its vocabulary: those that a chat template sees by
//! name, and those that the tokenizer has to add.

use super::tokenizer::AddedToken;
use super::{TextError, json_object};
use serde_json::{Map, Value};

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// The names that Hugging Face gives to special tokens.
const NAMES: &[&str] = &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// Lists of further special tokens. `extra_special_tokens` may also be an object that names each.
const LISTS: &[&str] = &["additional_special_tokens", "extra_special_tokens"];

/// The files beside `tokenizer.json` that name tokens.
#[derive(Clone, Copy, Default)]
pub struct TokenFiles<'a> {
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<&'a [u8]>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<&'a [u8]>,
    /// `added_tokens.json`.
    pub added_tokens: Option<&'a [u8]>,
}

/// What these files say of tokens.
#[derive(Clone, Default, Debug)]
pub struct SpecialTokens {
    /// Each name and its token, as a chat template sees it.
    named: Vec<(String, String)>,
    /// What `additional_special_tokens` is for a chat template.
    additional: Vec<String>,
    /// Tokens with an id, for vocabularies that lack them.
    declared: Vec<AddedToken>,
    /// Special tokens without an id.
    bare: Vec<AddedToken>,
}

impl SpecialTokens {
    /// Reads the files as transformers does: where `tokenizer_config.json` has an
    /// `added_tokens_decoder`, the other files are older copies and are ignored. Without one, the
    /// names of `special_tokens_map.json` come before those of `tokenizer_config.json`.
    ///
    /// # Errors
    /// A file that is not a JSON object, or a token that is neither a text nor an object with
    /// `content`; each names the file and the key.
    pub fn read(files: TokenFiles<'_>) -> Result<Self, TextError> {
        let object = |file, bytes: Option<&[u8]>| bytes.map(|bytes| json_object(file, bytes)).transpose();
        let config = object(TOKENIZER_CONFIG, files.tokenizer_config)?.unwrap_or_default();
        let decoder = config.get("added_tokens_decoder").filter(|decoder| !decoder.is_null());
        let map = match decoder {
            Some(_) => Map::new(),
            None => object(SPECIAL_TOKENS_MAP, files.special_tokens_map)?.unwrap_or_default(),
        };

        let mut tokens = Self::default();
        let sources = [(TOKENIZER_CONFIG, &config), (SPECIAL_TOKENS_MAP, &map)];
        for name in NAMES {
            let source = sources.iter().rev().find(|(_, json)| json.contains_key(*name));
            if let Some((file, json)) = source
                && let Some(token) = token(file, name, &json[*name])?
            {
                tokens.name(name, token);
            }
        }
        for (file, json) in sources {
            for key in LISTS {
                tokens.read_list(file, key, json.get(*key).unwrap_or(&Value::Null))?;
            }
        }
        match decoder {
            Some(decoder) => tokens.declared = read_decoder(decoder)?,
            None => {
                let added = object(ADDED_TOKENS, files.added_tokens)?.unwrap_or_default();
                tokens.declared = read_added(&added, &tokens.bare)?;
            }
        }
        Ok(tokens)
    }

    fn name(&mut self, name: &str, token: AddedToken) {
        self.named.push((name.to_string(), token.content.clone()));
        self.bare.push(token);
    }

    fn read_list(&mut self, file: &'static str, key: &str, list: &Value) -> Result<(), TextError> {
        match list {
            Value::Null => {}
            Value::Array(list) => {
                for (index, entry) in list.iter().enumerate() {
                    let Some(token) = token(file, &format!("{key}[{index}]"), entry)? else { continue };
                    if !self.additional.contains(&token.content) {
                        self.additional.push(token.content.clone());
                        self.bare.push(token);
                    }
                }
            }
            Value::Object(named) => {
                for (name, entry) in named {
                    let known = self.named.iter().any(|(known, _)| known == name);
                    if let Some(token) = token(file, &format!("{key}.{name}"), entry)?.filter(|_| !known) {
                        self.name(name, token);
                    }
                }
            }
            _ => return wrong(file, key, "must be a list of tokens, or an object of named ones"),
        }
        Ok(())
    }

    /// Names a token that the files do not name.
    pub fn or_named(&mut self, name: &str, text: &str) {
        if self.get(name).is_none() && !text.is_empty() {
            self.named.push((name.to_string(), text.to_string()));
        }
    }

    /// Returns the token of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Returns each name and its token.
    pub(super) fn named(&self) -> &[(String, String)] {
        &self.named
    }

    /// Returns the tokens of `additional_special_tokens`.
    pub(super) fn additional(&self) -> &[String] {
        &self.additional
    }

    /// Returns tokens that have an id, in the order of their ids.
    pub(super) fn declared(&self) -> &[AddedToken] {
        &self.declared
    }

    /// Returns special tokens that are named without an id.
    pub(super) fn bare(&self) -> &[AddedToken] {
        &self.bare
    }
}

/// Reads a token: a text, or an object with `content` and flags. Null and the empty text are none.
fn token(file: &'static str, key: &str, value: &Value) -> Result<Option<AddedToken>, TextError> {
    let token = match value {
        Value::Null => return Ok(None),
        Value::String(text) => AddedToken::special(text.clone()),
        Value::Object(_) => match serde_json::from_value::<AddedToken>(value.clone()) {
            Ok(token) => AddedToken { special: true, ..token },
            Err(error) => return wrong(file, key, &format!("is not a token: {error}")),
        },
        _ => return wrong(file, key, "must be a text or an object with `content`"),
    };
    Ok(Some(token).filter(|token| !token.content.is_empty()))
}

/// Reads `added_tokens_decoder`: the tokens by their ids.
fn read_decoder(decoder: &Value) -> Result<Vec<AddedToken>, TextError> {
    let key = "added_tokens_decoder";
    let Value::Object(decoder) = decoder else { return wrong(TOKENIZER_CONFIG, key, "must be an object") };
    let mut tokens = Vec::with_capacity(decoder.len());
    for (id, entry) in decoder {
        let path = format!("{key}.{id}");
        let Ok(id) = id.parse() else { return wrong(TOKENIZER_CONFIG, &path, "is not a token id") };
        match serde_json::from_value::<AddedToken>(entry.clone()) {
            Ok(token) => tokens.push(AddedToken { id, ..token }),
            Err(error) => return wrong(TOKENIZER_CONFIG, &path, &format!("is not a token: {error}")),
        }
    }
    tokens.sort_by_key(|token| token.id);
    Ok(tokens)
}

/// Reads `added_tokens.json`: ids by text. A token is special where another file names it so.
fn read_added(added: &Map<String, Value>, special: &[AddedToken]) -> Result<Vec<AddedToken>, TextError> {
    let mut tokens = Vec::with_capacity(added.len());
    for (text, id) in added {
        let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
            return wrong(ADDED_TOKENS, text, "must have a token id");
        };
        let special = special.iter().any(|token| token.content == *text);
        tokens.push(AddedToken { id, special, ..AddedToken::special(text.clone()) });
    }
    tokens.sort_by_key(|token| token.id);
    Ok(tokens)
}

fn wrong<T>(file: &'static str, key: &str, reason: &str) -> Result<T, TextError> {
    Err(TextError::File { file, reason: format!("`{key}` {reason}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(config: Value, map: Value) -> Result<SpecialTokens, String> {
        let (config, map) = (config.to_string(), map.to_string());
        let files = TokenFiles {
            tokenizer_config: Some(config.as_bytes()),
            special_tokens_map: Some(map.as_bytes()),
            added_tokens: Some(br#"{"<a>": 9, "<b>": 8}"#),
        };
        SpecialTokens::read(files).map_err(|error| error.to_string())
    }

    #[test]
    fn tokens_are_texts_or_objects_and_null_is_none() {
        let config = json!({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": true}, "pad_token": null,
            "unk_token": "", "additional_special_tokens": ["<x>", {"content": "<y>"}, "<x>"]});
        let tokens = read(config, json!({})).unwrap();
        assert_eq!(tokens.get("bos_token"), Some("<s>"));
        assert_eq!(tokens.get("eos_token"), Some("</s>"));
        assert_eq!(tokens.get("pad_token").or(tokens.get("unk_token")), None);
        assert_eq!(tokens.additional(), ["<x>", "<y>"]);
        assert!(tokens.bare().iter().any(|token| token.content == "</s>" && token.lstrip && token.special));
    }

    #[test]
    fn the_map_comes_first_unless_there_is_a_decoder() {
        let map = json!({"bos_token": "<map>", "eos_token": "<map>"});
        let with = |decoder: Value| {
            let config = json!({"bos_token": "<config>", "pad_token": "<config>", "added_tokens_decoder": decoder});
            let tokens = read(config, map.clone()).unwrap();
            ["bos_token", "eos_token", "pad_token"].map(|name| tokens.get(name).unwrap_or("none").to_string())
        };
        assert_eq!(with(json!({})), ["<config>", "none", "<config>"]);
        assert_eq!(with(Value::Null), ["<map>", "<map>", "<config>"]);
    }

    #[test]
    fn declared_tokens_come_by_id() {
        let ids = |tokens: SpecialTokens| -> Vec<(u32, String, bool)> {
            tokens.declared().iter().map(|token| (token.id, token.content.clone(), token.special)).collect()
        };
        let decoder =
            json!({"added_tokens_decoder": {"12": {"content": "<t>", "special": true}, "3": {"content": "<u>"}}});
        assert_eq!(ids(read(decoder, json!({})).unwrap()), [(3, "<u>".into(), false), (12, "<t>".into(), true)]);
        let list = json!({"additional_special_tokens": ["<b>"]});
        assert_eq!(ids(read(json!({}), list).unwrap()), [(8, "<b>".into(), true), (9, "<a>".into(), false)]);
    }

    #[test]
    fn what_is_no_token_is_named() {
        let message = |config: Value| read(config, json!({})).unwrap_err();
        assert_eq!(
            message(json!({"eos_token": 3})),
            "tokenizer_config.json: `eos_token` must be a text or an object with `content`"
        );
        assert_eq!(
            message(json!({"eos_token": {"id": 3}})),
            "tokenizer_config.json: `eos_token` is not a token: missing field `content`"
        );
        assert_eq!(
            message(json!({"added_tokens_decoder": {"x": {"content": "a"}}})),
            "tokenizer_config.json: `added_tokens_decoder.x` is not a token id"
        );
        assert_eq!(
            message(json!({"additional_special_tokens": "x"})),
            "tokenizer_config.json: `additional_special_tokens` must be a list of tokens, or an object of named ones"
        );
        assert_eq!(message(json!([])), "tokenizer_config.json: a JSON object is expected");
    }
}
