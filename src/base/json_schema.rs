//! JSON Schemas of types, for the files in docs/schema and the tests that hold them current.

use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value};

/// Returns the schema of `T` as it is read or written, in one piece.
pub(crate) fn generate<T: JsonSchema>(contract: Contract) -> Value {
    // Draft 7 is what editors of TOML files know.
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    settings.contract = contract;
    let Value::Object(mut rest) = settings.into_generator().into_root_schema_for::<T>().to_value() else {
        panic!("the schema of a struct is an object")
    };
    let mut head = Map::new();
    for key in ["$schema", "title", "description"] {
        head.insert(key.to_string(), rest.shift_remove(key).expect("a schema has a head"));
    }
    head.extend(rest);
    let mut schema = Value::Object(head);
    each(&mut schema, &|object| {
        // The names of Rust's number types say nothing to a reader of JSON.
        object.shift_remove("format");
        if let Some(Value::String(description)) = object.get_mut("description") {
            *description = description.replace('\n', " ");
        }
    });
    schema
}

/// Does `change` to every object of a schema, the inner ones first.
pub(crate) fn each(value: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(|value| each(value, change));
            change(object);
        }
        Value::Array(items) => items.iter_mut().for_each(|value| each(value, change)),
        _ => {}
    }
}

/// The text of a schema's file.
pub(crate) fn text(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).expect("plain data") + "\n"
}
