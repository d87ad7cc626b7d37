//! `maspo serve` over real sockets with the embedded model: what clients get, who is refused, and
//! that nobody's answer depends on anybody else.

use maspo::chat::{ChatModel, Message, Request, Sampling};
use maspo::{Dtype, EngineOptions, LocalModel, ModelSource};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PROMPT: &str = "Work with care. Report the agent.\nSession:\nagent: headless, rate: rapid, path: login";

/// A running server. Dropping it ends the process.
struct Server {
    child: Child,
    address: String,
    token: String,
    stderr: std::thread::JoinHandle<String>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let mut child = Command::new(env!("CARGO_BIN_EXE_maspo"))
            .args(["serve", "--model", "embedded:triage", "--listen", "127.0.0.1:0", "--threads", "1"])
            .arg("--token-file")
            .arg(&file)
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let (mut seen, mut line) = (String::new(), String::new());
        while !line.starts_with("ready: ") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended: {seen}");
            seen.push_str(&line);
        }
        let url = line["ready: http://".len()..].split(' ').next().unwrap().to_string();
        let stderr = std::thread::spawn(move || {
            lines.read_to_string(&mut seen).unwrap();
            seen
        });
        let token = std::fs::read_to_string(&file).unwrap().trim().to_string();
        Self { child, address: url, token, stderr, _folder: folder }
    }

    /// Sends a request with these further lines in its head and returns the open connection.
    fn open(&self, line: &str, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        write!(stream, "{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}").unwrap();
        stream
    }

    fn own_head(&self) -> String {
        let (host, token) = (&self.address, &self.token);
        format!("Host: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n")
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, text) = read(self.open(&format!("POST {path}"), &self.own_head(), &body.to_string()));
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (status, _, text) = read(self.open(&format!("GET {path}"), &self.own_head(), ""));
        (status, text)
    }

    fn chat(&self, more: Value) -> Value {
        let (status, answer) = self.post("/v1/chat/completions", &chat(more));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Returns the events of a streamed chat, without the last one.
    fn events(&self, more: Value) -> Vec<Value> {
        let mut body = chat(more);
        body["stream"] = json!(true);
        let (status, _, text) = read(self.open("POST /v1/chat/completions", &self.own_head(), &body.to_string()));
        assert_eq!(status, 200, "{text}");
        let events = text.split("\n\n").filter(|event| !event.is_empty());
        let mut events: Vec<&str> = events.map(|event| event.strip_prefix("data: ").unwrap()).collect();
        assert_eq!(events.pop(), Some("[DONE]"));
        events.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }

    fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// Waits until nothing runs any more, also nothing of clients that left.
    fn wait_until_idle(&self) {
        let since = Instant::now();
        let figures = ["maspo_completions_open", "maspo_requests_running", "maspo_requests_waiting"];
        while figures.iter().any(|name| self.metric(name) > 0.0) {
            assert!(since.elapsed() < Duration::from_secs(30), "the request of a client that left goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the memory that the server occupies, where the system tells it.
    fn memory_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
    }

    fn signal(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a whole answer: status, head and body.
fn read(mut stream: TcpStream) -> (u16, String, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { joined(body) } else { body.into() };
    (status, head.to_string(), body)
}

/// Joins the chunks of a body.
fn joined(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        text.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    text
}

fn chat(more: Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": PROMPT }], "max_tokens": 32, "temperature": 0 });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

fn local() -> LocalModel {
    let source = ModelSource::parse("embedded:triage").unwrap();
    LocalModel::open(&source, &EngineOptions::default(), Dtype::Auto, false).unwrap()
}

#[test]
fn answers_are_those_of_the_engine_alone_in_a_crowd_and_streamed() {
    let (server, model) = (Server::start(&[]), local());
    let request = |sampling| Request {
        messages: vec![Message::user(PROMPT)],
        max_new_tokens: 32,
        max_thinking_tokens: None,
        sampling,
    };
    let sampled = Sampling { temperature: 0.9, top_k: 20, top_p: 0.9, seed: u64::MAX - 3 };
    let samples = json!({ "temperature": 0.9, "top_k": 20, "top_p": 0.9, "seed": -4 });
    for (sampling, more) in [(Sampling::GREEDY, json!({})), (sampled, samples)] {
        let own = futures::executor::block_on(model.complete(request(sampling))).unwrap();
        let answer = server.chat(more.clone());
        assert_eq!(content(&answer), own.text);
        assert_eq!(answer["usage"]["completion_tokens"], own.usage.new_tokens);
        assert_eq!(answer["usage"]["prompt_tokens"], own.usage.prompt_tokens);
        // Twelve clients with other seeds and other lengths, and one that asks the same.
        std::thread::scope(|scope| {
            for seed in 0..12 {
                let server = &server;
                scope.spawn(move || server.chat(json!({ "temperature": 1.3, "seed": seed, "max_tokens": 10 + seed })));
            }
            for _ in 0..3 {
                assert_eq!(content(&server.chat(more.clone())), own.text);
            }
        });
        let mut streamed = more.clone();
        streamed["stream_options"] = json!({ "include_usage": true });
        let events = server.events(streamed);
        let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, own.text);
        assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], own.usage.new_tokens);
        let reasons: Vec<&str> =
            events.iter().filter_map(|event| event["choices"][0]["finish_reason"].as_str()).collect();
        assert_eq!(reasons, ["stop"]);
    }
    // The prompt was computed once for all.
    let cached = server.chat(json!({}))["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    assert!(cached >= 16, "{cached}");
}

#[test]
fn log_probabilities_of_chosen_tokens_are_those_that_the_judge_reads() {
    let (server, model) = (Server::start(&[]), local());
    let request = Request {
        messages: vec![Message::user(PROMPT)],
        max_new_tokens: 1,
        max_thinking_tokens: None,
        sampling: Sampling::GREEDY,
    };
    let letters = ["A", "B"];
    let scores = futures::executor::block_on(model.score(request, letters.map(str::to_string).to_vec())).unwrap();
    let ids = letters.map(|letter| {
        let (status, answer) = server.post("/tokenize", &json!({ "prompt": letter, "add_special_tokens": false }));
        assert_eq!((status, answer["count"].as_u64()), (200, Some(1)), "{answer}");
        answer["tokens"][0].as_u64().unwrap()
    });
    let answer = server.chat(json!({
        "max_tokens": 1, "max_thinking_tokens": 0, "logprobs": true, "top_logprobs": 2, "logprob_token_ids": ids,
        "return_tokens_as_token_ids": true,
    }));
    let first = &answer["choices"][0]["logprobs"]["content"][0];
    let of = |id: u64| {
        let listed = first["top_logprobs"].as_array().unwrap().iter();
        let mut found = listed.filter(|entry| entry["token"] == format!("token_id:{id}"));
        found.next().unwrap_or_else(|| panic!("no {id} in {first}"))["logprob"].as_f64().unwrap()
    };
    assert_eq!(ids.map(of).to_vec(), scores.logprobs);
    // The likeliest token comes first, and is the one that was chosen.
    assert_eq!(first["top_logprobs"][0]["token"], first["token"]);
    let prompt = model.engine().encode_chat(&[Message::user(PROMPT)], false).unwrap();
    let body = json!({ "prompt": prompt, "max_tokens": 4, "temperature": 0, "logprobs": 3, "n": 2 });
    let (status, answer) = server.post("/v1/completions", &body);
    assert_eq!(status, 200, "{answer}");
    let choice = &answer["choices"][0];
    assert_eq!(choice["logprobs"]["tokens"].as_array().unwrap().concat(), choice["text"].as_str().unwrap());
    assert_eq!(choice["text"], answer["choices"][1]["text"]);
    assert!(choice["logprobs"]["token_logprobs"][0].as_f64().unwrap() <= 0.0);
    assert_eq!(answer["usage"]["prompt_tokens"], prompt.len());
}

/// Joins the texts of a list.
trait Concat {
    fn concat(&self) -> String;
}

impl Concat for Vec<Value> {
    fn concat(&self) -> String {
        self.iter().map(|text| text.as_str().unwrap()).collect()
    }
}

#[test]
fn texts_that_end_an_answer_are_not_part_of_it() {
    let server = Server::start(&[]);
    let whole = server.chat(json!({}));
    let text = content(&whole);
    let (stop, at) = (&text[6..10], text.find(&text[6..10]).unwrap());
    let cut = server.chat(json!({ "stop": [stop, "never to be seen"] }));
    assert_eq!(content(&cut), &text[..at]);
    assert_eq!(
        (&cut["choices"][0]["finish_reason"], &cut["choices"][0]["stop_reason"]),
        (&json!("stop"), &json!(stop))
    );
    let events = server.events(json!({ "stop": stop }));
    let streamed: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(streamed, &text[..at]);
    let short = server.chat(json!({ "max_tokens": 2 }));
    assert_eq!(short["choices"][0]["finish_reason"], "length");
}

#[test]
fn who_must_not_ask_is_refused_and_learns_nothing() {
    let mut server = Server::start(&["--max-requests", "2", "--max-tokens", "50"]);
    let (host, token) = (server.address.clone(), server.token.clone());
    let json = "Content-Type: application/json\r\n";
    let (own, bearer) = (format!("Host: {host}\r\n"), format!("Authorization: Bearer {token}\r\n"));
    let body = chat(json!({})).to_string();
    let status = |line: &str, head: &str, body: &str| read(server.open(line, head, body)).0;
    let post = "POST /v1/chat/completions";
    assert_eq!(status(post, &format!("{own}{json}"), &body), 401);
    for path in ["/health", "/metrics", "/v1/models", "/nothing"] {
        assert_eq!(status(&format!("GET {path}"), &own, ""), 401, "{path}");
    }
    assert_eq!(status(post, &format!("{own}{json}{bearer}Origin: http://{host}\r\n"), &body), 403);
    assert_eq!(status(post, &format!("Host: evil.example\r\n{json}{bearer}"), &body), 403);
    assert_eq!(status(post, &format!("{own}{bearer}"), &body), 415);
    assert_eq!(status("GET /nothing", &format!("{own}{bearer}"), ""), 404);
    assert_eq!(status("GET /v1/completions", &format!("{own}{bearer}"), ""), 405);
    assert_eq!(status(post, &format!("{own}{bearer}{json}"), "{"), 400);
    let (status, head, _) = read(server.open(post, &server.own_head(), &chat(json!({ "n": 3 })).to_string()));
    assert!(status == 429 && head.to_lowercase().contains("retry-after: 1"), "{head}");
    let refused = |more: Value, code: &str, words: &str| {
        let (_, answer) = server.post("/v1/chat/completions", &chat(more));
        let error = &answer["error"];
        assert_eq!(error["code"], code, "{answer}");
        assert!(error["message"].as_str().unwrap().contains(words), "{answer}");
    };
    refused(json!({ "model": "gpt-9" }), "model_not_found", "embedded");
    refused(json!({ "response_format": { "type": "json_object" } }), "invalid_request", "`response_format`");
    refused(json!({ "max_tokens": 51 }), "invalid_request", "from 1 to 50");
    let long = json!({ "messages": [{ "role": "user", "content": "report the agent ".repeat(20_000) }] });
    refused(long, "context_length_exceeded", "maximum context length");
    // A body that is too large is refused by its length alone.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    write!(stream, "{post} HTTP/1.1\r\nContent-Length: 9000000\r\n{}\r\n", server.own_head()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(server.get("/health").0, 200);
    assert!(server.get("/v1/models").1.contains("embedded"));
    server.signal();
    assert!(server.child.wait().unwrap().success());
    let stderr = std::mem::replace(&mut server.stderr, std::thread::spawn(String::new)).join().unwrap();
    assert!(!stderr.contains("Report the agent") && !stderr.contains(&token), "{stderr}");
}

#[test]
fn a_client_that_leaves_is_dropped_and_a_stop_waits_for_the_others() {
    let mut server = Server::start(&[]);
    let endless = |tokens: usize| chat(json!({ "max_tokens": tokens, "ignore_eos": true, "stream": true })).to_string();
    let gone = server.open("POST /v1/chat/completions", &server.own_head(), &endless(700));
    let mut head = [0; 12];
    (&gone).read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(gone);
    server.wait_until_idle();
    assert!(server.metric("maspo_generated_tokens_total") < 700.0);
    let stays = server.open("POST /v1/chat/completions", &server.own_head(), &endless(400));
    (&stays).read_exact(&mut head).unwrap();
    server.signal();
    let mut rest = String::new();
    (&stays).read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"finish_reason\":\"length\"") && rest.contains("[DONE]"));
    assert!(server.child.wait().unwrap().success());
    assert!(TcpStream::connect(&server.address).is_err());
}

/// Sends request `number` of a crowd. Every third one is broken off, before its answer or after the
/// first part of a stream. All others must get the text of their kind, whole or streamed.
fn send_one_of_a_crowd(server: &Server, number: usize, kinds: &[(Value, String)]) {
    let (more, expected) = &kinds[number % kinds.len()];
    let streams = (number / 3).is_multiple_of(2);
    if number.is_multiple_of(3) {
        let mut body = chat(more.clone());
        body["stream"] = json!(streams);
        let mut stream = server.open("POST /v1/chat/completions", &server.own_head(), &body.to_string());
        if streams {
            stream.read_exact(&mut [0; 12]).unwrap();
        }
    } else if streams {
        let events = server.events(more.clone());
        let parts = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
        assert_eq!(parts.collect::<String>(), *expected, "request {number}");
    } else {
        assert_eq!(content(&server.chat(more.clone())), expected, "request {number}");
    }
}

#[test]
fn two_thousand_requests_of_64_clients_get_their_own_answers_in_bounded_memory() {
    const CLIENTS: usize = 64;
    let server = Server::start(&[]);
    let kinds: Vec<(Value, String)> = (0..10)
        .map(|kind| {
            let question = format!("{PROMPT}, number: {}", kind % 4);
            let more = json!({
                "messages": [{ "role": "user", "content": question }],
                "max_tokens": 6 + kind, "temperature": if kind < 3 { 0.0 } else { 1.2 }, "seed": kind,
            });
            let text = content(&server.chat(more.clone())).to_string();
            (more, text)
        })
        .collect();
    let crowd = |numbers: std::ops::Range<usize>| {
        let next = AtomicUsize::new(numbers.start);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= numbers.end {
                            break;
                        }
                        send_one_of_a_crowd(&server, number, &kinds);
                    }
                });
            }
        });
    };
    crowd(0..500);
    let memory = server.memory_mib();
    crowd(500..2000);
    if let Some((before, after)) = memory.zip(server.memory_mib()) {
        assert!(after < before + 16.0, "{before} MiB after 500 requests, {after} MiB after 2,000");
    }
    server.wait_until_idle();
    let answered = server.metric("maspo_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"}");
    assert!(answered >= 1333.0, "{answered}");
    assert_eq!(server.metric("maspo_kv_used_ratio"), 0.0);
}

