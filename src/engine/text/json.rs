//! The JSON files of a model.

use super::TextError;
use serde_json::{Map, Value};

/// Reads a file that holds one JSON object; `file` is its name in messages.
pub(super) fn json_object(file: &'static str, bytes: &[u8]) -> Result<Map<String, Value>, TextError> {
    let wrong = |reason: String| TextError::File { file, reason };
    match serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))? {
        Value::Object(fields) => Ok(fields),
        _ => Err(wrong("a JSON object is expected".to_string())),
    }
}
