//! Reads `where`: what the rows of a data set must be to be taken.

use super::section::Section;
use super::tree::{Entry, Node, Table, Value};
use crate::task::{Condition, Wanted};

/// Reads what rows must be to be taken; `None` if nothing is said, or if it is wrong, which is
/// reported.
pub(super) fn read(section: &Section<'_>) -> Option<Vec<Condition>> {
    let node = &section.entry("where")?.node;
    let Value::Table(table) = &node.value else {
        section.fault("where", &format!("is {}; a table from fields to values is needed", node.value.describe()));
        return None;
    };
    let mut conditions = Vec::new();
    add_conditions(section, "", table, &mut conditions);
    Some(conditions)
}

/// Adds the conditions of a table. A table in it is a range, or else leads to the fields of an
/// object.
fn add_conditions(section: &Section<'_>, object: &str, table: &Table, conditions: &mut Vec<Condition>) {
    for Entry { key, node, .. } in &table.0 {
        let field = if object.is_empty() { key.clone() } else { format!("{object}.{key}") };
        let wanted = match &node.value {
            Value::Table(inner) if range(inner).is_none() => {
                if inner.0.is_empty() {
                    section.fault("where", &format!("says nothing of `{field}`"));
                }
                add_conditions(section, &field, inner, conditions);
                continue;
            }
            Value::Table(inner) => range(inner),
            Value::List(items) => items.iter().map(scalar).collect::<Option<_>>().map(Wanted::OneOf),
            _ => scalar(node).map(|value| Wanted::OneOf(vec![value])),
        };
        match wanted {
            Some(Wanted::OneOf(values)) if values.is_empty() => {
                section.fault("where", &format!("allows no value of `{field}`"));
            }
            Some(wanted) => conditions.push(Condition { field, wanted }),
            None => {
                let problem = "a text, a number, true or false, a list of those, or { min = …, max = … } is needed";
                section.fault("where", &format!("has {} for `{field}`; {problem}", node.value.describe()));
            }
        }
    }
}

/// Reads `{ min = …, max = … }`; `None` if the table is no range.
fn range(table: &Table) -> Option<Wanted> {
    let number = |node: &Node| match node.value {
        Value::Integer(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    };
    let is_bound = |entry: &Entry| ["min", "max"].contains(&entry.key.as_str()) && number(&entry.node).is_some();
    let is_range = !table.0.is_empty() && table.0.iter().all(is_bound);
    let bound = |key: &str| number(&table.get(key)?.node);
    is_range.then(|| Wanted::Between { min: bound("min"), max: bound("max") })
}

fn scalar(node: &Node) -> Option<serde_json::Value> {
    match &node.value {
        Value::Text(text) => Some(text.as_str().into()),
        Value::Integer(number) => Some((*number).into()),
        Value::Float(number) => Some((*number).into()),
        Value::Truth(truth) => Some((*truth).into()),
        _ => None,
    }
}
