//! Dialects and failures against a server of recorded shapes: vLLM's as documented for 0.11 (with
//! `logprob_token_ids` of July 2026), llama-server's as of its `/props` route, OpenAI's and
//! Ollama's; SGLang's `/generate` as documented for 0.5.

use super::{Api, ApiKey, EndpointOptions, Notify, RemoteError, RemoteModel};
use crate::chat::{ChatError, ChatModel, Completion, FinishReason, Message, Request, Sampling};
use crate::engine::{ModelSource, ModelText};
use futures::executor::block_on;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a scripted server does with a request: a status, further lines of the head, and a body.
type Script = dyn Fn(&str, &Value) -> (u16, String, String) + Send + Sync;

/// A server that answers by a script, and records bodies by path.
struct Fake {
    url: String,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Fake {
    fn start(script: impl Fn(&str, &Value) -> (u16, String, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, script): (Arc<Mutex<Vec<_>>>, Arc<Script>) = (Arc::default(), Arc::new(script));
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, record) = (Arc::clone(&script), Arc::clone(&record));
                std::thread::spawn(move || answer(stream.unwrap(), &*script, &record));
            }
        });
        Self { url, seen }
    }

    fn options(&self) -> EndpointOptions {
        EndpointOptions { urls: vec![self.url.parse().unwrap()], max_in_flight: 2, retries: 2, ..Default::default() }
    }

    /// Returns the bodies that were posted to `path`.
    fn bodies(&self, path: &str) -> Vec<Value> {
        self.seen.lock().unwrap().iter().filter(|(seen, _)| seen == path).map(|(_, body)| body.clone()).collect()
    }
}

fn answer(stream: TcpStream, script: &Script, record: &Mutex<Vec<(String, Value)>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut path, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap().to_string();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        record.lock().unwrap().push((path.clone(), body.clone()));
        let (status, head, text) = script(&path, &body);
        let length = text.len();
        let stream = reader.get_mut();
        if head == "cut" {
            // The connection ends before the body that was announced.
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{text}");
            return;
        }
        if write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{head}\r\n{text}").is_err() {
            return;
        }
    }
}

fn ok(body: Value) -> (u16, String, String) {
    (200, String::new(), body.to_string())
}

fn status(status: u16, message: &str) -> (u16, String, String) {
    (status, String::new(), json!({ "error": { "message": message } }).to_string())
}

fn models(owner: &str) -> (u16, String, String) {
    ok(json!({ "object": "list", "data": [{ "id": "m", "owned_by": owner, "max_model_len": 4096 }] }))
}

fn text(content: Value) -> Value {
    json!({
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": { "cached_tokens": 4 } },
    })
}

fn request() -> Request {
    let sampling = Sampling { temperature: 0.5, top_k: 0, top_p: 0.9, seed: u64::MAX };
    Request { messages: vec![Message::user("hello")], max_new_tokens: 7, max_thinking_tokens: None, sampling }
}

/// Opens a model; what it says goes to the list.
fn open(options: &EndpointOptions) -> (Result<RemoteModel, RemoteError>, Arc<Mutex<Vec<String>>>) {
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&said);
    let notify: Notify = Arc::new(move |message| heard.lock().unwrap().push(message.to_string()));
    (RemoteModel::open(options, false, notify), said)
}

/// A server of `owner` whose chat completions are these answers, one after the other; the last one
/// again and again.
fn serving(owner: &'static str, answers: Vec<(u16, String, String)>) -> Fake {
    let next = Mutex::new(0);
    Fake::start(move |path, _| match path {
        "/v1/models" => models(owner),
        "/version" => ok(json!({ "version": "0.11.0" })),
        "/tokenize" => ok(json!({ "tokens": [32], "count": 1 })),
        "/v1/chat/completions" => {
            let mut next = next.lock().unwrap();
            *next += 1;
            answers[(*next - 1).min(answers.len() - 1)].clone()
        }
        _ => status(404, "no route"),
    })
}

