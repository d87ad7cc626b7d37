//! Finds a field in the last JSON object of a model's output.

use super::compare::spaced;
use super::number::whole_number;
use serde_json::{Deserializer, Value};

/// Returns the last whole JSON object in `output`, whatever stands around it.
fn last_object(output: &str) -> Option<Value> {
    let (mut at, mut last) = (0, None);
    while let Some(start) = output[at..].find('{').map(|start| at + start) {
        let mut objects = Deserializer::from_str(&output[start..]).into_iter::<Value>();
        match objects.next() {
            Some(Ok(object)) => {
                at = start + objects.byte_offset();
                last = Some(object);
            }
            // Within an object that is nested more deeply than is read, every start would cost as
            // much again, so reading goes on where this one stopped.
            Some(Err(error)) if error.to_string().starts_with("recursion limit") => {
                let lines = output[start..].split_inclusive('\n').take(error.line() - 1);
                let stopped = start + lines.map(str::len).sum::<usize>() + error.column();
                at = output.floor_char_boundary(stopped.clamp(start + 1, output.len()));
            }
            _ => at = start + 1,
        }
    }
    last
}

/// Returns the text of `field` in the last JSON object of `output`. A name may be a dotted path
/// into nested objects; a key that itself contains dots wins. Lists and objects are their JSON.
pub(super) fn field(output: &str, field: &str) -> Option<String> {
    let object = last_object(output)?;
    let found = object.get(field).or_else(|| field.split('.').try_fold(&object, |value, key| value.get(key)))?;
    let text = match found {
        Value::Null => return None,
        Value::String(text) => spaced(text),
        other => other.to_string(),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// Returns whether two values of a field are equal: as numbers if both are, else as texts.
pub(super) fn equal(one: &str, other: &str) -> bool {
    match (whole_number(one), whole_number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_object_counts_whatever_stands_around_it() {
        let output =
            "First {\"verdict\": \"bot\"}, no:\n```json\n{\"verdict\": \"human\", \"why\": {\"score\": 0.50}}\n``` {";
        assert_eq!(field(output, "verdict").as_deref(), Some("human"));
        assert_eq!(field(output, "why.score").as_deref(), Some("0.5"));
        assert_eq!(field(output, "why").as_deref(), Some("{\"score\":0.5}"));
        for (output, name) in [(output, "label"), ("verdict: human", "verdict"), ("{\"verdict\": null}", "verdict")] {
            assert_eq!(field(output, name), None);
        }
        assert!(equal("0.50", "0.5") && equal("true", "true") && !equal("1", "true") && !equal("a", "A"));
    }

    #[test]
    fn open_braces_cost_no_more_than_their_number() {
        let hostile = "{\"a\":[".repeat(200_000);
        assert_eq!(field(&hostile, "a"), None);
        assert_eq!(field(&format!("{hostile}\n{{\"a\": 2}}"), "a").as_deref(), Some("2"));
    }
}
