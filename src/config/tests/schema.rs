//! docs/schema/experiment.json, by which editors complete and check experiment files, and the
//! tables of docs/config.md. Both are made from the declarations in the code. After a change of
//! those, `UPDATE_EXPECT=1 cargo test --lib schema` writes them anew.

use super::super::ConfigError;
use super::super::agents::NEW_TOKENS;
use super::super::data::LIMIT;
use super::super::models::{TEMPERATURE, THINKING_TOKENS, TOP_K, TOP_P};
use super::super::samples::SAMPLES;
use super::super::verdicts::{MAX_FPR, UNSURE_BELOW};
use super::experiment::Experiment;
use super::fixture::{GOOD, folder, load_text};
use crate::base::json_schema::{each, generate, text};
use crate::base::{Bounded, Rule};
use crate::chat::BudgetOptions;
use crate::engine::EngineOptions;
use crate::judge::JudgeOptions;
use crate::method::MethodOptions;
use crate::propose::ProposeOptions;
use crate::remote::EndpointOptions;
use crate::reward::RewardOptions;
use crate::rollout::RolloutOptions;
use crate::search::SearchOptions;
use expect_test::expect_file;
use schemars::generate::Contract;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Returns the schema of the experiment file.
fn experiment() -> Value {
    let mut schema = generate::<Experiment>(Contract::Deserialize);
    without_null(&mut schema);
    bound::<SearchOptions>(&mut schema);
    bound::<RewardOptions>(&mut schema);
    bound::<JudgeOptions>(&mut schema);
    bound::<ProposeOptions>(&mut schema);
    bound::<RolloutOptions>(&mut schema);
    bound::<EngineOptions>(&mut schema);
    bound::<MethodOptions>(&mut schema);
    bound::<BudgetOptions>(&mut schema);
    set_rule(&mut schema["properties"]["agent"]["items"]["properties"]["max_new_tokens"], NEW_TOKENS);
    for role in ["", "worker", "optimizer", "judge", "judges"] {
        let model = &mut schema["properties"]["model"];
        let model = match role {
            "" => model,
            "judges" => &mut model["properties"][role]["items"],
            role => &mut model["properties"][role],
        };
        for (key, rule) in
            [("temperature", TEMPERATURE), ("top_p", TOP_P), ("top_k", TOP_K), ("max_thinking_tokens", THINKING_TOKENS)]
        {
            set_rule(&mut model["properties"][key], rule);
        }
        for bound in EndpointOptions::BOUNDS {
            set_rule(&mut model["properties"][bound.key], bound.rule);
        }
    }
    let samples = [("samples", SAMPLES), ("temperature", TEMPERATURE), ("top_p", TOP_P), ("top_k", TOP_K)];
    for (key, rule) in samples.into_iter().chain([("max_fpr", MAX_FPR), ("unsure_below", UNSURE_BELOW)]) {
        set_rule(&mut schema["properties"]["eval"]["properties"][key], rule);
    }
    for set in ["pool", "train", "test"] {
        set_rule(&mut schema["properties"]["data"]["properties"][set]["properties"]["limit"], LIMIT);
    }
    let engine = &mut schema["properties"]["engine"];
    engine.as_object_mut().expect("a schema").shift_remove("required");
    let Value::Object(defaults) = serde_json::to_value(EngineOptions::default()).expect("plain data") else {
        panic!("options are an object")
    };
    for (key, value) in defaults {
        engine["properties"][key]["default"] = value;
    }
    schema
}

/// Lets a file that extends others lack what they have.
fn relax_extending(schema: &mut Value) {
    let take = |schema: &mut Value| schema.as_object_mut().and_then(|object| object.shift_remove("required"));
    let data = &mut schema["properties"]["data"];
    let (pool, data) = (take(&mut data["properties"]["pool"]), take(data));
    let inside = json!({"data": {"required": data, "properties": {"pool": {"required": pool}}}});
    let rest = json!({"required": take(schema), "properties": inside});
    schema["if"] = json!({"required": ["extends"]});
    schema["else"] = rest;
}

