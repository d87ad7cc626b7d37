//! `docs/guide.md` and `docs/production.md` show commands with what they print. Every `console`
//! block of a page is run here, in order and in one folder, and what a command prints is compared
//! with the page.
//!
//! In the page, a line `…` stands for any lines and `…` within a line for any text; ```` ```console
//! exit=2 ```` says with which code the block's commands end if it is not 0. A command that fails
//! shows what it says on stderr.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Output};

const GUIDE: &str = include_str!("../docs/guide.md");
const PRODUCTION: &str = include_str!("../docs/production.md");

/// A command of the page, the lines that are printed after it, and how it ends.
struct Step<'a> {
    command: &'a str,
    expected: Vec<&'a str>,
    code: i32,
}

#[test]
fn the_guide_prints_what_it_says() {
    check("docs/guide.md", GUIDE);
}

#[test]
fn the_page_on_production_prints_what_it_says() {
    check("docs/production.md", PRODUCTION);
}

/// Runs the commands of a page and compares what they print with it.
fn check(name: &str, page: &str) {
    let steps = steps(page);
    assert!(steps.len() >= 8, "{name} has commands");
    // The page says that its figures are those of this kernel set, which every x86-64 server has.
    let comparable = has_the_kernels_of_the_page();
    if !comparable {
        eprintln!(
            "{name}: SKIPPED the comparison of outputs: this processor has no AVX2 kernels; exit codes are checked"
        );
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut folder = home.path().to_path_buf();
    let mut wrong = Vec::new();
    for step in steps {
        if let Some(to) = step.command.strip_prefix("cd ") {
            folder = folder.join(to);
            assert!(folder.is_dir(), "{}", step.command);
            continue;
        }
        if step.command.starts_with("export ") {
            continue;
        }
        let output = run(step.command, &folder, comparable);
        let printed = printed(&output);
        let lines: Vec<&str> = printed.lines().collect();
        let as_expected = !comparable || matches(&step.expected, &lines);
        let code = output.status.code();
        if code != Some(step.code) || !as_expected {
            let missing = step.expected.iter().find(|line| !lines.iter().any(|found| same_line(line, found)));
            let missing = missing.map_or(String::new(), |line| format!("first line that is not printed: {line}\n"));
            wrong.push(format!("$ {}\n{printed}(exit {code:?}, not {})\n{missing}", step.command, step.code));
        }
    }
    assert!(wrong.is_empty(), "{name} shows something else than these print:\n\n{}", wrong.join("\n"));
}

#[test]
fn what_the_guide_shows_of_an_experiment_file_is_toml() {
    let blocks: Vec<&str> = GUIDE.split("\n```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        if let Err(error) = toml::from_str::<toml::Table>(block) {
            panic!("{error}\n{block}");
        }
    }
}

#[test]
fn ellipses_stand_for_text_and_for_lines() {
    let check = |expected: &str, printed: &str, result: bool| {
        let [lines, found] = [expected, printed].map(|text| text.lines().collect::<Vec<_>>());
        assert_eq!(matches(&lines, &found), result, "{expected:?} {printed:?}");
    };
    check("a\nb", "a\nb", true);
    check("a\nb", "a\nc", false);
    check("a", "a\nb", false);
    check("a\n…", "a\nb\nc", true);
    check("…\nc", "a\nb\nc", true);
    check("…\nb", "a\nb\nc", false);
    check("in … s", "in 1.2 s", true);
    check("in … s", "in 1.2 ms or so", false);
    check("a…a", "a", false);
}

/// Whether this processor has the kernel set that the page's figures come from.
fn has_the_kernels_of_the_page() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Returns the commands in the page's `console` blocks.
fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut block: Option<i32> = None;
    for line in page.lines() {
        match (block, line.strip_prefix("```")) {
            (Some(_), Some(_)) => block = None,
            (None, Some(info)) => {
                let mut words = info.split_whitespace();
                if words.next() == Some("console") {
                    let code = words.next().and_then(|word| word.strip_prefix("exit="));
                    block = Some(code.map_or(0, |code| code.parse().expect("exit=NUMBER")));
                }
            }
            (Some(code), None) => match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command, expected: Vec::new(), code }),
                None => steps.last_mut().expect("a block begins with a command").expected.push(line),
            },
            (None, None) => {}
        }
    }
    steps
}

fn run(command: &str, folder: &Path, comparable: bool) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_maspo")).parent().expect("the program is in a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", path);
    if comparable {
        shell.env("MASPO_KERNELS", "avx2");
    }
    shell.output().expect("a shell")
}

fn printed(output: &Output) -> String {
    let stderr = if output.status.success() { &[][..] } else { &output.stderr[..] };
    String::from_utf8([&output.stdout[..], stderr].concat()).expect("UTF-8")
}

/// Whether the printed lines are as expected.
fn matches(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line.trim() == "…" => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| same_line(line, first) && matches(rest, others))
        }
    }
}

/// Whether a printed line is the expected one, in which `…` stands for any text.
fn same_line(expected: &str, printed: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else { return expected.trim_end() == printed.trim_end() };
    let Some(mut printed) = printed.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('…').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(found) = printed.find(part) else { return false };
        printed = &printed[found + part.len()..];
    }
    printed.trim_end().ends_with(end.trim_end())
}