fn complete(fake: &Fake) -> Result<Completion, ChatError> {
    block_on(open(&fake.options()).0.unwrap().complete(request()))
}

#[test]
fn every_dialect_is_told_what_its_server_would_decide_itself() {
    let body = |owner: &'static str| {
        let fake = serving(owner, vec![ok(text(json!("hi")))]);
        let answer = complete(&fake).unwrap();
        assert_eq!((answer.text.as_str(), answer.usage.prompt_tokens, answer.usage.reused_tokens), ("hi", 9, 4));
        fake.bodies("/v1/chat/completions").remove(0)
    };
    let vllm = body("vllm");
    assert_eq!((&vllm["top_k"], &vllm["min_p"], &vllm["seed"]), (&json!(-1), &json!(0.0), &json!(-1)));
    assert_eq!((&vllm["max_tokens"], &vllm["top_p"], &vllm["temperature"]), (&json!(7), &json!(0.9), &json!(0.5)));
    assert_eq!(vllm["chat_template_kwargs"], json!({ "enable_thinking": false }));
    let llama = body("llamacpp");
    assert_eq!((&llama["top_k"], &llama["repeat_penalty"]), (&json!(0), &json!(1.0)));
    let ollama = body("library");
    assert_eq!((&ollama["reasoning_effort"], &ollama["top_k"]), (&json!("none"), &Value::Null));
    let other = body("somebody");
    assert_eq!((&other["chat_template_kwargs"], &other["seed"]), (&Value::Null, &json!(0x7fff_ffff)));
}

#[test]
fn thoughts_are_split_off_whoever_does_it() {
    let read = |message: Value, reason: &str| {
        let mut answer = text(json!(null));
        answer["choices"][0]["message"] = message;
        answer["choices"][0]["finish_reason"] = json!(reason);
        super::reply::completion(&answer).unwrap()
    };
    let answer = read(json!({ "content": "a", "reasoning_content": "why" }), "stop");
    assert_eq!((answer.text.as_str(), answer.reasoning.as_deref(), answer.cut_in_reasoning), ("a", Some("why"), false));
    let answer = read(json!({ "content": null, "reasoning": "why" }), "length");
    assert_eq!((answer.text.as_str(), answer.cut_in_reasoning), ("", true));
    assert_eq!(answer.finish_reason, FinishReason::Length);
    let answer = read(json!({ "content": "<think>\nwhy\n</think>\n\na" }), "stop");
    assert_eq!((answer.text.as_str(), answer.reasoning.as_deref()), ("a", Some("why")));
    assert!(read(json!({ "content": "<think>why" }), "length").cut_in_reasoning);
    assert_eq!(read(json!({ "content": null }), "stop").text, "");
}

/// Returns the scores of A and B, and what was said.
fn score(fake: &Fake) -> (Vec<f64>, Vec<String>) {
    let (model, said) = open(&fake.options());
    let scores = block_on(model.unwrap().score(request(), vec!["A".into(), "B".into()])).unwrap();
    let said = said.lock().unwrap().clone();
    (scores.logprobs, said)
}

fn listed(entries: &[(&str, f64)]) -> Value {
    let mut answer = text(json!("A"));
    let entry = |(token, logprob): &(&str, f64)| json!({ "token": token, "logprob": logprob });
    let mut first = entry(&entries[0]);
    first["top_logprobs"] = entries.iter().map(entry).collect();
    answer["choices"][0]["logprobs"] = json!({ "content": [first] });
    answer
}

