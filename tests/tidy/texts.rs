//! How files read: heads, lengths, widths, and the names of files in ARCHITECTURE.md.

use super::{assert_none, files, read, root};
use std::path::{Path, PathBuf};

/// The longest file.
const MAX_LINES: usize = 600;

/// The widest comment or line of Markdown, in characters.
const MAX_TEXT: usize = 100;

/// The widest line of code, in characters.
const MAX_CODE: usize = 120;

/// What the program and cargo write into the checkout.
const OUTPUTS: [&str; 2] = ["target/", "runs/"];

/// Folders with Rust code.
const CODE: [&str; 6] = ["src", "tests", "benches", "examples", "studies", "models"];

fn code() -> impl Iterator<Item = PathBuf> {
    CODE.iter().flat_map(|folder| files(&root().join(folder), &["rs"]))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn files_say_what_they_are_for_and_stay_readable() {
    let mut faults = Vec::new();
    for path in code() {
        let text = read(&path);
        if !text.starts_with("//!") {
            faults.push(format!("{}: does not open with `//!`", shown(&path)));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            faults.push(format!("{}: {lines} lines, at most {MAX_LINES}", shown(&path)));
        }
    }
    assert_none(&faults);
}

#[test]
fn files_that_the_architecture_document_names_exist() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let named = text.split('`').skip(1).step_by(2).filter(|name| {
        let is_path = ["src/", "tests/", "kernels/", "models/", "studies/", "configs/"].iter();
        is_path.clone().any(|folder| name.starts_with(folder)) && !name.contains(['*', '{', ' '])
    });
    let missing: Vec<String> = named
        .filter(|name| !root().join(name).exists())
        .map(|name| format!("ARCHITECTURE.md names `{name}`, which does not exist"))
        .collect();
    assert_none(&missing);
}

/// The kinds of lines that a file's ending stands for.
#[derive(Clone, Copy, PartialEq)]
enum Language {
    /// Code whose comments start with this.
    Code(&'static str),
    Markdown,
}

impl Language {
    fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs" | "cu" | "metal" | "h") => Some(Self::Code("//")),
            Some("py" | "sh") => Some(Self::Code("#")),
            Some("md") => Some(Self::Markdown),
            _ if path.ends_with(".ci/run") => Some(Self::Code("#")),
            _ => None,
        }
    }
}

/// Returns the numbers of the lines that are too wide, with their widths. Tables, lines with links,
/// fenced code, raw strings of a line of their own and the insides of longer ones may be wider.
fn wide_lines(text: &str, language: Language) -> Vec<(usize, usize)> {
    let (mut fenced, mut raw_end) = (false, None::<String>);
    let mut wide = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if raw_end.is_some() {
            raw_end = raw_end.take_if(|end| !line.contains(end.as_str()));
            continue;
        }
        let (prose, limit) = match language {
            Language::Markdown => (Some(line.trim_start()), MAX_TEXT),
            Language::Code(mark) => match line.trim_start().strip_prefix(mark) {
                Some(comment) => (Some(comment.trim_start_matches(['/', '!']).trim_start()), MAX_TEXT),
                None if [';', ',', '{', '}', ')'].iter().any(|end| line.contains(&format!("{end} {mark} "))) => {
                    (None, MAX_TEXT)
                }
                None => (None, MAX_CODE),
            },
        };
        let fence = prose.is_some_and(|prose| prose.starts_with("```") || prose.starts_with("~~~"));
        fenced = fence != (fenced && prose.is_some());
        let free = fenced
            || prose.is_some_and(|prose| prose.starts_with('|') || prose.contains("](") || prose.contains("://"));
        let free = free || prose.is_none() && line.trim_start().starts_with("r#");
        let width = line.chars().count();
        if width > limit && !free && !fence {
            wide.push((number, width));
        }
        if language == Language::Code("//") && prose.is_none() {
            raw_end = opened_raw_string(line);
        }
    }
    wide
}

/// Returns the end of the raw string that the line opens and does not close.
fn opened_raw_string(line: &str) -> Option<String> {
    let start = line.find("r#")?;
    let hashes = line[start + 1..].chars().take_while(|c| *c == '#').count();
    let rest = line[start + 1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    (!rest.contains(&end)).then_some(end)
}

#[test]
fn lines_are_narrow_enough_to_read() {
    let checked = files(root(), &["rs", "md", "py", "sh", "cu", "metal", "h"]);
    let mut faults = Vec::new();
    for path in checked.into_iter().chain([root().join(".ci/run")]) {
        let name = shown(&path);
        if OUTPUTS.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let language = Language::of(&path).expect("an ending that was asked for");
        let wide = wide_lines(&read(&path), language);
        faults.extend(wide.iter().map(|(number, width)| format!("{name}:{number}: {width} columns wide")));
    }
    assert_none(&faults);
}

#[test]
fn only_prose_and_code_count_as_wide() {
    let long = "word ".repeat(30);
    let check = |text: &str, language, expected: &[usize]| {
        let found: Vec<usize> = wide_lines(text, language).into_iter().map(|(number, _)| number).collect();
        assert_eq!(found, expected, "{text}");
    };
    check(&format!("{long}\n```\n{long}\n```\n| {long} |\n[x]({long})\n{long}"), Language::Markdown, &[1, 7]);
    let rust = Language::Code("//");
    check(&format!("/// {long}\n/// ```\n/// {long}\n/// ```\n/// {long}"), rust, &[1, 5]);
    check(&format!("let a = r#\"\n{long}\n\"#;\nlet b = \"{long}\";"), rust, &[4]);
    check(&format!("a({}); // {}", "x".repeat(80), "y".repeat(20)), rust, &[1]);
    check(&"x".repeat(120), rust, &[]);
    check(&format!("# {long}\n{}", "x".repeat(121)), Language::Code("#"), &[1, 2]);
}
