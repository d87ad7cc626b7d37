//! Makes [`Settings`] from a file and flags, or reports everything that is wrong with them.

use super::data::DataUse;
use super::error::ConfigError;
use super::models::{ModelPlace, ModelSpec};
use super::section::{Faults, Section};
use super::settings::Settings;
use super::sources::{Sources, alien_schema};
use super::tree::{Node, Value};
use super::{agents, context, data, method, models, options, templates};
use crate::base::Seed;
use crate::chat::ModelRole;
use crate::graph::Graph;
use crate::judge::JudgeMode;
use crate::method::MethodKind;
use crate::remote::BaseUrl;
use crate::search::{GateMode, Options};
use std::path::Path;

/// Whether the model folders must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelCheck {
    /// A missing folder or file is a fault.
    Files,
    /// The folders are not checked, because the command opens no model.
    None,
}

/// Reads the experiment file at `path` with the files that it extends, changes it by `sets`
/// (`key.path=value`, in order), checks it and loads its data.
///
/// Paths in a file are relative to that file; paths in `sets` are relative to the working
/// directory.
///
/// # Errors
/// Every fault that can be found, in the order of the file. A file that is not TOML or of another
/// schema version, or that extends one that cannot be read, has only that fault.
pub fn load(
    path: &Path,
    sets: &[String],
    skip_bad_rows: bool,
    check: ModelCheck,
) -> Result<Settings, Vec<ConfigError>> {
    load_as(path, sets, DataUse::Load { skip_bad_rows }, check)
}

/// Reads the experiment file as [`load`] does, for a command that has rows of its own: the data
/// files are not opened, and the settings have no queries and no cases.
///
/// # Errors
/// Those of [`load`], except for the data files.
pub fn load_team(path: &Path, sets: &[String], check: ModelCheck) -> Result<Settings, Vec<ConfigError>> {
    load_as(path, sets, DataUse::Fields, check)
}

fn load_as(path: &Path, sets: &[String], usage: DataUse, check: ModelCheck) -> Result<Settings, Vec<ConfigError>> {
    let (sources, mut tree) = Sources::read(path).map_err(|error| vec![error])?;
    let faults = Faults::new(&sources, sets);
    for error in set(&mut tree, sets) {
        faults.push(error);
    }
    let Value::Table(table) = &tree.value else { unreachable!("a document is a table") };
    let root = Section::root(table, &faults);
    // What it names is merged by now; here it is a known key.
    root.entry("extends");
    match root.entry("schema") {
        None => root.missing("schema", "this program reads `schema = 1`, at the top of the file"),
        // Those of the files are checked when they are read, so this one is a flag's.
        Some(entry) => {
            if let Some(found) = alien_schema(&entry.node.value) {
                return Err(vec![ConfigError::Schema { place: root.place("schema"), found }]);
            }
        }
    }
    let settings = settings(&root, usage, check);
    root.finish();
    drop(root);
    let errors = faults.into_sorted();
    match settings {
        Some(settings) if errors.is_empty() => Ok(settings),
        _ => Err(errors),
    }
}

/// Returns the URLs of all servers that the experiment file at `path` and the files that it extends
/// name, changed by `sets`. It reads these files alone, so that it can be called before the egress
/// lock; whatever is wrong with them is reported by [`load`].
pub fn endpoints(path: &Path, sets: &[String]) -> Vec<BaseUrl> {
    let Ok((sources, mut tree)) = Sources::read(path) else { return Vec::new() };
    if !set(&mut tree, sets).is_empty() {
        return Vec::new();
    }
    let Value::Table(table) = &tree.value else { return Vec::new() };
    let faults = Faults::new(&sources, sets);
    models::endpoints(&Section::root(table, &faults))
}

/// Returns the experiment file at `path` as one file that extends no other: merged with the files
/// that it extends, and changed by `sets`. Its paths are right for a file beside the one at `path`.
///
/// # Errors
/// A file that cannot be read, or flags that cannot be applied. Nothing else is checked.
pub fn merged(path: &Path, sets: &[String]) -> Result<String, Vec<ConfigError>> {
    let (sources, mut tree) = Sources::read(path).map_err(|error| vec![error])?;
    let errors = set(&mut tree, sets);
    if errors.is_empty() { Ok(super::merged::text(&tree, &sources)) } else { Err(errors) }
}