#[test]
fn the_judge_reads_chosen_tokens_the_likeliest_or_text() {
    let ids = Mutex::new(31);
    let vllm = Fake::start(move |path, body| match path {
        "/v1/models" => models("vllm"),
        "/tokenize" => {
            *ids.lock().unwrap() += 1;
            ok(json!({ "tokens": [*ids.lock().unwrap()] }))
        }
        "/v1/chat/completions" if body["logprob_token_ids"] == json!([32, 33]) => {
            ok(listed(&[("token_id:7", -0.1), ("token_id:32", -3.5), ("token_id:33", -4.5)]))
        }
        _ => status(404, "no route"),
    });
    assert_eq!(score(&vllm), (vec![-3.5, -4.5], vec![]));
    let body = vllm.bodies("/v1/chat/completions").remove(0);
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(1), &json!(0.0)));

    // Letters that are not listed count as impossible, and that is said once.
    let openai = serving("openai", vec![ok(listed(&[(" A", -0.2), ("No", -2.0)]))]);
    let (logprobs, said) = score(&openai);
    assert_eq!(logprobs, [-0.2, -9999.0]);
    assert!(said.len() == 1 && said[0].contains("low mass"), "{said:?}");

    // No log-probabilities at all: the text decides, and that is said.
    for refusal in [ok(text(json!("x"))), status(400, "logprobs is not supported")] {
        let silent = serving("openai", vec![refusal, ok(text(json!("B is better")))]);
        let (logprobs, said) = score(&silent);
        assert_eq!(logprobs, [-9999.0, 0.0]);
        assert!(said.len() == 1 && said[0].contains("read from its text"), "{said:?}");
    }
}

/// Opens a model whose prompts are rendered here, and returns it with the prompt of [`request`] and
/// the tokens of A and B.
fn open_rendering(fake: &Fake) -> (RemoteModel, Vec<u32>, [u32; 2]) {
    let text = ModelText::open(&ModelSource::parse("embedded:triage").unwrap(), None).unwrap();
    let prompt = text.chat().encode_chat(&request().messages, false).unwrap();
    let letters = ["A", "B"].map(|letter| text.chat().tokenizer().encode_data(letter).unwrap()[0]);
    (open(&fake.options()).0.unwrap().with_text(Arc::new(text)), prompt, letters)
}

/// Checks what a model answers whose prompts are sent as token ids to `route`; `scored` is what it
/// says of A and B. Returns the bodies of the completion and of the first score.
fn check_rendering(fake: &Fake, route: &str, prompt_key: &str, scored: [f64; 2]) -> [Value; 2] {
    let (model, prompt, letters) = open_rendering(fake);
    let answer = block_on(model.complete(request())).unwrap();
    assert_eq!((answer.text.as_str(), answer.finish_reason), ("hi", FinishReason::Length));
    assert_eq!((answer.usage.prompt_tokens, answer.usage.reused_tokens, answer.usage.new_tokens), (9, 4, 3));
    let scores = block_on(model.score(request(), vec!["A".into(), "B".into()])).unwrap();
    assert_eq!(scores.logprobs, scored, "of {letters:?}");
    let bodies = fake.bodies(route);
    assert_eq!((&bodies[0][prompt_key], &bodies[1][prompt_key]), (&json!(prompt), &json!(prompt)));
    assert!(fake.bodies("/v1/chat/completions").is_empty());
    [bodies[0].clone(), bodies[1].clone()]
}

#[test]
fn sglang_gets_token_ids_and_tells_of_the_tokens_that_are_named() {
    let fake = Fake::start(|path, body| match (path, body["token_ids_logprob"].as_array()) {
        ("/v1/models", _) => models("sglang"),
        ("/generate", asked) => {
            let about = json!({
                "prompt_tokens": 9, "cached_tokens": 4, "completion_tokens": 3, "finish_reason": { "type": "length" },
                "output_token_ids_logprobs": asked.map(|ids| json!([[[-3.5, ids[0], null], [-3.4e38, ids[1], null]]])),
            });
            ok(json!({ "text": "hi", "meta_info": about }))
        }
        _ => status(404, "no route"),
    });
    let [whole, score] = check_rendering(&fake, "/generate", "input_ids", [-3.5, -9999.0]);
    let sampling = &whole["sampling_params"];
    assert_eq!(
        (&sampling["max_new_tokens"], &sampling["top_p"], &sampling["top_k"]),
        (&json!(7), &json!(0.9), &json!(-1))
    );
    assert_eq!((&score["sampling_params"]["max_new_tokens"], &score["return_logprob"]), (&json!(1), &json!(true)));
}

