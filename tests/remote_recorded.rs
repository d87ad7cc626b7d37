//! `maspo` over dialogues that were recorded from a real llama-server, which this test replays. The
//! script `scripts/peers/llama_server.py` records them anew and says what it ran.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// One recorded exchange.
#[derive(Clone)]
struct Dialogue {
    status: u16,
    answer: Value,
}

/// The dialogues of one run of the script, by what was asked.
#[derive(Default)]
struct Recorded {
    /// By method, path and body.
    exact: BTreeMap<String, Vec<Dialogue>>,
    /// By method, path and what sort of answer is asked for: a request that was not recorded gets
    /// an answer of its sort, so that a change of the search's requests does not end this test.
    sort: BTreeMap<String, Vec<Dialogue>>,
    /// Requests that were not recorded.
    others: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Returns the dialogues and the findings of a run.
fn recorded(run: &str) -> (Recorded, Value) {
    let text = std::fs::read_to_string(root().join("tests/remote/llama-server.jsonl")).unwrap();
    let (mut recorded, mut result) = (Recorded::default(), Value::Null);
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["run"] != run {
            continue;
        }
        if let Some(found) = row.get("result") {
            result = found.clone();
            continue;
        }
        let (method, path) = (row["method"].as_str().unwrap(), row["path"].as_str().unwrap());
        let dialogue = Dialogue { status: row["status"].as_u64().unwrap() as u16, answer: row["answer"].clone() };
        recorded.exact.entry(exact(method, path, &row["request"])).or_default().push(dialogue.clone());
        recorded.sort.entry(sort(method, path, &row["request"])).or_default().push(dialogue);
    }
    assert!(!recorded.exact.is_empty(), "there are dialogues of {run}");
    (recorded, result)
}

fn exact(method: &str, path: &str, body: &Value) -> String {
    format!("{method} {path} {body}")
}

fn sort(method: &str, path: &str, body: &Value) -> String {
    format!("{method} {path} {}", body["logprobs"])
}

impl Recorded {
    /// Returns the next answer of a request, and the last one again and again.
    fn answer(&mut self, method: &str, path: &str, body: &Value) -> Dialogue {
        let of_sort = self.sort.get_mut(&sort(method, path, body));
        let known = self.exact.get_mut(&exact(method, path, body));
        if known.is_none() {
            self.others.push(exact(method, path, body));
        }
        match known.or(of_sort) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Dialogue { status: 404, answer: Value::Null },
        }
    }
}

/// Starts a server that replays, and returns its URL.
fn replay(recorded: Recorded) -> (String, Arc<Mutex<Recorded>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let recorded = Arc::new(Mutex::new(recorded));
    let shared = Arc::clone(&recorded);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let recorded = Arc::clone(&shared);
            std::thread::spawn(move || serve(stream.unwrap(), &recorded));
        }
    });
    (url, recorded)
}

fn serve(stream: TcpStream, recorded: &Mutex<Recorded>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if first.is_empty() {
                first = line.clone();
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
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let Dialogue { status, answer } = recorded.lock().unwrap().answer(method, path, &body);
        let text = answer.to_string();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}", text.len());
        if write!(reader.get_mut(), "{head}\r\n\r\n{text}").is_err() {
            return;
        }
    }
}

fn maspo(arguments: &[&str]) -> (Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_maspo")).current_dir(root()).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (serde_json::from_slice(&output.stdout).unwrap(), stderr)
}

#[test]
fn the_doctor_knows_a_llama_server() {
    let (recorded, _) = recorded("doctor");
    let (url, recorded) = replay(recorded);
    let (report, _) = maspo(&["doctor", "--json", "--endpoint", &url]);
    let endpoint = &report["endpoint"];
    assert_eq!((&endpoint["api"], &endpoint["judge"]), (&"llama-server".into(), &"likeliest".into()));
    assert_eq!(endpoint["model"], "SmolLM2-135M-Instruct");
    assert!(endpoint["version"].as_str().is_some_and(|version| !version.is_empty()), "{endpoint}");
    let letters: Vec<f64> = endpoint["letters"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    assert!(letters.len() == 2 && letters.iter().all(|logprob| (-30.0..0.0).contains(logprob)), "{letters:?}");
    let others = &recorded.lock().unwrap().others;
    assert!(others.is_empty(), "the doctor asks what it asked then: {others:?}");
}

#[test]
fn a_search_over_a_llama_server_ends_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (recorded, result) = recorded("roles");
    let (url, recorded) = replay(recorded);
    let endpoint = format!("model.endpoint={url}");
    let out = folder.path().join("run");
    let mut arguments = vec!["optimize", "configs/real-useragents.toml", "--json", "--out", out.to_str().unwrap()];
    // As in the script.
    for key in [
        "search.rounds=1",
        "search.steps=1",
        "search.batch=2",
        "search.candidates=1",
        "search.final_check=2",
        "data.test.limit=4",
        endpoint.as_str(),
    ] {
        arguments.extend(["--set", key]);
    }
    let (report, stderr) = maspo(&arguments);
    assert!(stderr.contains("only the journal reproduces this run"), "{stderr}");
    assert_eq!(report["optimized_accuracy"]["n"], 4, "{report}");
    // As long as the search asks what it asked when this was recorded.
    if recorded.lock().unwrap().others.is_empty() {
        for key in ["prompts", "seed_accuracy", "optimized_accuracy", "final_check"] {
            assert_eq!(report[key], result[key], "{key}");
        }
    }
}
