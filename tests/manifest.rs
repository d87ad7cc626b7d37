//! A model's folder with the manifest that `maspo-fetch` leaves: it is opened only if the sizes are
//! right, and `maspo doctor` compares the digests.

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::TinyModel;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn maspo(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    let output = command.args(arguments).arg(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Writes a model of two shards, and the manifest of its weights and of an empty file.
fn model() -> (tempfile::TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    TinyModel { shards: 2, ..TinyModel::default() }.write(&folder);
    std::fs::write(folder.join("added_tokens.json.empty"), "").unwrap();
    let mut files = vec![json!({ "path": "added_tokens.json.empty", "bytes": 0, "sha256": EMPTY })];
    for part in 1..=2 {
        let name = format!("model-{part:05}-of-00002.safetensors");
        let bytes = std::fs::metadata(folder.join(&name)).unwrap().len();
        // Opening does not look at the digest.
        files.push(json!({ "path": name, "bytes": bytes, "sha256": EMPTY }));
    }
    let manifest = json!({ "schema": 1, "endpoint": "http://hub", "model": "a/b", "commit": COMMIT, "files": files });
    std::fs::write(folder.join("maspo-manifest.json"), manifest.to_string()).unwrap();
    (temporary, folder)
}

#[test]
fn a_folder_that_is_not_as_it_was_fetched_is_not_opened() {
    let (temporary, folder) = model();
    let input = temporary.path().join("in.jsonl");
    std::fs::write(&input, "{\"id\": 1, \"input_ids\": [1, 2], \"max_tokens\": 1}\n").unwrap();
    let generate = ["generate", "--input", input.to_str().unwrap(), "--model"];
    let (code, stdout, stderr) = maspo(&generate, &folder);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout.lines().count(), 1);

    // The transfer was cut.
    let shard = folder.join("model-00002-of-00002.safetensors");
    let whole = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &whole[..whole.len() - 7]).unwrap();
    let listed = format!("has {} bytes, and maspo-manifest.json lists {}", whole.len() - 7, whole.len());
    let again = format!("maspo-fetch a/b --revision {COMMIT} --to {}", folder.display());
    let check = |arguments: &[&str], words: &str| {
        let (code, _, stderr) = maspo(arguments, &folder);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(words) && stderr.contains(&again), "{stderr}");
    };
    check(&generate, &listed);
    check(&["doctor", "--model"], &listed);
    check(&["serve", "--listen", "127.0.0.1:0", "--model"], &listed);
    std::fs::remove_file(&shard).unwrap();
    check(&generate, "00002-of-00002.safetensors: is missing, and maspo-manifest.json");
}

#[test]
fn the_doctor_compares_digests() {
    let (_temporary, folder) = model();
    let (code, _, stderr) = maspo(&["doctor", "--model"], &folder);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("model-00001-of-00002.safetensors has the SHA-256"), "{stderr}");
    assert!(stderr.contains("reading 3 files"), "{stderr}");

    // Only the empty file is listed with its own digest.
    let path = folder.join("maspo-manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["files"].as_array_mut().unwrap().truncate(1);
    std::fs::write(&path, manifest.to_string()).unwrap();
    let (code, stdout, stderr) = maspo(&["doctor", "--json", "--model"], &folder);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let expected = json!({ "model": "a/b", "commit": COMMIT, "files": 1, "bytes": 0, "verified": true });
    assert_eq!(report["model"]["manifest"], expected);
    let (_, stdout, _) = maspo(&["doctor", "--model"], &folder);
    assert!(stdout.contains(&format!("as fetched: a/b at {COMMIT}, 1 files verified")), "{stdout}");
}

#[test]
fn a_manifest_that_cannot_be_read_is_said() {
    let (_temporary, folder) = model();
    std::fs::write(folder.join("maspo-manifest.json"), "{\"schema\": 1").unwrap();
    let (code, _, stderr) = maspo(&["doctor", "--model"], &folder);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("maspo-manifest.json: ") && stderr.contains("remove it if"), "{stderr}");
}
