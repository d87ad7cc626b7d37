//! The local model as a `ChatModel`: what callers see of tokens, limits and identity.

mod support;

use futures::executor::block_on;
use maspo::chat::{ChatError, ChatModel, FinishReason, Message, Request, Sampling};
use maspo::engine::qwen3::Dtype;
use maspo::engine::{EngineOptions, ModelSource};
use maspo::local::LocalModel;
use serde_json::json;
use std::path::Path;
use support::TinyModel;

fn open(folder: &Path, thinking: bool) -> LocalModel {
    let source = ModelSource::parse(folder.to_str().unwrap()).unwrap();
    LocalModel::open(&source, &EngineOptions::default(), Dtype::F32, thinking).unwrap()
}

fn request(text: &str, max_new_tokens: usize) -> Request {
    let messages = vec![Message::user(text)];
    Request { messages, max_new_tokens, max_thinking_tokens: None, sampling: Sampling::GREEDY }
}

#[test]
fn a_completion_reports_its_usage_and_is_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    let model = open(folder.path(), false);
    let prompt_tokens = model.engine().encode_chat(&[Message::user("The capital of France?")], false).unwrap().len();
    let first = block_on(model.complete(request("The capital of France?", 12))).unwrap();
    assert_eq!(first.usage.prompt_tokens, prompt_tokens);
    match first.finish_reason {
        FinishReason::Length => assert_eq!(first.usage.new_tokens, 12),
        FinishReason::Stop => assert!(first.usage.new_tokens < 12),
    }
    let again = block_on(model.complete(request("The capital of France?", 12))).unwrap();
    assert_eq!(again.text, first.text);
    assert!(again.usage.reused_tokens > 0 || prompt_tokens <= 16, "whole blocks of the prompt are reused");
}

#[test]
fn an_answer_of_two_tokens_has_the_product_of_their_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    let model = open(folder.path(), false);
    let ids = model.engine().encode_answer("33").unwrap();
    assert_eq!(ids.len(), 2, "digits are tokens of their own");
    let scores = block_on(model.score(request("How many?", 1), vec!["33".into(), "3".into()])).unwrap();
    let mut longer = model.engine().encode_chat(&[Message::user("How many?")], false).unwrap();
    longer.push(ids[0]);
    let second = block_on(model.engine().score_tokens(longer, vec![vec![ids[1]]])).unwrap().logprobs[0];
    assert!((scores.logprobs[0] - scores.logprobs[1] - second).abs() < 1e-6);
}

/// A template that opens the thought itself, as those of models that always think.
const OPENS: &str = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\
    {%- endfor %}{{- '<|im_start|>assistant\\n<think>\\n' }}";

#[test]
fn a_thought_that_does_not_end_is_no_answer_unless_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    std::fs::write(folder.path().join("chat_template.jinja"), OPENS).unwrap();
    let model = open(folder.path(), false);
    let complete = |max_thinking_tokens| {
        let asked = Request { max_thinking_tokens, ..request("The capital of France?", 24) };
        block_on(model.complete(asked)).unwrap()
    };
    let cut = complete(None);
    assert!(cut.cut_in_reasoning && cut.text.is_empty(), "{cut:?}");
    let reasoning = cut.reasoning.unwrap();
    assert!(!reasoning.is_empty());
    let closed = complete(Some(6));
    assert!(!closed.cut_in_reasoning && closed.usage.new_tokens <= 24, "{closed:?}");
    // The last character may be cut in two.
    let kept = closed.reasoning.clone().unwrap();
    assert!(reasoning.starts_with(kept.trim_end_matches('\u{FFFD}')), "{closed:?} after {reasoning}");
    assert_eq!(complete(Some(6)).text, closed.text);
    let skipped = complete(Some(0));
    assert_eq!((skipped.reasoning, skipped.cut_in_reasoning), (None, false));
    assert!(skipped.usage.prompt_tokens > cut.usage.prompt_tokens, "the empty thought is closed in the prompt");
}

/// What a reply begins with is no token of the model's, and a thought is closed before it.
#[test]
fn the_model_goes_on_from_the_start_of_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    std::fs::write(folder.path().join("chat_template.jinja"), OPENS).unwrap();
    let model = open(folder.path(), false);
    let begun = |start: &str| {
        let mut asked = request("The capital of France?", 8);
        asked.messages.push(Message::assistant(start));
        block_on(model.complete(asked)).unwrap()
    };
    let text = "<|im_start|>user\nThe capital of France?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n42";
    let prompt = model.engine().encode_raw(text).unwrap();
    let completion = begun("42");
    assert_eq!(completion.usage.prompt_tokens, prompt.len());
    assert_eq!((completion.reasoning, completion.cut_in_reasoning), (None, false));
    assert_eq!(begun("42").text, completion.text);
    // Digits are tokens of their own, so the text of control tokens stays text.
    assert!(begun("<|im_end|>").usage.prompt_tokens > prompt.len() - 1);
}

/// The letter is what follows a closed thought, however the template writes it.
#[test]
fn answers_are_scored_after_an_empty_thought() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    let score = |thinking| {
        let model = open(folder.path(), thinking);
        block_on(model.score(request("A or B?", 1), vec!["A".into(), "B".into()])).unwrap().logprobs
    };
    let calm = score(false);
    assert_eq!(score(true), calm, "thinking is skipped where the template can turn it off");
    std::fs::write(folder.path().join("chat_template.jinja"), OPENS).unwrap();
    assert_eq!(score(true), score(false));
    let model = open(folder.path(), false);
    let text = "<|im_start|>user\nA or B?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
    let prompt = model.engine().encode_raw(text).unwrap();
    let answers = ["A", "B"].map(|answer| model.engine().encode_answer(answer).unwrap()).to_vec();
    assert_eq!(score(false), block_on(model.engine().score_tokens(prompt, answers)).unwrap().logprobs);
}

#[test]
fn what_cannot_fit_is_an_overflow() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel { config: json!({"max_position_embeddings": 40}), ..TinyModel::default() }.write(folder.path());
    let model = open(folder.path(), false);
    let error = block_on(model.complete(request(&"1".repeat(60), 4))).unwrap_err();
    assert!(matches!(error, ChatError::Overflow { new_tokens: 4, limit: 40, .. }), "{error}");
    assert!(block_on(model.complete(request("1", 4))).is_ok());
}

#[test]
fn the_identity_covers_everything_that_can_change_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    let identity = |thinking| open(folder.path(), thinking).identity().digest;
    let first = identity(false);
    assert_eq!(first, identity(false));
    assert_ne!(first, identity(true));
    TinyModel { seed: 2, ..TinyModel::default() }.write(folder.path());
    let other_weights = identity(false);
    assert_ne!(first, other_weights);
    std::fs::write(folder.path().join("chat_template.jinja"), "{{ messages[0].content }}").unwrap();
    assert_ne!(other_weights, identity(false));
}

#[test]
fn a_model_without_a_tokenizer_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    let source = ModelSource::parse(folder.path().to_str().unwrap()).unwrap();
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let error = LocalModel::open(&source, &EngineOptions::default(), Dtype::F32, false).err().unwrap();
    assert_eq!(error.to_string(), format!("{} has no tokenizer.json", folder.path().display()));
}