#[test]
fn other_machines_are_let_in_only_when_that_is_said() {
    let run = |flags: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_maspo"))
            .args(["serve", "--model", "embedded:triage"])
            .args(flags)
            .output()
            .unwrap()
    };
    let output = run(&["--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen-anywhere"));
    assert_eq!(run(&["--listen", "localhost:80"]).status.code(), Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The server is locked like every other command: it accepts connections and opens none.
#[cfg(target_os = "linux")]
#[test]
fn the_server_is_locked() {
    let server = Server::start(&[]);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let statuses: Vec<String> =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect();
    assert!(!statuses.is_empty());
    for status in statuses {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        assert_eq!((field("Seccomp:"), field("NoNewPrivs:")), (Some("2"), Some("1")), "{status}");
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_serves_too_and_goes_with_the_server() {
    use std::os::unix::net::UnixStream;
    let folder = tempfile::tempdir().unwrap();
    let (socket, file) = (folder.path().join("socket"), folder.path().join("token"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_maspo"))
        .args(["serve", "--model", "embedded:triage", "--threads", "1", "--token-file"])
        .arg(&file)
        .arg("--listen")
        .arg(format!("unix:{}", socket.display()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    while !line.starts_with("ready: ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0);
    }
    let mut stream = UnixStream::connect(&socket).unwrap();
    let token = std::fs::read_to_string(&file).unwrap();
    let token = token.trim();
    write!(
        stream,
        "GET /health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(!socket.exists());
}
