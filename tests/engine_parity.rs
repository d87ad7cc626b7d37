//! The forward pass compared with Hugging Face transformers in f32 (`tests/golden/models.json`,
//! written by `make_reference.py`): logits after prompts of 1 to 2,000 tokens, and greedy tokens,
//! on random-weight models of several shapes. `rope.json`, written by `make_rope.py`, holds the
//! same for scaled rotary frequencies, and `families.json`, written by `make_families.py`, for the
//! families beside Qwen3.

mod support;

use futures::executor::block_on;
use maspo::chat::Sampling;
use maspo::engine::qwen3::Dtype;
use maspo::engine::{Backend, EngineOptions, ModelSource, TokenRequest};
use maspo::local::LocalModel;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use support::TinyModel;

/// The tolerance, relative to the largest logit.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Case {
    name: String,
    seed: u64,
    storage: String,
    shards: usize,
    config: Value,
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    prompt: Vec<u32>,
    logits: Vec<f64>,
    greedy: Vec<u32>,
}

fn open(case: &Case, backend: Backend) -> LocalModel {
    let folder = tempfile::tempdir().unwrap();
    let model =
        TinyModel { config: case.config.clone(), seed: case.seed, storage: case.storage.clone(), shards: case.shards };
    model.write(folder.path());
    let source = ModelSource::parse(folder.path().to_str().unwrap()).unwrap();
    let options = EngineOptions { backend, ..EngineOptions::default() };
    LocalModel::open_for_tokens(&source, &options, Dtype::F32, false).unwrap()
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = logits.iter().map(|logit| (logit - max).exp()).sum::<f64>().ln() + max;
    logits.iter().map(|logit| logit - total).collect()
}

fn check(case: &Case, backend: Backend) {
    let model = open(case, backend);
    for Prompt { prompt, logits, greedy } in &case.prompts {
        let at = format!("{backend}, {}, {} tokens", case.name, prompt.len());
        // Scoring every token as an answer of its own gives the whole distribution.
        let answers = (0..logits.len() as u32).map(|id| vec![id]).collect();
        let scores = block_on(model.engine().score_tokens(prompt.clone(), answers)).unwrap();
        let largest = logits.iter().fold(0.0f64, |largest, logit| largest.max(logit.abs()));
        for (id, (ours, theirs)) in scores.logprobs.iter().zip(log_softmax(logits)).enumerate() {
            let error = (ours - theirs).abs() / largest;
            assert!(error <= TOLERANCE, "{at}: token {id} is off by {error:.1e} of the largest logit");
        }
        let request = TokenRequest {
            prompt: prompt.clone(),
            max_new_tokens: greedy.len(),
            sampling: Sampling::GREEDY,
            ignore_eos: true,
            stop: Vec::new(),
        };
        assert_eq!(&block_on(model.engine().generate(request)).unwrap().token_ids, greedy, "{at}");
    }
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() >= 5);
    cases
}

#[test]
fn logits_and_greedy_tokens_are_those_of_transformers() {
    cases().iter().for_each(|case| check(case, Backend::Native));
}

#[test]
fn on_candle_they_are_too() {
    cases().iter().for_each(|case| check(case, Backend::Candle));
}

#[derive(Deserialize)]
struct Scaled {
    models: Vec<Case>,
}

#[test]
fn scaled_rotary_frequencies_give_the_tokens_of_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rope.json");
    let scaled: Scaled = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(scaled.models.len() >= 10);
    for backend in [Backend::Native, Backend::Candle] {
        scaled.models.iter().for_each(|case| check(case, backend));
    }
}

#[test]
fn every_family_gives_the_tokens_of_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for family in ["qwen2", "llama", "mistral"] {
        assert!(cases.iter().any(|case| case.config["model_type"] == family), "{family}");
    }
    for backend in [Backend::Native, Backend::Candle] {
        cases.iter().for_each(|case| check(case, backend));
    }
}
