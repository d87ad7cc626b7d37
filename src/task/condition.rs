//! Conditions that a row must fulfil to be taken, so that a part of a file can be a data set.

use super::row::find;
use serde_json::Value;
use std::fmt;

/// What a field of a row must be.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    /// The field's name, or a dotted path.
    pub field: String,
    /// What its value must be.
    pub wanted: Wanted,
}

/// What a value must be.
#[derive(Clone, PartialEq, Debug)]
pub enum Wanted {
    /// One of these: texts, numbers, true or false.
    OneOf(Vec<Value>),
    /// A number that is not less and not greater than these.
    Between {
        /// The least number.
        min: Option<f64>,
        /// The greatest number.
        max: Option<f64>,
    },
}

impl Condition {
    /// Whether the row fulfils it. One without the field does not.
    pub(super) fn holds(&self, row: &Value) -> bool {
        let Ok(value) = find(row, &self.field) else { return false };
        match &self.wanted {
            Wanted::OneOf(values) => values.iter().any(|wanted| same(wanted, value)),
            Wanted::Between { min, max } => value
                .as_f64()
                .is_some_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)),
        }
    }
}

/// Whether two values are equal; 5 and 5.0 are.
fn same(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(wanted), Some(value)) => wanted == value,
        _ => wanted == value,
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match &self.wanted {
            Wanted::OneOf(values) => {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "`{field}` is {}", values.join(" or "))
            }
            Wanted::Between { min: Some(min), max: Some(max) } => write!(f, "`{field}` is from {min} to {max}"),
            Wanted::Between { min: Some(min), max: None } => write!(f, "`{field}` is {min} or more"),
            Wanted::Between { min: None, max: Some(max) } => write!(f, "`{field}` is {max} or less"),
            Wanted::Between { min: None, max: None } => write!(f, "`{field}` is a number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_compared_by_value() {
        let row = json!({"level": 5, "other": {"level": 4.0}, "kind": "Algebra", "sound": true});
        let one_of = |field: &str, values: Value| Condition {
            field: field.to_string(),
            wanted: Wanted::OneOf(values.as_array().expect("a list").clone()),
        };
        assert!(one_of("level", json!([5])).holds(&row) && one_of("other.level", json!([3, 4])).holds(&row));
        assert!(one_of("kind", json!(["Algebra"])).holds(&row) && one_of("sound", json!([true])).holds(&row));
        assert!(!one_of("level", json!(["5"])).holds(&row) && !one_of("levle", json!([5])).holds(&row));
        let between = |min, max| Condition { field: "level".into(), wanted: Wanted::Between { min, max } };
        assert!(between(Some(5.0), None).holds(&row) && between(Some(1.0), Some(5.0)).holds(&row));
        assert!(!between(Some(6.0), None).holds(&row) && !between(None, Some(4.0)).holds(&row));
        assert_eq!(one_of("level", json!([4, "x"])).to_string(), "`level` is 4 or \"x\"");
    }
}
