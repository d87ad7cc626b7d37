//! What the tests of the sandbox share: a sandbox, or the reason to go on without one.

use maspo_sandbox::{Limits, Outcome, Program, Sandbox, SandboxError, SandboxOptions, Verdict};

/// Returns a sandbox. A system that lacks parts of it fails the test, unless MASPO_CI_WITHOUT names
/// `sandbox`; then the test says that it was skipped.
pub(crate) fn sandbox(options: &SandboxOptions) -> Option<Sandbox> {
    match Sandbox::probe(options) {
        Ok(sandbox) => Some(sandbox),
        Err(error @ SandboxError::Unsupported { .. }) if is_excused() => {
            eprintln!("SKIPPED, as MASPO_CI_WITHOUT allows: {error}");
            None
        }
        Err(error) => panic!("{error}\n  hint: MASPO_CI_WITHOUT=sandbox goes on without these tests"),
    }
}

fn is_excused() -> bool {
    std::env::var("MASPO_CI_WITHOUT").is_ok_and(|names| names.split_whitespace().any(|name| name == "sandbox"))
}

/// Returns owned texts, as programs want them.
pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

/// Judges one output by some tests.
pub(crate) fn judged(sandbox: &Sandbox, output: &str, tests: &[&str]) -> Verdict {
    let tests = texts(tests);
    let program = Program { output, tests: &tests, imports: &[], entry_point: None };
    sandbox.judge(&program, &Limits::default()).expect("the sandbox works")
}

/// Judges one output and compares the outcome.
#[track_caller]
pub(crate) fn check(sandbox: &Sandbox, output: &str, tests: &[&str], expected: Outcome) {
    let verdict = judged(sandbox, output, tests);
    assert_eq!(verdict.outcome, expected, "{}\n{output}\n{tests:?}", verdict.detail);
}
