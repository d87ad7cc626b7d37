//! `maspo-fetch` against a server that stands for the hub: what it fetches, how it goes on after
//! interruptions, what it refuses, and whom it gives the token.

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use support::{Behaviour, COMMIT, Hub, hex, outcome};

/// Bytes that look random and are the same every time.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A model with two shards and files that the engine does not need.
fn model() -> Behaviour {
    let index = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    let files: [(&str, Vec<u8>); 8] = [
        ("README.md", b"# A model".to_vec()),
        ("config.json", b"{}".to_vec()),
        ("generation_config.json", Vec::new()),
        ("model-00001-of-00002.safetensors", content(1, 70_000)),
        ("model-00002-of-00002.safetensors", content(2, 300_001)),
        ("model.safetensors.index.json", index.as_bytes().to_vec()),
        ("pytorch_model.bin", content(3, 1000)),
        ("tokenizer.json", content(4, 5000)),
    ];
    let large = files.iter().map(|(name, _)| name.to_string()).filter(|name| name.starts_with("model-")).collect();
    Behaviour { files: files.map(|(name, content)| (name.to_string(), content)).into(), large, ..Behaviour::default() }
}

const WANTED: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
];

/// Returns the names below a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs the program into `home/model` and expects an exit code and words on stderr.
fn check(hub: &Hub, home: &Path, more: &[&str], code: i32, words: &str) {
    let to = home.join("model");
    let arguments = [&["org/model", "--to", to.to_str().unwrap()], more].concat();
    let (found, _, stderr) = outcome(&hub.command(home, &arguments).output().unwrap());
    assert_eq!(found, Some(code), "{stderr}");
    assert!(stderr.contains(words), "{stderr}");
}

