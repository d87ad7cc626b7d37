//! Reads the fields of a request's body one by one. What is not read is refused by name, so that
//! no option is ignored that its sender relies on.

use super::fault::Fault;
use serde_json::{Map, Value};

/// Fields that say nothing about the answer and are accepted.
const WITHOUT_EFFECT: [&str; 9] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "request_id",
    "priority",
];

/// The fields of an object that were not read yet. A field that is null counts as absent.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Fault> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self::new(fields)),
            Ok(_) => Err(Fault::body("the body must be a JSON object")),
            // The error's own text could quote the body.
            Err(error) => {
                Err(Fault::body(format!("the body is not JSON: line {}, column {}", error.line(), error.column())))
            }
        }
    }

    pub(super) fn new(fields: Map<String, Value>) -> Self {
        Self(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        self.read(name, "must be a text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(super) fn truth(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        self.read(name, "must be true or false", |value| value.as_bool())
    }

    /// Returns a whole number from `least` to `most`.
    pub(super) fn count(&mut self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Fault> {
        let wanted = format!("must be a whole number from {least} to {most}");
        self.read(name, &wanted, |value| {
            value.as_u64().and_then(|count| usize::try_from(count).ok()).filter(|count| (least..=most).contains(count))
        })
    }

    /// Returns a number from `least` to `most`.
    pub(super) fn real(&mut self, name: &str, least: f64, most: f64) -> Result<Option<f64>, Fault> {
        let wanted = format!("must be a number from {least} to {most}");
        self.read(name, &wanted, |value| value.as_f64().filter(|number| (least..=most).contains(number)))
    }

    /// Returns a field that `read` understands.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| Fault::field(name, wanted)),
        }
    }

    /// Accepts a field only with the value that changes nothing.
    pub(super) fn only(&mut self, name: &str, harmless: &Value, instead: &str) -> Result<(), Fault> {
        match self.take(name) {
            Some(value) if value != *harmless => Err(Fault::field(name, format!("is not supported: {instead}"))),
            _ => Ok(()),
        }
    }

    /// Refuses what was not read.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        WITHOUT_EFFECT.iter().for_each(|name| drop(self.take(name)));
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(Fault::field(&name.chars().take(60).collect::<String>(), "is not supported by this server"))
            }
        }
    }
}