/// Applies the flags, and returns the faults of those that cannot be applied.
fn set(tree: &mut Node, sets: &[String]) -> Vec<ConfigError> {
    let set = |(number, flag): (usize, &String)| {
        if flag.split(['.', '=']).next().is_some_and(|key| key.trim() == "extends") {
            let problem = "files are merged before flags are applied; `extends` belongs into the file".to_string();
            return Some(ConfigError::Flag { flag: flag.clone(), problem });
        }
        tree.set(flag, number).err()
    };
    sets.iter().enumerate().filter_map(set).collect()
}

fn settings(root: &Section<'_>, usage: DataUse, check: ModelCheck) -> Option<Settings> {
    let file = root.faults.sources.file();
    let name = name(root, file);
    let seed = Seed(root.get("seed").unwrap_or(1));
    let (models, judges) = models::read(root, check == ModelCheck::Files).unzip();
    let mut options = options::read(root);
    options.judge.models = 1 + judges.as_ref().map_or(0, Vec::len);
    let templates = templates::read(root, models.as_ref());
    let engine = options::read_engine(root);
    let graph = agents::read(root, options.propose.max_prompt_bytes);
    let data = data::read(root, usage);
    let labelled = usage == DataUse::Fields || data.as_ref().is_none_or(|data| data.train.is_some());
    let method = method::read(root, labelled);
    let (models, graph, data) = (models?, graph?, data?);
    if data.verdicts.is_some() && matches!(models[ModelRole::Worker as usize].place, ModelPlace::Remote(_)) {
        let problem = "needs the log-probabilities of a worker in this process, not of one behind a server";
        root.section("eval")?.fault("verdicts", problem);
        return None;
    }
    let (templates, template_names) = templates?;
    options.templates = Some(templates);
    let mut warnings = data.warnings;
    if check == ModelCheck::Files {
        warnings.extend(context::check(root, &models, &graph, &options));
    }
    let held_back = options.search.held_back(data.pool.len());
    let (pool, batch) = (data.pool.len() - held_back, options.search.batch);
    if usage != DataUse::Fields {
        warnings.extend(gate(&options, method.kind, held_back));
    }
    if pool < batch && usage != DataUse::Fields {
        let rows = if pool == 1 { "query" } else { "queries" };
        let rest = if held_back > 0 { format!(" beside the {held_back} of the gate") } else { String::new() };
        warnings.push(format!(
            "the pool has {pool} {rows}{rest}, fewer than `search.batch` = {batch}: every step uses all of them"
        ));
    }
    warnings.extend(short_answers(&models, &graph, &options));
    if data.verdicts.is_some() && models[ModelRole::Worker as usize].thinking {
        let warning = "`eval.verdicts`: labels are scored behind the answer's text alone, without the thought that \
                       the worker had before it";
        warnings.push(warning.to_string());
    }
    Some(Settings {
        file: file.to_path_buf(),
        name: name?,
        seed,
        graph,
        pool: data.pool,
        rows: data.rows,
        train: data.train,
        test: data.test,
        excluded: data.excluded,
        private: data.private,
        scorer: data.scorer,
        samples: data.samples,
        verdicts: data.verdicts,
        options,
        template_names,
        method,
        engine,
        warnings,
        date: None,
        models,
        more_judges: judges.unwrap_or_default(),
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

/// Returns a warning about a gate that can show nothing.
fn gate(options: &Options, method: MethodKind, held_back: usize) -> Option<String> {
    let Options { search, .. } = options;
    let fewest = search.fewest_gate_queries();
    match search.gate {
        GateMode::Final => None,
        GateMode::Anytime if method != MethodKind::Maspo => {
            Some("`search.gate` = \"anytime\" is for the method `maspo`; this one ends without a gate".to_string())
        }
        GateMode::Anytime if held_back < fewest => Some(format!(
            "the gate's part of the pool is {held_back}, and at `search.gate_alpha` = {} it shows nothing with fewer \
             than {fewest} queries, so the seed prompts are kept: add queries to the pool, or raise \
             `search.gate_queries`",
            search.gate_alpha
        )),
        GateMode::Anytime => None,
    }
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

/// Returns the reason for an error of the file system in few words.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_string(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}
