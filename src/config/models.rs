//! Reads which model plays which role: one model for all roles, and another where a role says so.

use super::section::Section;
use crate::chat::ModelRole;
use crate::engine::ModelSource;
use crate::engine::qwen3::Dtype;
use std::path::Path;

/// The model of one role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelSpec {
    /// Where the model is.
    pub source: ModelSource,
    /// The number format of its weights.
    pub dtype: Dtype,
    /// Whether the chat template turns thinking on.
    pub thinking: bool,
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
    let thinking = section.get("thinking").unwrap_or(false);
    let common = path(&section, check_files);
    let role = |role: ModelRole| -> Option<ModelSpec> {
        let Some(own) = section.section(role.as_str()) else {
            return common.clone().map(|source| ModelSpec { source, dtype, thinking });
        };
        let source = path(&own, check_files).or(common.clone());
        let dtype = own.get("dtype").unwrap_or(dtype);
        let thinking = own.get("thinking").unwrap_or(thinking);
        own.finish();
        Some(ModelSpec { source: source?, dtype, thinking })
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

fn path(section: &Section<'_>, check_files: bool) -> Option<ModelSource> {
    let text: String = section.get("path")?;
    let source = match ModelSource::parse(&text) {
        Ok(source) => source.map_path(|_| section.resolve("path", &text)),
        Err(error) => {
            section.fault("path", &format!("is {text:?}: {error}"));
            return None;
        }
    };
    match if check_files { check_model(&source) } else { Ok(()) } {
        Ok(()) => Some(source),
        Err(problem) => {
            section.fault("path", &problem);
            None
        }
    }
}

/// Checks that the files of a model are there; the fault reads on after the name of the key or flag
/// that names the model.
///
/// # Errors
/// What is missing.
pub fn check_model(source: &ModelSource) -> Result<(), String> {
    match source {
        ModelSource::Folder(folder) => check_folder(source, folder),
        ModelSource::Gguf(file) if !file.is_file() => Err(format!("names no file: {}", file.display())),
        ModelSource::Gguf(_) | ModelSource::Embedded(_) => Ok(()),
    }
}

/// The files that every Hugging Face model folder has, unless there is a GGUF file instead. What is
/// in them is checked when the model is opened.
fn check_folder(source: &ModelSource, folder: &Path) -> Result<(), String> {
    let name = folder.display();
    if !folder.exists() {
        return Err(format!("names no folder and no .gguf file: {name} does not exist"));
    }
    if !folder.is_dir() {
        return Err(format!("names a file that is neither a folder nor a .gguf file: {name}"));
    }
    if source.gguf().map_err(|error| error.to_string())?.is_some() {
        return Ok(());
    }
    let missing: Vec<_> = [
        (folder.join("config.json").is_file(), "config.json"),
        (folder.join("tokenizer.json").is_file(), "tokenizer.json"),
        (
            folder.join("model.safetensors").is_file() || folder.join("model.safetensors.index.json").is_file(),
            "model.safetensors (or model.safetensors.index.json, or one .gguf file alone)",
        ),
    ]
    .into_iter()
    .filter_map(|(there, file)| (!there).then_some(file))
    .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("names {name}, which lacks {}", missing.join(", "))) }
}