/// Removes null from the schema: TOML has none, and a missing key stands for it.
fn without_null(schema: &mut Value) {
    each(schema, &|object| {
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            let only = types[0].clone();
            object["type"] = only;
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|choice| *choice != json!({"type": "null"}));
            if let [Value::Object(only)] = &mut choices[..] {
                let only = std::mem::take(only);
                object.shift_remove("anyOf");
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
        if object.get("default") == Some(&Value::Null) {
            object.shift_remove("default");
        }
    });
}

fn bound<T: Bounded>(schema: &mut Value) {
    let keys = &mut schema["properties"][T::SECTION]["properties"];
    for bound in T::BOUNDS {
        assert!(keys.get(bound.key).is_some(), "{}.{} has bounds but is no key", T::SECTION, bound.key);
        set_rule(&mut keys[bound.key], bound.rule);
    }
}

fn set_rule(key: &mut Value, rule: Rule) {
    match rule {
        Rule::Whole(min, max) => {
            key["minimum"] = min.into();
            if max < u64::MAX {
                key["maximum"] = max.into();
            }
        }
        Rule::Real(min, max) => {
            key["minimum"] = min.into();
            if max.is_finite() {
                key["maximum"] = max.into();
            }
        }
        Rule::OneOf(values) => {
            key.as_object_mut().expect("a schema").shift_remove("minimum");
            key["enum"] = values.into();
        }
    }
}

/// Returns the table of docs/config.md for the object at `path` of the schema.
fn table(schema: &Value, path: &str) -> String {
    let mut object = schema;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        object = &object["properties"][name];
        object = object.get("items").unwrap_or(object);
    }
    let required = object["required"].as_array().cloned().unwrap_or_default();
    let mut text = "| key | values | default | meaning |\n| --- | --- | --- | --- |\n".to_string();
    for (name, key) in object["properties"].as_object().expect("keys") {
        if is_table(key) {
            continue;
        }
        let default = match key.get("default") {
            Some(default) => format!("`{default}`"),
            None if required.contains(&name.as_str().into()) => "required".to_string(),
            None => "–".to_string(),
        };
        text.push_str(&format!("| `{name}` | {} | {default} | {} |\n", values(key), cell(&meaning(key))));
    }
    text
}

fn is_table(key: &Value) -> bool {
    key.get("properties").is_some() || key["items"].get("properties").is_some()
}

/// Returns the values of a key in a few words.
fn values(key: &Value) -> String {
    let list = |values: Vec<String>| values.join(", ");
    if let Some(choices) = key["oneOf"].as_array() {
        return list(choices.iter().map(|choice| format!("`{}`", choice["const"])).collect());
    }
    if let Some(choices) = key["enum"].as_array() {
        return list(choices.iter().map(|choice| format!("`{choice}`")).collect());
    }
    if let Some(choices) = key["anyOf"].as_array() {
        return choices.iter().map(values).collect::<Vec<_>>().join(" or ");
    }
    match (key["type"].as_str().unwrap_or_default(), key.get("minimum"), key.get("maximum")) {
        ("boolean", ..) => "`true`, `false`".to_string(),
        ("string", ..) => "text".to_string(),
        ("array", ..) if key["items"]["type"] == "integer" => "list of whole numbers".to_string(),
        ("array", ..) => "list of texts".to_string(),
        ("object", ..) if key.get("properties").is_none() => "`{ FIELD = VALUE }`".to_string(),
        ("object", ..) => "`{ file = \"…\" }`".to_string(),
        ("integer", Some(min), Some(max)) => format!("whole number, {min} to {max}"),
        ("integer", Some(min), None) => format!("whole number ≥ {min}"),
        ("number", Some(min), Some(max)) => format!("number, {} to {}", short(min), short(max)),
        ("number", Some(min), None) => format!("number ≥ {}", short(min)),
        (other, ..) => panic!("docs/config.md has no words for {other:?}: {key}"),
    }
}

/// Formats a real number without a trailing `.0`.
fn short(number: &Value) -> String {
    number.as_f64().expect("a number").to_string()
}

/// Returns what a key means, and what each of its choices does.
fn meaning(key: &Value) -> String {
    let mut text = key["description"].as_str().expect("every key is described").to_string();
    for choice in key["oneOf"].as_array().into_iter().flatten() {
        let what = choice["description"].as_str().expect("every choice is described");
        text.push_str(&format!("<br>`{}`: {what}", choice["const"]));
    }
    text
}

