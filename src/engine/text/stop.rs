//! The ids that end the model's turn.

use super::TextError;
use serde_json::Value;

/// The end-of-turn ids of `generation_config.json`, or of `config.json` where the former names
/// none. Empty when neither does: then only the length ends a generation.
///
/// # Errors
/// Text that is not JSON, or an `eos_token_id` that is neither a token id nor a list of them.
pub fn eos_ids(generation_config: Option<&[u8]>, config: &[u8]) -> Result<Vec<u32>, TextError> {
    if let Some(text) = generation_config
        && let Some(ids) = ids_in(text, "generation_config.json")?
    {
        return Ok(ids);
    }
    Ok(ids_in(config, "config.json")?.unwrap_or_default())
}

fn ids_in(text: &[u8], file: &'static str) -> Result<Option<Vec<u32>>, TextError> {
    let json: Value =
        serde_json::from_slice(text).map_err(|error| TextError::File { file, reason: error.to_string() })?;
    let wrong = |value: &Value| TextError::File {
        file,
        reason: format!("`eos_token_id` must be a token id or a list of them, not {value}"),
    };
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(value));
    match json.get("eos_token_id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => list.iter().map(id).collect::<Result<Vec<_>, _>>().map(Some),
        Some(value) => Ok(Some(vec![id(value)?])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(generation: Option<&str>, config: &str, expected: Result<&[u32], &str>) {
        let found = eos_ids(generation.map(str::as_bytes), config.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(<[u32]>::to_vec).map_err(str::to_string));
    }

    #[test]
    fn generation_config_comes_first_and_both_forms_are_read() {
        check(Some(r#"{"eos_token_id": [3, 1]}"#), r#"{"eos_token_id": 9}"#, Ok(&[3, 1]));
        check(Some(r#"{"eos_token_id": 3}"#), r#"{"eos_token_id": 9}"#, Ok(&[3]));
        check(Some("{}"), r#"{"eos_token_id": 9}"#, Ok(&[9]));
        check(None, r#"{"eos_token_id": null}"#, Ok(&[]));
        check(
            Some(r#"{"eos_token_id": "x"}"#),
            "{}",
            Err("generation_config.json: `eos_token_id` must be a token id or a list of them, not \"x\""),
        );
    }
}
