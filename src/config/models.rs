//! Which model plays which role: one path for all, and another one where a role says so.

use super::section::Section;
use crate::chat::ModelRole;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// What stands before the name of a model that the program carries itself.
const EMBEDDED: &str = "embedded:";
/// The models that the program carries itself.
const EMBEDDED_NAMES: [&str; 1] = ["triage"];

/// Where a model is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ModelPath {
    /// Inside the program, by name.
    Embedded(String),
    /// A Hugging Face folder.
    Folder(PathBuf),
}

impl fmt::Display for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(name) => write!(f, "{EMBEDDED}{name}"),
            Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// The number format in which a model computes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floating point, whatever the weight files hold.
    #[default]
    F32,
}

/// The model of one role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ModelSpec {
    /// Where it is.
    pub path: ModelPath,
    /// How it computes.
    pub dtype: Dtype,
}

/// Reads `[model]`: the specifications in the order of [`ModelRole::ALL`].
pub(super) fn read(root: &Section<'_>, check_files: bool) -> Option<[ModelSpec; 3]> {
    let Some(section) = root.section("model") else {
        if root.entry("model").is_none() {
            root.missing("model", "[model] path = \"…\" names the folder of a Qwen3 model, or `embedded:triage`");
        }
        return None;
    };
    let dtype: Dtype = section.get("dtype").unwrap_or_default();
    let common = path(&section, check_files);
    let role = |role: ModelRole| -> Option<ModelSpec> {
        let Some(own) = section.section(role.as_str()) else {
            return common.clone().map(|path| ModelSpec { path, dtype });
        };
        let spec =
            ModelSpec { path: path(&own, check_files).or(common.clone())?, dtype: own.get("dtype").unwrap_or(dtype) };
        own.finish();
        Some(spec)
    };
    let before = section.faults.count();
    let specs = ModelRole::ALL.map(role);
    section.finish();
    if specs.iter().any(Option::is_none) && section.entry("path").is_none() && section.faults.count() == before {
        section.missing("path", "the folder of a Qwen3 model, or `embedded:triage`");
    }
    let [worker, optimizer, judge] = specs;
    Some([worker?, optimizer?, judge?])
}

fn path(section: &Section<'_>, check_files: bool) -> Option<ModelPath> {
    let text: String = section.get("path")?;
    if let Some(name) = text.strip_prefix(EMBEDDED) {
        if !EMBEDDED_NAMES.contains(&name) {
            section.fault("path", &format!("names no embedded model; there is `{EMBEDDED}{}`", EMBEDDED_NAMES[0]));
            return None;
        }
        return Some(ModelPath::Embedded(name.to_string()));
    }
    let folder = section.resolve("path", &text);
    if check_files && let Err(problem) = check_folder(&folder) {
        section.fault("path", &problem);
        return None;
    }
    Some(ModelPath::Folder(folder))
}

/// The files that every Hugging Face model folder has. What is in them is checked when the model is opened.
fn check_folder(folder: &Path) -> Result<(), String> {
    let name = folder.display();
    if !folder.exists() {
        return Err(format!("names no folder: {name} does not exist"));
    }
    if !folder.is_dir() {
        return Err(format!("names a file, not a folder: {name}"));
    }
    let missing: Vec<_> = [
        (folder.join("config.json").is_file(), "config.json"),
        (folder.join("tokenizer.json").is_file(), "tokenizer.json"),
        (
            folder.join("model.safetensors").is_file() || folder.join("model.safetensors.index.json").is_file(),
            "model.safetensors (or model.safetensors.index.json)",
        ),
    ]
    .into_iter()
    .filter_map(|(there, file)| (!there).then_some(file))
    .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("names {name}, which lacks {}", missing.join(", "))) }
}