#[test]
fn what_the_engine_needs_is_fetched_and_verified() {
    let home = tempfile::tempdir().unwrap();
    // The list comes in several pages.
    let hub = Hub::start(Behaviour { page: Some(2), ..model() });
    let output = hub.command(home.path(), &["org/model"]).output().unwrap();
    let (code, stdout, stderr) = outcome(&output);
    assert_eq!(code, Some(0), "{stderr}");
    let cache = home.path().join(".cache/huggingface/hub/models--org--model");
    let folder = cache.join("snapshots").join(COMMIT);
    assert_eq!(stdout, format!("{}\n", folder.display()));
    let mut expected: Vec<&str> = [&WANTED[..], &["maspo-manifest.json"]].concat();
    expected.sort();
    assert_eq!(names(&folder), expected);
    let files = &hub.behaviour.lock().unwrap().files.clone();
    for name in WANTED {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), files[name], "{name}");
    }
    assert_eq!(std::fs::read_to_string(cache.join("refs/main")).unwrap(), COMMIT);
    let manifest = std::fs::read_to_string(folder.join("maspo-manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["schema"], &manifest["model"]), (&Value::from(1), &Value::from("org/model")));
    assert_eq!((&manifest["commit"], &manifest["endpoint"]), (&Value::from(COMMIT), &Value::from(hub.url.clone())));
    use sha2::Digest;
    for (entry, name) in manifest["files"].as_array().unwrap().iter().zip(WANTED) {
        assert_eq!(entry["path"], name);
        assert_eq!(entry["bytes"], files[name].len());
        assert_eq!(entry["sha256"], hex(&sha2::Sha256::digest(&files[name])));
    }

    // The second time, everything is verified and nothing is fetched.
    let asked = hub.requests().len();
    let again = hub.command(home.path(), &["org/model", "--revision", COMMIT, "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&report["fetched_bytes"], &report["schema"]), (&Value::from(0), &Value::from(1)));
    let paths: Vec<String> = hub.requests()[asked..].iter().map(|seen| seen.path.clone()).collect();
    assert!(paths.iter().all(|path| path.starts_with("/api/")), "{paths:?}");

    // A file that was damaged since is fetched again.
    std::fs::write(folder.join("config.json"), "[]").unwrap();
    let (code, _, stderr) = outcome(&hub.command(home.path(), &["org/model"]).output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("config.json is not as the hub lists it"), "{stderr}");
    assert_eq!(std::fs::read(folder.join("config.json")).unwrap(), b"{}");
}

#[test]
fn a_file_that_is_cut_at_random_bytes_goes_on_there() {
    for seed in 0..6 {
        let home = tempfile::tempdir().unwrap();
        let hub = Hub::start(model());
        let random = content(100 + seed, 8);
        let cut = |at: usize| usize::from(random[at]) * 256 + usize::from(random[at + 1]);
        // Each of these ends the program, which is started again.
        hub.change(|behaviour| behaviour.cuts = vec![cut(0), cut(2), cut(4)]);
        let mut starts = 1;
        loop {
            let to = home.path().join("model");
            let arguments = ["org/model", "--retries", "0", "--to", to.to_str().unwrap()];
            let (code, _, stderr) = outcome(&hub.command(home.path(), &arguments).output().unwrap());
            if code == Some(0) {
                break;
            }
            assert_eq!(code, Some(3), "{stderr}");
            assert!(stderr.contains("the same command goes on"), "{stderr}");
            starts += 1;
            assert!(starts <= 5, "{stderr}");
        }
        assert!(starts > 1, "seed {seed} cuts something");
        // Nothing was fetched twice: every request begins where the one before was cut.
        let (mut at, mut begun) = (0, Vec::new());
        for seen in hub.requests().iter().filter(|seen| seen.at_store && seen.path.contains("00002-of")) {
            let from = seen.headers.get("range").map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
            assert!(from >= at, "seed {seed}");
            at = from;
            begun.push(from);
        }
        let folder = home.path().join("model");
        let files = hub.behaviour.lock().unwrap().files.clone();
        for name in WANTED {
            assert_eq!(
                std::fs::read(folder.join(name)).unwrap(),
                files[name],
                "seed {seed}: {name}, begun at {begun:?}"
            );
        }
        assert!(names(&folder).iter().all(|name| !name.ends_with(".part")));
    }
}

#[test]
fn a_server_that_is_away_for_a_while_is_asked_again() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(Behaviour { busy: 1, cuts: vec![65_537], ..model() });
    check(&hub, home.path(), &[], 0, "answers 503 Service Unavailable; trying again");
    let seen = hub.requests().into_iter().find(|seen| seen.headers.contains_key("range")).expect("it resumes");
    assert_eq!(seen.headers["range"], "bytes=65537-");

    // A server without ranges sends the whole, which is taken from its start.
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(Behaviour { no_ranges: true, cuts: vec![60_000, 300_000], ..model() });
    check(&hub, home.path(), &[], 0, "trying again");
    let hub = Hub::start(Behaviour { busy: 100, ..model() });
    check(&hub, home.path(), &["--retries", "1"], 3, "(tries: 2)");
}

#[test]
fn a_wrong_digest_leaves_no_file() {
    for name in ["model-00002-of-00002.safetensors", "tokenizer.json"] {
        let home = tempfile::tempdir().unwrap();
        let hub = Hub::start(Behaviour { spoiled: Some(name.to_string()), ..model() });
        check(&hub, home.path(), &[], 1, &format!("{name}: its "));
        let found = names(&home.path().join("model"));
        assert!(found.iter().all(|found| !found.starts_with(name) && found != "maspo-manifest.json"), "{found:?}");
        hub.change(|behaviour| behaviour.spoiled = None);
        check(&hub, home.path(), &[], 0, "6 files");
    }
    // What an earlier call left can be of another file: then it is fetched from its start, once.
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("model-00001-of-00002.safetensors.part"), content(9, 1000)).unwrap();
    let hub = Hub::start(model());
    check(&hub, home.path(), &[], 0, "it is fetched from its start");
}

#[test]
fn what_is_missing_or_closed_is_said() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(model());
    let run = |arguments: &[&str]| outcome(&hub.command(home.path(), arguments).output().unwrap());
    let says = |arguments: &[&str], code: i32, words: &str| {
        let (found, _, stderr) = run(arguments);
        assert_eq!(found, Some(code), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    };
    says(&["org/other"], 2, "has no model org/other with a revision main (404)");
    says(&["org/model", "--revision", "v9"], 2, "with a revision v9 (404)");
    says(&["../model"], 2, "an id is NAME or OWNER/NAME");
    says(&["org/model", "--revision", "../../x"], 2, "a revision is a branch, a tag or a commit");
    says(&["org/model", "--files", "*.gguf"], 2, "no file of org/model fits \"*.gguf\"");
    hub.change(|behaviour| behaviour.api_status = Some(401));
    says(&["org/model"], 2, "set HF_TOKEN to a token that may read it");
    hub.change(|behaviour| (behaviour.api_status, behaviour.file_status) = (None, Some(403)));
    says(&["org/model"], 2, "does not give out org/model (403)");
    let mut closed = hub.command(home.path(), &["org/model"]);
    let (code, _, stderr) = outcome(&closed.env("HF_TOKEN", "hf_secret").output().unwrap());
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("check that the token") && !stderr.contains("hf_secret"), "{stderr}");
    let mut nowhere = hub.command(home.path(), &["org/model", "--retries", "0"]);
    let (code, _, stderr) = outcome(&nowhere.env("HF_ENDPOINT", "http://127.0.0.1:9").output().unwrap());
    assert_eq!(code, Some(3), "{stderr}");
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(model());
    let output = hub.command(home.path(), &["org/model"]).env("HF_TOKEN", "hf_secret").output().unwrap();
    assert!(output.status.success());
    let seen = hub.requests();
    assert!(seen.iter().any(|seen| seen.at_store), "large files are redirected");
    for seen in seen {
        let token = seen.headers.get("authorization").map(String::as_str);
        assert_eq!(token, if seen.at_store { None } else { Some("Bearer hf_secret") }, "{}", seen.path);
    }
}