/// Returns the text as a cell of a Markdown table can hold it.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_schema_of_the_experiment_file_is_current() {
    let mut schema = experiment();
    relax_extending(&mut schema);
    expect_file!["../../../docs/schema/experiment.json"].assert_eq(&text(&schema));
}

#[test]
fn the_tables_of_the_documentation_are_current() {
    let schema = experiment();
    let docs = include_str!("../../../docs/config.md");
    let mut text = String::new();
    let mut tables = BTreeSet::new();
    let mut rest = docs;
    while let Some((before, after)) = rest.split_once("<!-- keys of ") {
        let (path, after) = after.split_once(" -->\n").expect("a comment has an end");
        let (_, after) = after.split_once("<!-- end of keys -->").expect("a table has an end");
        let table = table(&schema, path.trim_start_matches("the top level"));
        text.push_str(&format!("{before}<!-- keys of {path} -->\n\n{table}\n<!-- end of keys -->"));
        tables.insert(path);
        rest = after;
    }
    text.push_str(rest);
    for name in schema["properties"].as_object().expect("keys").keys() {
        let described = tables.iter().any(|path| path.split('.').next() == Some(name));
        assert!(described || !is_table(&schema["properties"][name]), "docs/config.md has no table for {name}");
    }
    expect_file!["../../../docs/config.md"].assert_eq(&text);
}

/// Returns the names that the program lists when a table has a key that nothing reads.
#[track_caller]
fn known(from: &str, to: &str) -> BTreeSet<String> {
    let folder = folder();
    assert!(GOOD.contains(from), "{from}");
    let faults = load_text(&folder, &GOOD.replacen(from, to, 1), &[]).expect_err("an unknown key is a fault");
    let hint = faults.iter().find_map(|fault| match fault {
        ConfigError::UnknownKey { key, hint, .. } if key.ends_with("qqqqqqqqqqqqqqqq") => Some(hint),
        _ => None,
    });
    hint.expect("the unknown key is named").split('`').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn the_schema_names_exactly_the_keys_that_are_read() {
    const NEW: &str = "qqqqqqqqqqqqqqqq = 1";
    let schema = experiment();
    let check = |path: &str, known: BTreeSet<String>| {
        let mut object = &schema;
        for name in path.split('.').filter(|name| !name.is_empty()) {
            object = &object["properties"][name];
            object = object.get("items").unwrap_or(object);
        }
        assert_eq!(object["additionalProperties"], false, "{path}");
        let keys: BTreeSet<String> = object["properties"].as_object().expect(path).keys().cloned().collect();
        assert_eq!(keys, known, "{path}");
    };
    check("", known("schema = 1", &format!("schema = 1\n{NEW}")));
    check("model", known("[model]", &format!("[model]\n{NEW}")));
    for role in ["worker", "optimizer", "judge"] {
        check(&format!("model.{role}"), known("[graph]", &format!("[model.{role}]\n{NEW}\n[graph]")));
    }
    check("model.judges", known("[graph]", &format!("[[model.judges]]\n{NEW}\n[graph]")));
    check("graph", known("[graph]", &format!("[graph]\n{NEW}")));
    check("agent", known("role = ", &format!("{NEW}\nrole = ")));
    let edge = format!("[[edge]]\nfrom = \"extract\"\nto = \"decide\"\n{NEW}");
    check("edge", known("topology = \"sequential\"", &edge));
    check("data", known("[data]", &format!("[data]\n{NEW}")));
    check("data.pool", known("pool = { ", &format!("pool = {{ {NEW}, ")));
    check("data.test", known("test = { ", &format!("test = {{ {NEW}, ")));
    check("data.train", known("test = { ", &format!("train = {{ {NEW} }}\ntest = {{ ")));
    check("eval", known("[eval]", &format!("[eval]\n{NEW}")));
    for section in ["search", "reward", "judge", "misalignment", "propose", "rollout", "templates", "engine"] {
        let to = if section == "search" { format!("[search]\n{NEW}") } else { format!("[{section}]\n{NEW}\n[search]") };
        check(section, known("[search]", &to));
    }
}
