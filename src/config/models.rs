//! Reads which model plays which role: one model for all roles, and another where a role says so.

use super::section::Section;
use crate::base::Rule;
use crate::chat::{Decoding, ModelRole};
use crate::engine::ModelSource;
use crate::engine::qwen3::Dtype;
use std::path::Path;

/// The values of `temperature`.
pub(super) const TEMPERATURE: Rule = Rule::NOT_NEGATIVE;
/// The values of `top_p`.
pub(super) const TOP_P: Rule = Rule::Real(0.0, 1.0);
/// The values of `top_k`.
pub(super) const TOP_K: Rule = Rule::Whole(0, u32::MAX as u64);
/// The values of `max_thinking_tokens`.
pub(super) const THINKING_TOKENS: Rule = Rule::at_least(0);

/// The model of one role.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelSpec {
    /// Where the model is.
    pub source: ModelSource,
    /// The number format of its weights.
    pub dtype: Dtype,
    /// Whether the chat template turns thinking on.
    pub thinking: bool,
    /// How the model decodes in this role.
    pub decoding: Decoding,
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
    let shared = decoding(&section);
    let role = |role: ModelRole| -> Option<ModelSpec> {
        let Some(own) = section.section(role.as_str()) else {
            let decoding = of_role(role, shared, Decoding::default());
            return common.clone().map(|source| ModelSpec { source, dtype, thinking, decoding });
        };
        let source = path(&own, check_files).or(common.clone());
        let dtype = own.get("dtype").unwrap_or(dtype);
        let thinking = own.get("thinking").unwrap_or(thinking);
        let decoding = of_role(role, shared, decoding(&own));
        own.finish();
        Some(ModelSpec { source: source?, dtype, thinking, decoding })
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

fn decoding(section: &Section<'_>) -> Decoding {
    Decoding {
        temperature: section.real("temperature", TEMPERATURE),
        top_p: section.real("top_p", TOP_P),
        top_k: section.number("top_k", TOP_K).map(|top_k| u32::try_from(top_k).unwrap_or(u32::MAX)),
        max_thinking_tokens: section.number("max_thinking_tokens", THINKING_TOKENS),
    }
}

/// Returns how a role decodes: as it says itself, or else as all roles do. Only the optimizer has a
/// temperature otherwise (`propose.temperature`), which that of all roles does not replace.
fn of_role(role: ModelRole, shared: Decoding, own: Decoding) -> Decoding {
    let temperature = if role == ModelRole::Optimizer { None } else { shared.temperature };
    Decoding {
        temperature: own.temperature.or(temperature),
        top_p: own.top_p.or(shared.top_p),
        top_k: own.top_k.or(shared.top_k),
        max_thinking_tokens: own.max_thinking_tokens.or(shared.max_thinking_tokens),
    }
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
