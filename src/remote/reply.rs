//! Reads the answers of servers. What is missing in them is told apart from what a model wrote.

use super::failure::Failure;
use crate::chat::{Completion, FinishReason, Origin, Usage};
use serde_json::Value;

/// The marks that a server leaves in the content if it does not split a thought off.
const MARKS: (&str, &str) = ("<think>", "</think>");

/// The longest message of a server that is repeated, in bytes.
const MAX_MESSAGE_BYTES: usize = 300;

/// Reads a chat completion.
pub(super) fn completion(answer: &Value) -> Result<Completion, Failure> {
    let choice = choice(answer)?;
    let message = &choice["message"];
    let text = |name: &str| message[name].as_str();
    // Some servers say null where there is no content.
    let content = text("content").unwrap_or_default();
    let reasoning = text("reasoning_content").or(text("reasoning")).filter(|reasoning| !reasoning.is_empty());
    let finish_reason = match choice["finish_reason"].as_str() {
        Some("length") => FinishReason::Length,
        _ => FinishReason::Stop,
    };
    let usage = usage(answer);
    let (reasoning, content, is_open) = match reasoning {
        Some(reasoning) => (Some(reasoning.to_string()), content.to_string(), content.is_empty()),
        None => split(content),
    };
    let cut_in_reasoning = is_open && finish_reason == FinishReason::Length;
    Ok(Completion { text: content, reasoning, cut_in_reasoning, finish_reason, usage })
}

/// Splits a thought off that the server left in the content. Returns it, the content, and whether
/// the thought was never closed.
pub(super) fn split(text: &str) -> (Option<String>, String, bool) {
    let (open, close) = MARKS;
    let thought = |text: &str| text.trim().strip_prefix(open).unwrap_or(text.trim()).trim().to_string();
    match text.split_once(close) {
        Some((before, after)) if before.trim_start().starts_with(open) || !before.contains(open) => {
            (Some(thought(before)), after.trim_start().to_string(), false)
        }
        None if text.trim_start().starts_with(open) => (Some(thought(text)), String::new(), true),
        _ => (None, text.to_string(), false),
    }
}

fn choice(answer: &Value) -> Result<&Value, Failure> {
    let choice = answer["choices"].get(0).filter(|choice| choice["message"].is_object());
    choice.ok_or_else(|| Failure::passing("its answer has no `choices`"))
}

pub(super) fn usage(answer: &Value) -> Usage {
    let usage = &answer["usage"];
    let count = |value: &Value| value.as_u64().unwrap_or(0) as usize;
    let prompt_tokens = count(&usage["prompt_tokens"]);
    Usage {
        prompt_tokens,
        reused_tokens: count(&usage["prompt_tokens_details"]["cached_tokens"]).min(prompt_tokens),
        new_tokens: count(&usage["completion_tokens"]),
        origin: Origin::Model,
    }
}

/// The log-probabilities that stand beside the first token of an answer, by the tokens' names;
/// `None` if the server gives none.
pub(super) fn first_logprobs(answer: &Value) -> Result<Option<Vec<(String, f64)>>, Failure> {
    let first = &choice(answer)?["logprobs"]["content"][0];
    let entry = |entry: &Value| Some((entry["token"].as_str()?.to_string(), entry["logprob"].as_f64()?));
    let Some(own) = entry(first) else { return Ok(None) };
    let mut all: Vec<(String, f64)> =
        first["top_logprobs"].as_array().into_iter().flatten().filter_map(entry).collect();
    if !all.iter().any(|(token, _)| *token == own.0) {
        all.push(own);
    }
    Ok(Some(all))
}

/// Returns the message of an error's body, cut to a bounded length.
pub(super) fn fault_message(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let places = [&json["error"]["message"], &json["message"], &json["detail"], &json["error"]];
    let message = places.into_iter().find_map(Value::as_str);
    let message = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_string);
    let message = message.trim().replace('\n', " ");
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    if message.is_empty() { "no message".to_string() } else { message[..end].to_string() }
}

/// Recognizes a request that is longer than the model can hold, in the words of vLLM (and `maspo
/// serve`), SGLang and llama-server.
pub(super) fn too_long(body: &[u8]) -> Option<Failure> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let error = &json["error"];
    let message = error["message"].as_str().or(json["message"].as_str()).unwrap_or_default();
    let is_too_long = error["code"] == "context_length_exceeded"
        || error["type"] == "exceed_context_size_error"
        || message.contains("maximum context length")
        || message.contains("longer than the model's context length");
    if !is_too_long {
        return None;
    }
    let after = |words: &str| {
        let at = message.find(words)? + words.len();
        let digits: String = message[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    };
    let field = |name: &str| error[name].as_u64().map(|count| count as usize);
    let limit = after("maximum context length is ").or(field("n_ctx")).unwrap_or(0);
    let requested = after("you requested ").or(field("n_prompt_tokens")).unwrap_or(0);
    let prompt_tokens = after(" tokens (").or(field("n_prompt_tokens")).unwrap_or(requested);
    Some(Failure::TooLong { prompt_tokens, new_tokens: requested.saturating_sub(prompt_tokens), limit })
}
