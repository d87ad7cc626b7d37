//! The ids that end the model's turn.

use super::{TextError, json_object};
use serde_json::Value;

/// Returns the ids that `eos_token_id` of a model's `file` names: a number, a list, or nothing.
///
/// # Errors
/// Text that is not a JSON object, or an `eos_token_id` that is neither a token id nor a list of
/// them.
pub fn eos_ids(file: &'static str, text: &[u8]) -> Result<Vec<u32>, TextError> {
    let fields = json_object(file, text)?;
    let wrong = |value: &Value| TextError::File {
        file,
        reason: format!("`eos_token_id` must be a token id or a list of them, not {value}"),
    };
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(value));
    match fields.get("eos_token_id") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(id).collect(),
        Some(value) => Ok(vec![id(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, expected: Result<&[u32], &str>) {
        let found = eos_ids("config.json", config.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(<[u32]>::to_vec).map_err(str::to_string));
    }

    #[test]
    fn numbers_and_lists_are_read_and_null_names_none() {
        check(r#"{"eos_token_id": [3, 1]}"#, Ok(&[3, 1]));
        check(r#"{"eos_token_id": 3}"#, Ok(&[3]));
        for none in ["{}", r#"{"eos_token_id": null}"#, r#"{"eos_token_id": []}"#] {
            check(none, Ok(&[]));
        }
        check(
            r#"{"eos_token_id": "x"}"#,
            Err("config.json: `eos_token_id` must be a token id or a list of them, not \"x\""),
        );
    }
}
