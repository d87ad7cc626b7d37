//! How files read: heads, lengths, and the names of files in ARCHITECTURE.md.

use super::{assert_none, files, read, root};
use std::path::PathBuf;

/// The longest file.
const MAX_LINES: usize = 600;

/// Folders with Rust code.
const CODE: [&str; 6] = ["src", "tests", "benches", "examples", "studies", "models"];

fn code() -> impl Iterator<Item = PathBuf> {
    CODE.iter().flat_map(|folder| files(&root().join(folder), &["rs"]))
}

fn shown(path: &PathBuf) -> String {
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