#[test]
fn redirects_that_nobody_should_follow_are_refused() {
    for to in ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user@127.0.0.1/x", "x"] {
        let home = tempfile::tempdir().unwrap();
        let hub = Hub::start(Behaviour { redirect: Some(to.to_string()), ..model() });
        check(&hub, home.path(), &[], 1, "redirects");
    }
    // To itself, for ever.
    let home = tempfile::tempdir().unwrap();
    let path = format!("/org/model/resolve/{COMMIT}/model-00001-of-00002.safetensors");
    let hub = Hub::start(Behaviour { redirect: Some(path), ..model() });
    check(&hub, home.path(), &[], 1, "more than 5 redirects");
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in
        ["../config.json", "/tmp/x.json", "a\\..\\b.json", "maspo-manifest.json", "x.json.part", "\u{1b}[2J.json"]
    {
        let home = tempfile::tempdir().unwrap();
        let mut behaviour = model();
        behaviour.files.insert(name.to_string(), b"evil".to_vec());
        let hub = Hub::start(behaviour);
        check(&hub, home.path(), &["--files", "*.json*"], 1, "could leave the folder");
        assert!(names(home.path()).is_empty(), "{name}: {:?}", names(home.path()));
        // Nobody asked for it here.
        check(&hub, home.path(), &[], 0, "verified");
    }
}

#[test]
fn a_folder_of_something_else_stays_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(model());
    let folder = home.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.json"), "mine").unwrap();
    check(&hub, home.path(), &[], 2, "holds another config.json");
    assert_eq!(std::fs::read_to_string(folder.join("config.json")).unwrap(), "mine");
    std::fs::remove_file(folder.join("config.json")).unwrap();
    check(&hub, home.path(), &[], 0, "verified");
    let manifest = std::fs::read_to_string(folder.join("maspo-manifest.json")).unwrap();
    std::fs::write(folder.join("maspo-manifest.json"), manifest.replace(COMMIT, &"f".repeat(40))).unwrap();
    check(&hub, home.path(), &[], 2, "name another folder, or remove it");
    std::fs::write(folder.join("maspo-manifest.json"), "{").unwrap();
    check(&hub, home.path(), &[], 2, "maspo-manifest.json: ");
}