#[test]
fn llama_server_gets_token_ids_and_lists_the_likeliest() {
    let (_, _, [a, b]) = open_rendering(&serving("vllm", vec![]));
    let fake = Fake::start(move |path, body| match path {
        "/v1/models" => models("llamacpp"),
        "/completion" => {
            let mut answer = json!({
                "content": "hi", "stop_type": "limit", "tokens_evaluated": 9, "tokens_predicted": 3,
                "timings": { "cache_n": 4 },
            });
            if body["n_probs"] == 200 {
                let entry = |id: u32, logprob: f64| json!({ "id": id, "token": "x", "logprob": logprob });
                let mut first = entry(a, -0.25);
                first["top_logprobs"] = json!([entry(a, -0.25), entry(b, -1.5)]);
                answer["completion_probabilities"] = json!([first]);
            }
            ok(answer)
        }
        _ => status(404, "no route"),
    });
    let [whole, score] = check_rendering(&fake, "/completion", "prompt", [-0.25, -1.5]);
    assert_eq!((&whole["n_predict"], &whole["repeat_penalty"]), (&json!(7), &json!(1.0)));
    assert_eq!((&score["post_sampling_probs"], &score["temperature"]), (&json!(false), &json!(0.0)));
}

#[test]
fn a_vllm_that_ignores_named_tokens_is_asked_for_those_of_the_prompt() {
    let fake = Fake::start(|path, body| match path {
        "/v1/models" => models("vllm"),
        "/v1/completions" => {
            let mut choice = json!({ "text": "hi", "finish_reason": "length" });
            let prompt = body["prompt"].as_array().unwrap();
            if body["logprobs"] == 20 {
                choice["logprobs"] = json!({ "top_logprobs": [{ "token_id:99999": -0.1 }] });
            } else if body["prompt_logprobs"] == 1 {
                let logprob = |id: &Value| json!({ id.to_string(): { "logprob": -1.0 - id.as_f64().unwrap() } });
                choice["prompt_logprobs"] = prompt.iter().map(logprob).collect();
                choice["prompt_logprobs"][0] = Value::Null;
            }
            let usage = text(json!(null))["usage"].clone();
            ok(json!({ "choices": [choice], "usage": usage }))
        }
        _ => status(404, "no route"),
    });
    let (_, _, letters) = open_rendering(&fake);
    let [_, score] =
        check_rendering(&fake, "/v1/completions", "prompt", letters.map(|letter| -1.0 - f64::from(letter)));
    assert_eq!((&score["logprob_token_ids"], &score["max_tokens"]), (&json!(letters), &json!(1)));
    // A server that takes texts only renders them itself.
    let other = serving("openai", vec![ok(text(json!("hi")))]);
    let (model, said) = open(&other.options());
    let source = ModelText::open(&ModelSource::parse("embedded:triage").unwrap(), None).unwrap();
    let model = model.unwrap().with_text(Arc::new(source));
    assert_eq!(block_on(model.complete(request())).unwrap().text, "hi");
    assert!(said.lock().unwrap()[0].contains("takes no token ids"));
}

#[test]
fn what_may_pass_is_waited_for_and_said_once() {
    let good = ok(text(json!("hi")));
    let busy = (429, "Retry-After: 1\r\n".to_string(), "{}".to_string());
    let cut = (200, "cut".to_string(), "{\"choices\"".to_string());
    for bad in [status(503, "loading"), busy, cut, (200, String::new(), "no json".to_string())] {
        let fake = serving("vllm", vec![bad.clone(), good.clone()]);
        let (model, said) = open(&fake.options());
        assert_eq!(block_on(model.unwrap().complete(request())).unwrap().text, "hi", "{bad:?}");
        let said = said.lock().unwrap().clone();
        assert!(said.len() == 2 && said[0].contains("waiting") && said[1].ends_with("answers again"), "{said:?}");
    }
    // One that never comes back ends the run, which can be resumed.
    let gone = serving("vllm", vec![status(500, "out of memory")]);
    let error = complete(&gone).unwrap_err();
    assert!(matches!(&error, ChatError::Unavailable(why) if why.contains("out of memory")), "{error}");
    assert_eq!(gone.bodies("/v1/chat/completions").len(), 3, "two more tries");
}

