//! Makes [`Settings`] from a file and flags, or reports everything that is wrong with them.

use super::error::{ConfigError, Excerpt};
use super::models::ModelSpec;
use super::section::{Faults, Section, line_column};
use super::settings::Settings;
use super::tree::{Node, Value};
use super::{agents, context, data, method, models, options, templates};
use crate::base::Seed;
use crate::chat::ModelRole;
use crate::graph::Graph;
use crate::judge::JudgeMode;
use crate::search::Options;
use std::path::Path;
use toml::de::DeTable;

/// The format version that this program reads.
const SCHEMA: i64 = 1;
/// Longest experiment file in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Whether the model folders must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelCheck {
    /// A missing folder or file is a fault.
    Files,
    /// The folders are not checked, because the command opens no model.
    None,
}

/// Reads the experiment file at `path`, changes it by `sets` (`key.path=value`, in order), checks
/// it and loads its data.
///
/// Paths in the file are relative to the file; paths in `sets` are relative to the working
/// directory.
///
/// # Errors
/// Every fault that can be found, in the order of the file. A file that is not TOML or of another
/// schema version has only that fault.
pub fn load(
    path: &Path,
    sets: &[String],
    skip_bad_rows: bool,
    check: ModelCheck,
) -> Result<Settings, Vec<ConfigError>> {
    let text = read(path).map_err(|error| vec![error])?;
    // Only the first syntax error is reported: the reader's recovery makes up others.
    let document = DeTable::parse(&text).map_err(|error| vec![syntax(path, &text, &error)])?;
    let mut tree = Node::document(&document);
    let faults = Faults::new(path, &text, sets);
    for (number, flag) in sets.iter().enumerate() {
        if let Err(error) = tree.set(flag, number) {
            faults.push(error);
        }
    }
    let Value::Table(table) = &tree.value else { unreachable!("a document is a table") };
    let root = Section::root(table, &faults);
    if let Some(fault) = alien_schema(&root) {
        return Err(vec![fault]);
    }
    let settings = settings(&root, skip_bad_rows, check);
    root.finish();
    drop(root);
    let errors = faults.into_sorted();
    match settings {
        Some(settings) if errors.is_empty() => Ok(settings),
        _ => Err(errors),
    }
}

fn settings(root: &Section<'_>, skip_bad_rows: bool, check: ModelCheck) -> Option<Settings> {
    let file = root.faults.file;
    let name = name(root, file);
    let seed = Seed(root.get("seed").unwrap_or(1));
    let models = models::read(root, check == ModelCheck::Files);
    let mut options = options::read(root);
    let templates = templates::read(root, models.as_ref());
    let engine = options::read_engine(root);
    let graph = agents::read(root, options.propose.max_prompt_bytes);
    let data = data::read(root, skip_bad_rows);
    let method = method::read(root, data.as_ref().is_none_or(|data| data.train.is_some()));
    let (models, graph, data) = (models?, graph?, data?);
    options.templates = Some(templates?);
    let mut warnings = data.warnings;
    if check == ModelCheck::Files {
        warnings.extend(context::check(root, &models, &graph, &options));
    }
    let (pool, batch) = (data.pool.len(), options.search.batch);
    if pool < batch {
        let rows = if pool == 1 { "query" } else { "queries" };
        warnings.push(format!(
            "the pool has {pool} {rows}, fewer than `search.batch` = {batch}: every step uses all of them"
        ));
    }
    warnings.extend(short_answers(&models, &graph, &options));
    Some(Settings {
        file: file.to_path_buf(),
        name: name?,
        seed,
        graph,
        pool: data.pool,
        train: data.train,
        test: data.test,
        scorer: data.scorer,
        options,
        method,
        engine,
        warnings,
        date: None,
        models,
    })
}

/// Returns a warning for every role whose thoughts may take all tokens that an answer has.
fn short_answers(models: &[ModelSpec; 3], graph: &Graph, options: &Options) -> Vec<String> {
    let [worker, optimizer, judge] = models.each_ref().map(|model| model.decoding.max_thinking_tokens);
    let agents = graph.agents().iter().map(|agent| {
        (ModelRole::Worker, worker, format!("`max_new_tokens` of the agent {}", agent.name), agent.max_new_tokens)
    });
    let propose = ("`propose.max_new_tokens`".to_string(), options.propose.max_new_tokens);
    let others =
        [(ModelRole::Optimizer, optimizer, propose.0, propose.1)]
            .into_iter()
            .chain((options.judge.mode == JudgeMode::Text).then(|| {
                (ModelRole::Judge, judge, "`judge.max_new_tokens`".to_string(), options.judge.max_new_tokens)
            }));
    let warning = |(role, thinking, name, tokens): (ModelRole, Option<usize>, String, usize)| {
        let thinking = thinking.filter(|thinking| *thinking >= tokens)?;
        Some(format!(
            "`max_thinking_tokens` of the {} is {thinking}, not less than {name} = {tokens}: a long thought leaves no \
             answer",
            role.as_str()
        ))
    };
    agents.chain(others).filter_map(warning).collect()
}

/// Reads the experiment's name. It becomes part of the run folder's name, so it must be a plain
/// one.
fn name(root: &Section<'_>, file: &Path) -> Option<String> {
    let stem = || file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = if root.entry("name").is_some() { root.get::<String>("name")? } else { stem()? };
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(plain) {
        let problem =
            format!("is {name:?}; it names the run's folder: letters, digits, `-`, `_` and `.`, 100 bytes at most");
        root.fault("name", &problem);
        return None;
    }
    Some(name)
}

/// Returns the only fault of a file of another version. A missing version is an ordinary fault.
fn alien_schema(root: &Section<'_>) -> Option<ConfigError> {
    match root.entry("schema").map(|entry| &entry.node.value) {
        Some(Value::Integer(SCHEMA)) => None,
        Some(other) => {
            let found = match other {
                Value::Integer(number) => number.to_string(),
                other => other.describe(),
            };
            Some(ConfigError::Schema { place: root.place("schema"), found })
        }
        None => {
            root.missing("schema", "this program reads `schema = 1`, at the top of the file");
            None
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { file: path.to_path_buf(), reason };
    let facts = std::fs::metadata(path).map_err(|error| unreadable(reason(&error)))?;
    if facts.is_dir() {
        return Err(unreadable("it is a folder; an experiment file is needed".into()));
    }
    if facts.len() > MAX_FILE_BYTES {
        return Err(unreadable(format!("it has {} bytes; at most {MAX_FILE_BYTES} are read", facts.len())));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(reason(&error)))?;
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(format!("line {line} is not UTF-8"))
    })
}

pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_string(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}

fn syntax(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let (line, column) = line_column(text, span.start);
    let problem = error.message().replace('\n', ", ");
    // What is missing at the end of a line is marked at its last character.
    let marked = span.start..span.end.max(span.start + 1);
    let excerpt = Excerpt::new(text, span.start, marked)
        .or_else(|| Excerpt::new(text, span.start, span.start.checked_sub(1)?..span.start));
    ConfigError::Syntax { file: file.to_path_buf(), line, column, problem, excerpt }
}
