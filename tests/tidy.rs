//! The house rules that a compiler does not check: layers, file heads, file lengths. ARCHITECTURE.md draws the same layers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 600;

/// What each module may import besides `base`. A module that is not listed may not exist.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("stats", &[]),
    ("prompt", &[]),
    ("chat", &[]),
    ("graph", &["prompt"]),
    ("store", &["chat"]),
    ("engine", &["chat"]),
    ("cache", &["chat", "store"]),
    ("task", &["chat", "prompt"]),
    ("rollout", &["chat", "graph", "prompt"]),
    ("judge", &["chat", "prompt"]),
    ("reward", &["chat", "graph", "judge", "rollout", "stats"]),
    ("eval", &["chat", "graph", "prompt", "rollout", "stats", "task"]),
    ("misalignment", &["graph", "reward", "rollout"]),
    ("propose", &["chat", "graph", "misalignment", "prompt", "rollout"]),
    ("search", &["chat", "graph", "judge", "misalignment", "prompt", "propose", "reward", "rollout", "stats"]),
    ("journal", &["chat", "eval", "search", "store"]),
    ("throughput", &["chat", "engine", "stats"]),
    ("report", &["chat", "eval", "graph", "journal", "judge", "prompt", "rollout", "search", "stats", "throughput"]),
    (
        "config",
        &[
            "chat",
            "engine",
            "eval",
            "graph",
            "judge",
            "misalignment",
            "prompt",
            "propose",
            "reward",
            "rollout",
            "search",
            "task",
        ],
    ),
    (
        "run",
        &[
            "cache", "chat", "config", "engine", "eval", "graph", "journal", "propose", "report", "rollout", "search",
            "store", "task",
        ],
    ),
    (
        "cli",
        &[
            "cache",
            "chat",
            "config",
            "engine",
            "eval",
            "graph",
            "journal",
            "judge",
            "misalignment",
            "prompt",
            "propose",
            "report",
            "reward",
            "rollout",
            "run",
            "search",
            "stats",
            "store",
            "task",
            "throughput",
        ],
    ),
];

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

#[test]
fn modules_import_downward_only() {
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")) {
        let Some((module, _)) = place(&path) else { continue };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{}: the module `{module}` is not in the table of layers", path.display()));
            continue;
        };
        for (import, _) in imports(&fs::read_to_string(&path).expect("a readable file")) {
            let known = LAYERS.iter().any(|(name, _)| *name == import);
            if known && import != module && import != "base" && !allowed.contains(&import.as_str()) {
                faults.push(format!("{}: `{module}` may not import `{import}`", path.display()));
            }
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

#[test]
fn the_architecture_document_names_every_module() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let missing: Vec<_> = LAYERS.iter().filter(|(name, _)| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?}");
}
