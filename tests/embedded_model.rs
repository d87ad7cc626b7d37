//! The embedded model: it was trained on the exact templates of the product (a change to one of
//! them needs a new training), and in f32 it gives the outputs of transformers
//! (`models/triage/train/reference.json`, written by `check.py`).

use futures::executor::block_on;
use futures::future::join_all;
use maspo::chat::{ChatModel, Message, Request, Sampling};
use maspo::engine::qwen3::Dtype;
use maspo::engine::{EngineOptions, ModelSource};
use maspo::local::LocalModel;

#[path = "../models/triage/tools/templates.rs"]
mod templates;

#[derive(serde::Deserialize)]
struct Reference {
    max_new_tokens: usize,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    messages: Vec<Message>,
    text: String,
}

#[test]
fn the_greedy_answers_of_the_embedded_model_are_those_of_transformers() {
    let text = include_str!("../models/triage/train/reference.json");
    let reference: Reference = serde_json::from_str(text).expect("conversations");
    assert!(reference.cases.len() >= 40);
    let source = ModelSource::parse("embedded:triage").expect("a source");
    let model = LocalModel::open(&source, &EngineOptions::default(), Dtype::F32, false).expect("the embedded model");
    let answers = block_on(join_all(reference.cases.iter().map(|case| {
        model.complete(Request {
            messages: case.messages.clone(),
            max_new_tokens: reference.max_new_tokens,
            max_thinking_tokens: None,
            sampling: Sampling::GREEDY,
        })
    })));
    for (case, answer) in reference.cases.iter().zip(answers) {
        assert_eq!(answer.expect("an answer").text, case.text, "{:?}", case.messages);
    }
}

#[test]
fn the_model_was_trained_on_the_templates_as_they_are() {
    let text = include_str!("../models/triage/templates.json");
    let trained: std::collections::BTreeMap<&str, String> = serde_json::from_str(text).expect("digests by name");
    assert_eq!(
        trained,
        templates::digests(),
        "a template has changed: retrain the model (models/triage/train), then run \
         `cargo run --release --example triage -- templates > models/triage/templates.json`"
    );
}
