//! The house rules that a compiler does not check: layers, file heads, file lengths. ARCHITECTURE.md
//! declares the layers of the modules; this test compares its table with the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 600;

/// The engine's own order: each part imports only parts before it.
const ENGINE_ORDER: &[&str] = &[
    "text",
    "blocks",
    "schedule",
    "kernels",
    "kv",
    "weights",
    "qwen3",
    "executor",
    "sample",
    "token_engine",
    "embedded",
    "source",
    "files",
    "local_model",
    "bare",
    "measure",
];

/// Parts of the engine that are tested without tensors.
const TENSOR_FREE: &[&str] = &["text", "blocks", "schedule"];

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `crate::a` and `crate::a::b` named in the code (comments left out).
fn imports(text: &str) -> BTreeSet<(String, String)> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|l| [l, "\n"]).collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let path = &code[at + "crate::".len()..];
        if let Some(group) = path.strip_prefix('{') {
            for item in group[..group.find('}').unwrap_or(0)].split(',') {
                found.insert((first_word(item.trim()), String::new()));
            }
            continue;
        }
        let first = first_word(path);
        let second = path[first.len()..].strip_prefix("::").map(first_word).unwrap_or_default();
        found.insert((first, second));
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The module a file of `src` belongs to, and the part of the engine where it is the engine.
fn place(path: &Path) -> Option<(String, String)> {
    let parts: Vec<String> = path
        .strip_prefix(root().join("src"))
        .ok()?
        .components()
        .map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_string())
        .collect();
    let module = parts.first()?.clone();
    if module == "lib" || module == "main" {
        return None;
    }
    Some((module, parts.get(1).cloned().unwrap_or_default()))
}

/// The rows of ARCHITECTURE.md's table of modules, from the lowest layer up: a module and what it imports besides `base`.
fn declared_layers() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [layer, module, _, imports] = cells[..] else { return None };
        layer.parse::<u32>().ok()?;
        Some((module.trim_matches('`').to_string(), imports.split_whitespace().map(str::to_string).collect()))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn modules_import_exactly_what_the_architecture_document_says() {
    let declared = declared_layers();
    let position = |module: &str| declared.iter().position(|(name, _)| name == module);
    let mut found = vec![BTreeSet::new(); declared.len()];
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")) {
        let Some((module, _)) = place(&path) else { continue };
        let Some(own) = position(&module) else {
            faults.push(format!("{}: the module `{module}` is not in ARCHITECTURE.md's table", path.display()));
            continue;
        };
        for (import, _) in imports(&fs::read_to_string(&path).expect("a readable file")) {
            let Some(other) = position(&import).filter(|other| *other != own && import != "base") else { continue };
            if other > own {
                faults.push(format!("{}: `{module}` stands below `{import}` and imports it", path.display()));
            }
            if !declared[own].1.contains(&import) {
                faults.push(format!("{}: ARCHITECTURE.md does not let `{module}` import `{import}`", path.display()));
            }
            found[own].insert(import);
        }
    }
    for ((module, imports), found) in declared.iter().zip(&found) {
        if !root().join("src").join(module).is_dir() {
            faults.push(format!("ARCHITECTURE.md has a row for `{module}`, but there is no folder src/{module}"));
        }
        for import in imports.difference(found) {
            faults.push(format!("ARCHITECTURE.md says that `{module}` imports `{import}`, but it does not"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_engine_is_layered_inside() {
    let position = |part: &str| ENGINE_ORDER.iter().position(|name| *name == part);
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src/engine")) {
        let Some((_, part)) = place(&path) else { continue };
        let text = fs::read_to_string(&path).expect("a readable file");
        let Some(own) = position(&part) else { continue };
        for (module, import) in imports(&text) {
            if module == "engine" && position(&import).is_some_and(|other| other > own) {
                faults.push(format!("{}: `{part}` may not import `{import}`", path.display()));
            }
        }
        if TENSOR_FREE.contains(&part.as_str()) && text.contains("candle") {
            faults.push(format!("{}: `{part}` must not know candle", path.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_say_what_they_are_for_and_stay_readable() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "models", "studies"] {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a readable file");
            if !text.starts_with("//!") {
                faults.push(format!("{}: does not open with `//!`", path.display()));
            }
            let lines = text.lines().count();
            if lines > MAX_LINES {
                faults.push(format!("{}: {lines} lines, at most {MAX_LINES}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