#[test]
fn what_stays_wrong_is_named_at_once() {
    let check = |answer, words: &str| {
        let fake = serving("vllm", vec![answer]);
        let error = complete(&fake).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(fake.bodies("/v1/chat/completions").len(), 1, "{words}");
    };
    check(status(401, "bad key"), "`model.api_key`");
    check(status(404, "no such model"), "`model.name`");
    check(status(400, "bad field"), "bad field");
    check((302, "Location: http://127.0.0.1:9/\r\n".to_string(), String::new()), "redirects");
    let words = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the \
        messages, 100 in the completion).";
    let fake = serving("vllm", vec![status(400, words)]);
    let error = complete(&fake).unwrap_err();
    assert!(matches!(error, ChatError::Overflow { prompt_tokens: 4900, new_tokens: 100, limit: 4096 }), "{error}");
    let llama = json!({ "error": { "type": "exceed_context_size_error", "n_prompt_tokens": 90, "n_ctx": 64 } });
    let fake = serving("llamacpp", vec![(400, String::new(), llama.to_string())]);
    assert!(matches!(complete(&fake), Err(ChatError::Overflow { prompt_tokens: 90, limit: 64, .. })));
}

#[test]
fn a_server_that_lacks_the_model_is_not_used() {
    let fake = serving("vllm", vec![ok(text(json!("hi")))]);
    let named = |name: &str| EndpointOptions { name: Some(name.to_string()), ..fake.options() };
    assert!(open(&named("m")).0.is_ok());
    let error = open(&named("other")).0.err().unwrap().to_string();
    assert!(error.contains("has no model `other`") && error.contains("its models: m"), "{error}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options =
        EndpointOptions { urls: vec![format!("http://{closed}").parse().unwrap()], retries: 1, ..fake.options() };
    let (refused, said) = open(&options);
    assert!(matches!(refused, Err(RemoteError::Unavailable(_))));
    assert!(said.lock().unwrap()[0].contains("waiting"));
    let key = ApiKey::Env("MASPO_TEST_NO_SUCH_VARIABLE".to_string());
    let error = open(&EndpointOptions { api_key: Some(key), ..fake.options() }).0.err().unwrap();
    assert!(error.to_string().contains("is not set"), "{error}");
}

#[test]
fn two_servers_share_the_load_and_one_stands_in_for_the_other() {
    let (one, two) = (serving("vllm", vec![ok(text(json!("hi")))]), serving("vllm", vec![status(503, "down")]));
    let urls = vec![one.url.parse().unwrap(), two.url.parse().unwrap()];
    let (model, said) = open(&EndpointOptions { urls, ..one.options() });
    let model = model.unwrap();
    let calls = (0..8).map(|_| model.complete(request()));
    for answer in block_on(futures::future::join_all(calls)) {
        assert_eq!(answer.unwrap().text, "hi");
    }
    assert!(one.bodies("/v1/chat/completions").len() >= 8);
    assert!(said.lock().unwrap().len() <= 2 * two.bodies("/v1/chat/completions").len());
}

#[test]
fn the_identity_tells_servers_apart_and_not_their_addresses() {
    let identity = |owner: &'static str, thinking| {
        let fake = serving(owner, vec![ok(text(json!("hi")))]);
        let model = open(&EndpointOptions { api: Api::Auto, ..fake.options() }).0.unwrap();
        model.with_thinking(thinking).identity().digest
    };
    assert_eq!(identity("vllm", false), identity("vllm", false));
    assert_ne!(identity("vllm", false), identity("vllm", true));
    assert_ne!(identity("vllm", false), identity("openai", false));
}
