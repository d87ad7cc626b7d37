//! Real weights: SmolLM2-135M-Instruct, which `scripts/real-model.sh` fetches, against what
//! transformers answers with the same weights in f32 (`tests/golden/smollm2.json`, written by
//! `scripts/peers/real_model.py`). Without the file the tests say that they are skipped, unless
//! `MASPO_REQUIRE_REAL_MODEL` is set.

use futures::executor::block_on;
use maspo::chat::{Message, Sampling};
use maspo::engine::qwen3::Dtype;
use maspo::engine::{EngineOptions, ModelSource, TokenRequest};
use maspo::local::LocalModel;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Golden {
    file: String,
    texts: Vec<Text>,
    conversations: Vec<Conversation>,
    page: String,
    page_ids: Vec<u32>,
    /// The mean negative log-probability of every token of the page after the first.
    nats: f64,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Message>,
    ids: Vec<u32>,
    greedy: Vec<u32>,
    /// How far the logit of each new token is above the next best.
    leads: Vec<f64>,
}

/// Greedy tokens are compared up to the first one that leads by less than rounding can move a
/// logit.
const CLEAR_LEAD: f64 = 2e-3;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the golden file and the model's file; `None` where the model was not fetched.
fn real_model() -> Option<(Golden, PathBuf)> {
    let golden: Golden =
        serde_json::from_slice(&std::fs::read(root().join("tests/golden/smollm2.json")).unwrap()).unwrap();
    let folder = std::env::var_os("MASPO_REAL_MODEL").map_or_else(|| root().join("target/real-model"), PathBuf::from);
    let path = folder.join(&golden.file);
    if path.is_file() {
        return Some((golden, path));
    }
    let why = format!("{} is missing: run scripts/real-model.sh", path.display());
    assert!(std::env::var_os("MASPO_REQUIRE_REAL_MODEL").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
    None
}

fn open(path: &Path, dtype: Dtype) -> LocalModel {
    LocalModel::open(&ModelSource::Gguf(path.to_path_buf()), &EngineOptions::default(), dtype, false).unwrap()
}

/// Returns the mean negative log-probability of the page.
fn nats(model: &LocalModel, page: &[u32]) -> f64 {
    let (first, rest) = page.split_at(1);
    let scores = block_on(model.engine().score_tokens(first.to_vec(), vec![rest.to_vec()])).unwrap();
    -scores.logprobs[0] / rest.len() as f64
}

#[test]
fn in_f32_tokens_answers_and_perplexity_are_those_of_transformers() {
    let Some((golden, path)) = real_model() else { return };
    let model = open(&path, Dtype::F32);
    for Text { text, ids } in &golden.texts {
        assert_eq!(&model.engine().encode_raw(text).unwrap(), ids, "{text:?}");
        assert_eq!(&model.engine().decode(ids), text);
    }
    let page = std::fs::read_to_string(root().join(&golden.page)).unwrap();
    assert_eq!(model.engine().encode_raw(&page).unwrap()[..golden.page_ids.len()], golden.page_ids);
    for Conversation { messages, ids, greedy, leads } in &golden.conversations {
        assert_eq!(&model.engine().encode_chat(messages, false).unwrap(), ids, "{messages:?}");
        let clear = leads.iter().take_while(|lead| **lead > CLEAR_LEAD).count();
        assert!(clear > 8, "{messages:?}: {leads:?}");
        let request = TokenRequest {
            prompt: ids.clone(),
            max_new_tokens: greedy.len(),
            sampling: Sampling::GREEDY,
            ignore_eos: true,
            stop: Vec::new(),
        };
        let found = block_on(model.engine().generate(request)).unwrap().token_ids;
        assert_eq!(found[..clear], greedy[..clear], "{messages:?}");
    }
    let found = nats(&model, &golden.page_ids);
    assert!((found - golden.nats).abs() < 1e-4, "{found} nats in place of {}", golden.nats);
}

#[test]
fn as_loaded_the_perplexity_is_within_half_a_percent() {
    let Some((golden, path)) = real_model() else { return };
    let found = (nats(&open(&path, Dtype::Auto), &golden.page_ids) - golden.nats).exp();
    eprintln!("perplexity {:.4} times that of transformers in f32", found);
    assert!((found - 1.0).abs() < 0.005, "{found} times the perplexity of transformers");
}
