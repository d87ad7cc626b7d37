//! `maspo optimize` with its models behind `maspo serve`: the same prompts and the same accuracy as
//! in one process, also when the server dies in the middle, for a while or for good.

use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

const MASPO: &str = env!("CARGO_BIN_EXE_maspo");

/// A small search on the shipped experiment.
const SMALL: [&str; 10] = [
    "--set",
    "search.rounds=1",
    "--set",
    "search.steps=1",
    "--set",
    "search.batch=4",
    "--set",
    "search.final_check=4",
    "--set",
    "data.test.limit=30",
];

fn serve(folder: &Path, listen: &str) -> (Child, String) {
    let mut child = Command::new(MASPO)
        .args(["serve", "--model", "embedded:triage", "--dtype", "q8_0", "--listen", listen, "--threads", "1"])
        .arg("--token-file")
        .arg(folder.join("token"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ready: ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended");
    }
    let url = line["ready: ".len()..].split(' ').next().unwrap().to_string();
    // The pipe must stay open, or the server's next message would end in an error.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    (child, url)
}

/// Writes the shipped experiment with a server in place of its model.
fn remote_experiment(folder: &Path, url: &str, more: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("configs/triage.toml")).unwrap();
    let local = text.lines().find(|line| line.starts_with("path = \"embedded:triage\"")).unwrap();
    let remote = format!(
        "endpoint = \"{url}\"\nname = \"embedded:triage\"\napi_key = {{ file = \"{}\" }}\n{more}",
        folder.join("token").display()
    );
    let data = format!("{}/", root.join("models").display());
    let text = text.replace(local, &remote).replace("../models/", &data);
    let path = folder.join("triage.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn optimize(config: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(MASPO);
    command.arg("optimize").arg(config).arg("--out").arg(out).args(SMALL).args(more).arg("--json");
    command
}

fn result(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns what a reader of the report takes from it.
fn findings(result: &Value) -> [&Value; 4] {
    ["prompts", "seed_accuracy", "optimized_accuracy", "final_check"].map(|key| &result[key])
}

#[test]
fn a_run_over_a_server_ends_as_one_in_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = optimize(&root.join("configs/triage.toml"), &folder.path().join("own"), &[]).output().unwrap();
    let own = result(&own);
    let (mut server, url) = serve(folder.path(), "127.0.0.1:0");
    let config = remote_experiment(folder.path(), &url, "");
    let output = optimize(&config, &folder.path().join("remote"), &[]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let remote = result(&output);
    assert_eq!(findings(&remote), findings(&own));
    assert!(!findings(&own).contains(&&Value::Null), "the report has what is compared: {own}");
    let host = url.strip_prefix("http://").unwrap();
    assert_eq!(remote["egress_lock"]["endpoints"][0], host, "{}", remote["egress_lock"]);
    assert!(stderr.contains("only the journal reproduces this run"), "{stderr}");

    // The server is not needed to see the run again; and a dead one ends a new run with code 3.
    server.kill().unwrap();
    server.wait().unwrap();
    let dead = remote_experiment(folder.path(), &url, "retries = 0");
    let output = optimize(&dead, &folder.path().join("dead"), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_run_whose_server_dies_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/triage.toml");
    let whole = result(&optimize(&local, &folder.path().join("whole"), &[]).output().unwrap());
    let (server, url) = serve(folder.path(), "127.0.0.1:0");
    let address = url.strip_prefix("http://").unwrap();
    let config = remote_experiment(folder.path(), &url, "retries = 0");

    // It waits for a server that is away for a while, and says so.
    let (run, lines) = cut(optimize(&config, &folder.path().join("patient"), &["--set", "model.retries=8"]), server);
    let (server, _) = serve(folder.path(), address);
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    let has = |words: &str| said.iter().any(|line| line.contains(words));
    assert!(has("waiting for it") && has("answers again"), "{said:?}");
    assert_eq!(findings(&result(&run.wait_with_output().unwrap())), findings(&whole));

    // One that stays away ends it, and it goes on when it is resumed.
    let out = folder.path().join("cut");
    let (mut run, lines) = cut(optimize(&config, &out, &[]), server);
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(run.wait().unwrap().code(), Some(3), "{said:?}");
    let (mut server, _) = serve(folder.path(), address);
    let resumed = result(&optimize(&config, &out, &["--resume"]).output().unwrap());
    assert_eq!(findings(&resumed), findings(&whole));
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Starts a run, kills its server at the first step, and returns the run with what it says next.
fn cut(mut run: Command, mut server: Child) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut run = run.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    // The first line of progress is that of the first step.
    let step = lines.find(|line| line.as_ref().unwrap().contains("step"));
    assert!(step.is_some(), "the run reports its steps");
    server.kill().unwrap();
    server.wait().unwrap();
    (run, lines)
}

#[test]
fn a_judge_in_this_process_works_beside_a_worker_behind_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, url) = serve(folder.path(), "127.0.0.1:0");
    // Prompts of the other roles are rendered in this process and sent as token ids.
    let config = remote_experiment(folder.path(), &url, "tokenizer = \"embedded:triage\"");
    let text = std::fs::read_to_string(&config).unwrap();
    let mixed = text.replacen("[graph]", "[model.judge]\npath = \"embedded:triage\"\n\n[graph]", 1);
    std::fs::write(&config, mixed).unwrap();
    let remote = result(&optimize(&config, &folder.path().join("mixed"), &[]).output().unwrap());
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/triage.toml");
    let own = result(&optimize(&own, &folder.path().join("own"), &[]).output().unwrap());
    assert_eq!(findings(&remote), findings(&own));
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn faults_of_an_endpoint_name_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let check = |url: &str, more: &str, words: &str| {
        let config = remote_experiment(folder.path(), url, more);
        let output = Command::new(MASPO).arg("validate").arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && said.contains("triage.toml:"), "{said}");
    };
    check("127.0.0.1:80", "", "is no URL of the form http://HOST:PORT");
    check("http://a/?k=1", "", "a key belongs in `api_key`");
    check("http://a:80", "path = \"embedded:triage\"", "either in this process or behind a server");
    check("http://a:80", "api = \"vlm\"", "did you mean `vllm`");
    check("http://a:80", "retries = 101", "`model.retries` is 101");
}
