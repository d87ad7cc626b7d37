//! The variable `MASPO_KERNELS`: every kernel set that the machine has runs a model, a set that it
//! lacks is refused, and sets with equal arithmetic give equal tokens. The library's own tests
//! compare each set with a plain reference.

use maspo::engine::kernels::KernelSet;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// All kernel sets, as `Compute::cpu` documents them.
const KNOWN: [&str; 8] = ["amx", "avx512bf16", "avx512vnni", "avx512", "avx2vnni", "avx2", "neon", "portable"];

/// Sets whose vectors have one length, which compute quantized weights to the same bits. AMX is not
/// among them, since it multiplies prompts in bf16.
const ALIKE: [&[&str]; 2] = [&["avx512bf16", "avx512vnni", "avx512"], &["avx2vnni", "avx2"]];

/// Continues conversations greedily with the embedded model.
fn generate(kernels: &str, dtype: &str, threads: &str) -> Output {
    let args = ["generate", "--model", "embedded:triage", "--input", "-", "--max-tokens", "24"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    command.args(args).args(["--dtype", dtype, "--threads", threads]).env("MASPO_KERNELS", kernels);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let probes = include_str!("../models/triage/probes/propose-extract.jsonl");
    let lines = probes.lines().take(6).enumerate().map(|(id, line)| {
        let probe: Value = serde_json::from_str(line).expect("a probe is JSON");
        format!("{}\n", json!({"id": id, "messages": probe["messages"]}))
    });
    // A command that rejects its environment may not read its input.
    let _ = child.stdin.take().expect("it is piped").write_all(lines.collect::<String>().as_bytes());
    child.wait_with_output().expect("the program ends")
}

/// Returns the tokens of all answers.
fn tokens(kernels: &str, dtype: &str, threads: &str) -> Vec<Value> {
    let output = generate(kernels, dtype, threads);
    assert!(output.status.success(), "{kernels}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("answers are UTF-8");
    let answers = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an answer is JSON"));
    answers.map(|answer| answer["token_ids"].clone()).collect()
}

fn available() -> Vec<&'static str> {
    KernelSet::available().into_iter().map(|set| set.name()).collect()
}

#[test]
fn a_set_that_the_machine_lacks_is_refused_and_those_that_it_has_are_named() {
    let available = available();
    let lacking = KNOWN.into_iter().filter(|name| !available.contains(name)).chain(["sse9"]);
    for name in lacking {
        let output = generate(name, "q8_0", "1");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert_eq!(said, format!("error: MASPO_KERNELS is `{name}`, but this machine has {}\n", available.join(", ")));
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn every_set_runs_whatever_the_threads_and_those_of_one_arithmetic_agree() {
    let available = available();
    assert!(available.contains(&"portable") && available.iter().all(|name| KNOWN.contains(name)), "{available:?}");
    for dtype in ["f32", "bf16", "q8_0", "q4_k"] {
        let mut found = Vec::new();
        for name in KNOWN {
            if !available.contains(&name) {
                eprintln!("skipped: this machine has no {name}");
                continue;
            }
            let answers = tokens(name, dtype, "1");
            assert!(answers.iter().all(|ids| ids.as_array().is_some_and(|ids| !ids.is_empty())), "{name}");
            assert_eq!(answers, tokens(name, dtype, "3"), "{name}, {dtype}: threads change nothing");
            found.push((name, answers));
        }
        let quantized = dtype.starts_with('q');
        for alike in ALIKE.iter().filter(|_| quantized) {
            let of_kind: Vec<_> = found.iter().filter(|(name, _)| alike.contains(name)).collect();
            for pair in of_kind.windows(2) {
                assert_eq!(pair[0].1, pair[1].1, "{} and {}, {dtype}", pair[0].0, pair[1].0);
            }
        }
    }
}

#[test]
fn an_empty_variable_is_ignored() {
    let best = available()[0];
    assert_eq!(tokens("", "q8_0", "2"), tokens(best, "q8_0", "2"));
}
