//! What a request may ask for and what is refused, without a socket and without a model.

use super::ask::{Ask, Input, Prompt, Server};
use super::fields::Fields;
use super::{Hosts, ServeOptions, Token, guard};
use crate::engine::Sampling;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::time::Duration;

const SERVER: Server<'static> = Server { name: "m", max_tokens: 100, other_seed: 7 };

fn fields(body: Value) -> Fields {
    Fields::of_body(body.to_string().as_bytes()).unwrap()
}

fn chat(more: Value) -> Result<Ask, String> {
    let mut body = json!({ "messages": [{ "role": "user", "content": "hello" }] });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    Ask::chat(fields(body), &SERVER).map_err(|fault| fault.json()["error"]["message"].as_str().unwrap().to_string())
}

#[track_caller]
fn refused(more: Value, words: &str) {
    let message = chat(more.clone()).unwrap_err();
    assert!(message.contains(words), "{more}: {message}");
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    refused(json!({ "response_format": { "type": "json_object" } }), "`response_format` is not supported");
    refused(json!({ "guided_json": {} }), "`guided_json` is not supported");
    refused(json!({ "tools": [{}] }), "`tools` is not supported");
    refused(json!({ "logit_bias": { "5": 1 } }), "`logit_bias`");
    refused(json!({ "frobnicate": 1 }), "`frobnicate` is not supported");
    refused(json!({ "model": "other" }), "has the model `m` only");
    refused(json!({ "max_tokens": 101 }), "`max_tokens` must be a whole number from 1 to 100");
    refused(json!({ "temperature": -1 }), "`temperature`");
    refused(json!({ "temperature": "hot" }), "`temperature`");
    refused(json!({ "n": 129 }), "`n`");
    refused(json!({ "top_logprobs": 3 }), "needs `logprobs`");
    refused(json!({ "logprobs": true, "top_logprobs": 21 }), "`top_logprobs`");
    refused(json!({ "logprob_token_ids": [1] }), "needs `logprobs`");
    refused(json!({ "chat_template_kwargs": { "tools": 1 } }), "can hold `enable_thinking` only");
    refused(json!({ "stop": [""] }), "`stop`");
    refused(json!({ "messages": [] }), "`messages` is empty");
    refused(json!({ "messages": [{ "role": "tool", "content": "x" }] }), "`messages[0]` must have the role");
    refused(json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }), "not text");
}

#[test]
fn what_is_asked_for_is_read() {
    let plain = chat(json!({})).unwrap();
    assert_eq!((plain.n, plain.max_tokens, plain.stream), (1, None, false));
    assert_eq!(plain.draws.of_choice(0), Sampling::at(1.0, 7));
    let harmless = json!({ "user": "u", "response_format": { "type": "text" }, "logit_bias": {}, "stop": null });
    assert_eq!(chat(harmless).unwrap(), plain);
    let greedy = chat(json!({ "temperature": 0, "seed": 5 })).unwrap();
    assert_eq!((greedy.draws.of_choice(0), greedy.draws.of_choice(3)), (Sampling::GREEDY, Sampling::GREEDY));
    let seeded = chat(json!({ "seed": -1, "n": 2 })).unwrap().draws;
    assert_eq!(seeded.of_choice(0).seed, u64::MAX);
    assert_ne!(seeded.of_choice(1).seed, u64::MAX);
    let thinks = |more| match chat(more).unwrap().input {
        Input::Chat { thinking, .. } => thinking,
        Input::Prompts(_) => panic!("a chat"),
    };
    assert_eq!(thinks(json!({ "chat_template_kwargs": { "enable_thinking": true } })), Some(true));
    assert_eq!(thinks(json!({ "reasoning_effort": "none" })), Some(false));
    let prompts = |prompt: Value| match Ask::completion(fields(json!({ "prompt": prompt })), &SERVER).unwrap() {
        Ask { input: Input::Prompts(prompts), max_tokens: Some(16), .. } => prompts,
        other => panic!("{other:?}"),
    };
    let text = |text: &str| Prompt::Text(text.to_string());
    assert_eq!(prompts(json!("a")), [text("a")]);
    assert_eq!(prompts(json!(["a", "b"])), [text("a"), text("b")]);
    assert_eq!(prompts(json!([1, 2])), [Prompt::Ids(vec![1, 2])]);
    assert_eq!(prompts(json!([[1], [2]])), [Prompt::Ids(vec![1]), Prompt::Ids(vec![2])]);
    for wrong in [json!(""), json!([]), json!([[]]), json!([-1]), json!({})] {
        assert!(Ask::completion(fields(json!({ "prompt": wrong })), &SERVER).is_err(), "{wrong}");
    }
}

#[test]
fn a_body_that_is_not_json_is_not_quoted() {
    let Err(fault) = Fields::of_body(b"secret {") else { panic!("no JSON") };
    assert!(!fault.json().to_string().contains("secret"));
}

fn options() -> ServeOptions {
    ServeOptions {
        name: "m".to_string(),
        token: Token::of("0123456789abcdef"),
        hosts: Hosts { exact: vec!["127.0.0.1:80".to_string()], any_address: false },
        thinking: false,
        max_tokens: 100,
        max_requests: 4,
        max_connections: 4,
        drain: Duration::from_secs(1),
    }
}

/// Returns the status of a request with these headers; 200 if it passes.
fn status(headers: &[(&'static str, &'static str)]) -> u16 {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    guard::check(&options(), &Method::POST, &map).map_or_else(|fault| fault.status.as_u16(), |()| 200)
}

#[test]
fn only_who_has_the_token_and_is_no_page_is_answered() {
    let host = ("host", "127.0.0.1:80");
    let token = ("authorization", "Bearer 0123456789abcdef");
    let json = ("content-type", "application/json; charset=utf-8");
    assert_eq!(status(&[host, token, json]), 200);
    assert_eq!(status(&[host, json]), 401);
    assert_eq!(status(&[host, json, ("authorization", "Bearer 0123456789abcdeF")]), 401);
    assert_eq!(status(&[host, json, ("authorization", "Basic 0123456789abcdef")]), 401);
    assert_eq!(status(&[host, json, token, token]), 401);
    assert_eq!(status(&[token, json]), 403);
    assert_eq!(status(&[("host", "evil.example:80"), token, json]), 403);
    assert_eq!(status(&[host, host, token, json]), 403);
    assert_eq!(status(&[host, token, json, ("origin", "http://127.0.0.1:80")]), 403);
    assert_eq!(status(&[host, token]), 415);
    assert_eq!(status(&[host, token, ("content-type", "text/plain")]), 415);
    let anywhere = Hosts { exact: vec!["rack:80".to_string()], any_address: true };
    assert!(anywhere.allow("RACK:80") && anywhere.allow("10.0.0.1:80") && anywhere.allow("[::1]:80"));
    assert!(!anywhere.allow("rack") && !anywhere.allow("evil.example:80") && !anywhere.allow(""));
}
