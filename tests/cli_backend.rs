//! The backends as a user meets them: our own kernels and candle's give the same answers, each says
//! who it is, and `doctor --check` finds that both compute what they should.

mod support;

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use support::TinyModel;

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_maspo")).args(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn candle_answers_as_our_own_kernels_do_and_says_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("model")).unwrap();
    TinyModel::default().write(&folder.path().join("model"));
    std::fs::write(folder.path().join("in"), "{\"id\":1,\"input_ids\":[5,9,12],\"max_tokens\":9}\n").unwrap();
    let ran = |backend: &str, more: &[&str]| {
        let args = "generate --model model --input in --json --dtype f32 --device cpu --backend".split(' ');
        run(folder.path(), &[&args.collect::<Vec<_>>()[..], &[backend], more].concat())
    };
    let [native, candle] = ["native", "candle"].map(|backend| {
        let ran = ran(backend, &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()
    });
    assert_eq!(native["results"][0]["token_ids"], candle["results"][0]["token_ids"]);
    assert_eq!((&native["model"]["name"], &candle["model"]["name"]), (&json!("model"), &json!("model on candle")));
    assert_ne!(native["model"]["digest"], candle["model"]["digest"]);
    assert_eq!(ran("native", &["--deterministic"]).code, 0);
    let refused = ran("candle", &["--deterministic"]);
    let expected = "error: `--deterministic` cannot be kept by the backend candle, where a request's tokens may \
        depend on what is computed beside it: leave it out, or choose `--backend native`\n";
    assert_eq!((refused.code, refused.stdout.as_str(), refused.stderr.as_str()), (2, "", expected));
    let unknown = ran("torch", &[]);
    let expected =
        "error: invalid value 'torch' for '--backend <BACKEND>'\n  [possible values: auto, native, candle]\n";
    assert!(unknown.code == 2 && unknown.stderr.starts_with(expected), "{}", unknown.stderr);
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn doctor_checks_every_backend() {
    let ran = run(Path::new("."), &["doctor", "--check", "--json"]);
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    let checks = object["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| (&check["backend"], &check["device"], &check["ok"])).collect();
    let (cpu, yes) = (json!("cpu"), json!(true));
    assert_eq!(names, [(&json!("native"), &cpu, &yes), (&json!("candle"), &cpu, &yes)], "{checks:?}");
    assert!(checks.iter().all(|check| check["largest_error"].as_f64().is_some_and(|error| error < 1e-4)));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn doctor_says_what_a_model_takes_and_how_much_runs_at_once() {
    let line = |flags: &str| format!("doctor --model embedded:triage --json {flags}");
    let room = |flags: &str| {
        let ran = run(Path::new("."), &line(flags).split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["model"].clone()
    };
    let plain = room("");
    assert_eq!((&plain["name"], &plain["context"]), (&json!("embedded:triage"), &json!(1024)));
    // 64 sequences run at most, whatever memory there is.
    assert_eq!(plain["sequences"], json!([{ "tokens": 1024, "at_once": 64 }]));
    let smaller = room("--dtype q8_0 --kv-dtype int8");
    for key in ["weight_bytes", "kv_bytes_per_token"] {
        assert!(smaller[key].as_u64() < plain[key].as_u64(), "{smaller} {plain}");
    }
    let missing = run(Path::new("."), &["doctor", "--model", "nowhere"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (2, ""), "{}", missing.stderr);
}