#[test]
fn offline_is_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(model());
    let run = |more: &[&str]| {
        let arguments = [&["org/model"], more].concat();
        outcome(&hub.command(home.path(), &arguments).env("HF_HUB_OFFLINE", "1").output().unwrap())
    };
    let (code, _, stderr) = run(&[]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("HF_HUB_OFFLINE is set: the commit of main is not known"), "{stderr}");
    assert!(hub.requests().is_empty());
    assert!(hub.command(home.path(), &["org/model"]).output().unwrap().status.success());
    let asked = hub.requests().len();
    let (code, stdout, stderr) = run(&[]);
    assert_eq!(code, Some(0), "{stderr}");
    let folder = Path::new(stdout.trim());
    std::fs::write(folder.join("tokenizer.json"), content(5, 5000)).unwrap();
    let (code, _, stderr) = run(&["--revision", COMMIT]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("tokenizer.json is not as it was fetched"), "{stderr}");
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert!(run(&[]).2.contains("tokenizer.json is missing"));
    assert_eq!(hub.requests().len(), asked, "nothing is connected");
}

#[test]
fn the_list_shows_what_would_be_fetched() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(model());
    let (code, stdout, _) = outcome(&hub.command(home.path(), &["org/model", "--list"]).output().unwrap());
    assert_eq!(code, Some(0));
    let marked: Vec<&str> = stdout.lines().filter_map(|line| line.strip_prefix("* ")?.split("  ").last()).collect();
    assert_eq!(marked, WANTED);
    assert!(stdout.contains("  pytorch_model.bin\n") && names(home.path()).is_empty());
}

/// A limit on the size of files stands for a disk that is full.
#[test]
#[cfg(unix)]
fn a_full_disk_is_said_and_what_is_there_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(model());
    let to = home.path().join("model");
    // Blocks of 512 bytes or of 1024, as the shell counts; the larger shard has more in any case.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" org/model --to \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_maspo-fetch")]).arg(&to);
    let (code, _, stderr) = outcome(&command.env("HOME", home.path()).env("HF_ENDPOINT", &hub.url).output().unwrap());
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("no room for") && stderr.contains("the same command goes on"), "{stderr}");
    let part = to.join("model-00002-of-00002.safetensors.part");
    let kept = std::fs::metadata(part).unwrap().len();
    assert!(kept > 0);
    check(&hub, home.path(), &[], 0, "6 files");
    let last = hub.requests().into_iter().rfind(|seen| seen.at_store).unwrap();
    assert_eq!(last.headers["range"], format!("bytes={kept}-"));
}

/// Two programs do not write one file.
#[test]
fn a_file_that_another_process_writes_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(model());
    let folder = home.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    let part = std::fs::File::create(folder.join("tokenizer.json.part")).unwrap();
    part.lock().unwrap();
    check(&hub, home.path(), &[], 3, "another maspo-fetch writes this file");
    drop(part);
    check(&hub, home.path(), &[], 0, "6 files");
}

#[test]
#[cfg(unix)]
fn after_ctrl_c_the_next_call_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(Behaviour { stalls: true, ..model() });
    let to = home.path().join("model");
    let mut command = hub.command(home.path(), &["org/model", "--to", to.to_str().unwrap()]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let part = to.join("model-00001-of-00002.safetensors.part");
    while std::fs::metadata(&part).map_or(0, |found| found.len()) < 35_000 {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("the same command goes on"), "{stderr}");
    hub.change(|behaviour| behaviour.stalls = false);
    check(&hub, home.path(), &[], 0, "6 files");
    assert!(hub.requests().iter().any(|seen| seen.headers.get("range").is_some_and(|range| range == "bytes=35000-")));
}

#[test]
fn a_proxy_is_asked_to_connect() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(Behaviour { large: Vec::new(), ..model() });
    let (proxy, asked) = support::proxy(hub.url.strip_prefix("http://").unwrap().to_string());
    // Nobody can resolve this name, and only the proxy has to.
    let mut command = hub.command(home.path(), &["org/model", "--retries", "0"]);
    command.env("HF_ENDPOINT", "http://hub.invalid").env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
    let (code, _, stderr) = outcome(&command.output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(asked.lock().unwrap().iter().all(|line| line.starts_with("CONNECT hub.invalid:80 ")), "{asked:?}");
    assert!(!asked.lock().unwrap().is_empty());
    let (code, _, stderr) = outcome(&command.env("NO_PROXY", "hub.invalid").output().unwrap());
    assert_eq!(code, Some(3), "{stderr}");
}
