//! Reads which model plays which role: one model for all roles, and another where a role says so.

use super::section::Section;
use super::tree::Value;
use crate::base::{Bounded, Rule};
use crate::chat::{Decoding, ModelRole};
use crate::engine::ModelSource;
use crate::engine::qwen3::Dtype;
use crate::remote::{Api, ApiKey, BaseUrl, EndpointOptions};
use std::path::Path;

/// The values of `temperature`.
pub(super) const TEMPERATURE: Rule = Rule::NOT_NEGATIVE;
/// The values of `top_p`.
pub(super) const TOP_P: Rule = Rule::Real(0.0, 1.0);
/// The values of `top_k`.
pub(super) const TOP_K: Rule = Rule::Whole(0, u32::MAX as u64);
/// The values of `max_thinking_tokens`.
pub(super) const THINKING_TOKENS: Rule = Rule::at_least(0);

/// The most models of `[[model.judges]]`.
const MAX_JUDGES: usize = 15;

/// The keys that say something of a server, beside `endpoint`.
const OF_SERVERS: [&str; 8] = ["name", "api", "api_key", "tokenizer", "max_in_flight", "timeout_s", "retries", "extra"];

/// The model of one role.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelSpec {
    /// Where the model is.
    pub place: ModelPlace,
    /// The number format of its weights.
    pub dtype: Dtype,
    /// Whether the chat template turns thinking on.
    pub thinking: bool,
    /// How the model decodes in this role.
    pub decoding: Decoding,
}

/// Where a model runs.
#[derive(Clone, PartialEq, Debug)]
pub enum ModelPlace {
    /// In this process.
    Local(ModelSource),
    /// Behind a server.
    Remote(EndpointOptions),
}

impl ModelSpec {
    /// Returns the model's name for people.
    pub fn name(&self) -> String {
        match &self.place {
            ModelPlace::Local(source) => source.name(),
            ModelPlace::Remote(endpoint) => endpoint.name.clone().unwrap_or_else(|| endpoint.urls[0].to_string()),
        }
    }

    /// Returns the model's context in tokens as far as its files tell.
    pub fn context(&self) -> Option<usize> {
        match &self.place {
            ModelPlace::Local(source) => source.context(),
            ModelPlace::Remote(_) => None,
        }
    }
}

/// Says where the model is, as the experiment file does.
impl std::fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            ModelPlace::Local(source) => source.fmt(f),
            ModelPlace::Remote(endpoint) => {
                let urls: Vec<String> = endpoint.urls.iter().map(ToString::to_string).collect();
                match &endpoint.name {
                    Some(name) => write!(f, "{name} at {}", urls.join(", ")),
                    None => f.write_str(&urls.join(", ")),
                }
            }
        }
    }
}

/// Reads `[model]`: the specifications in the order of [`ModelRole::ALL`], and those of the models
/// that judge beside the judge.
pub(super) fn read(root: &Section<'_>, check_files: bool) -> Option<([ModelSpec; 3], Vec<ModelSpec>)> {
    let Some(section) = root.section("model") else {
        if root.entry("model").is_none() {
            root.missing("model", "[model] path = \"…\" names the folder of a Qwen3 model, or `embedded:triage`");
        }
        return None;
    };
    let dtype: Dtype = section.get("dtype").unwrap_or_default();
    let thinking = section.get("thinking").unwrap_or(false);
    let defaults = EndpointOptions::default();
    let endpoint = endpoint(&section, &defaults);
    let common = place(&section, &endpoint, check_files);
    let shared = decoding(&section);
    let role = |role: ModelRole, own: Option<Section<'_>>| -> Option<ModelSpec> {
        let Some(own) = own else {
            let decoding = of_role(role, shared, Decoding::default());
            return common.clone().map(|place| ModelSpec { place, dtype, thinking, decoding });
        };
        let own_endpoint = self::endpoint(&own, &endpoint);
        let place = place(&own, &own_endpoint, check_files).or_else(|| inherited(&own, &own_endpoint, common.clone()));
        let dtype = own.get("dtype").unwrap_or(dtype);
        let thinking = own.get("thinking").unwrap_or(thinking);
        let decoding = of_role(role, shared, decoding(&own));
        own.finish();
        Some(ModelSpec { place: place?, dtype, thinking, decoding })
    };
    let before = section.faults.count();
    let specs = ModelRole::ALL.map(|name| role(name, section.section(name.as_str())));
    let judges: Vec<Option<ModelSpec>> =
        section.sections("judges").into_iter().map(|own| role(ModelRole::Judge, Some(own))).collect();
    if section.faults.count() == before {
        check_judges(&section, specs[ModelRole::Judge as usize].as_ref(), &judges);
    }
    if section.faults.count() == before
        && specs.iter().chain(&judges).flatten().all(|spec| matches!(spec.place, ModelPlace::Local(_)))
        && let Some(key) = OF_SERVERS.into_iter().find(|key| section.has(key))
    {
        section.fault(key, "is about a server, and no model has an `endpoint`");
    }
    section.finish();
    if specs.iter().any(Option::is_none)
        && section.entry("path").is_none()
        && !section.has("endpoint")
        && section.faults.count() == before
    {
        section.missing("path", "the folder of a Qwen3 model, or `embedded:triage`");
    }
    let [worker, optimizer, judge] = specs;
    Some(([worker?, optimizer?, judge?], judges.into_iter().collect::<Option<_>>()?))
}

/// Reports judges that are too many, or the same as another.
fn check_judges(section: &Section<'_>, judge: Option<&ModelSpec>, judges: &[Option<ModelSpec>]) {
    if judges.len() > MAX_JUDGES {
        section.fault("judges", &format!("names {} models; {MAX_JUDGES} are the most", judges.len()));
    }
    let all: Vec<&ModelSpec> = judge.into_iter().chain(judges.iter().flatten()).collect();
    let same = all.iter().enumerate().find(|(at, spec)| all[..*at].contains(spec));
    if let Some((_, spec)) = same {
        section.fault(
            "judges",
            &format!("has {} twice among the judges; name another model, or it would count twice", spec.name()),
        );
    }
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

/// Returns where the section itself says that the model is.
fn place(section: &Section<'_>, endpoint: &EndpointOptions, check_files: bool) -> Option<ModelPlace> {
    if !section.has("endpoint") {
        return path(section, check_files).map(ModelPlace::Local);
    }
    if section.entry("path").is_some() {
        section.fault("endpoint", "stands beside `path`; a model is either in this process or behind a server");
        return None;
    }
    // Faults in it are reported already.
    (!endpoint.urls.is_empty()).then(|| ModelPlace::Remote(endpoint.clone()))
}

/// Returns the place that a role without one of its own has: that of all roles, with what the role
/// says of the server.
fn inherited(own: &Section<'_>, endpoint: &EndpointOptions, common: Option<ModelPlace>) -> Option<ModelPlace> {
    match common {
        Some(ModelPlace::Remote(_)) if !own.has("path") && !own.has("endpoint") => {
            Some(ModelPlace::Remote(endpoint.clone()))
        }
        other => other.filter(|_| !own.has("endpoint")),
    }
}

/// Reads what a section says of a server; what it does not say is as in `base`.
fn endpoint(section: &Section<'_>, base: &EndpointOptions) -> EndpointOptions {
    let urls = urls(section).unwrap_or_else(|| base.urls.clone());
    let count = |key: &'static str, default: usize| {
        section.number(key, EndpointOptions::rule(key).expect("it has bounds")).unwrap_or(default)
    };
    EndpointOptions {
        urls,
        name: section.get("name").or_else(|| base.name.clone()),
        api: section.get::<Api>("api").unwrap_or(base.api),
        api_key: api_key(section).or_else(|| base.api_key.clone()),
        tokenizer: source(section, "tokenizer").or_else(|| base.tokenizer.clone()),
        max_in_flight: count("max_in_flight", base.max_in_flight),
        timeout_s: count("timeout_s", base.timeout_s),
        retries: count("retries", base.retries),
        extra: section.get("extra").unwrap_or_else(|| base.extra.clone()),
    }
}

/// Returns the URLs that `[model]` and its roles name, each once.
pub(super) fn endpoints(root: &Section<'_>) -> Vec<BaseUrl> {
    let Some(section) = root.section("model") else { return Vec::new() };
    let roles = ModelRole::ALL.iter().filter_map(|role| section.section(role.as_str()));
    let all = roles.chain(section.sections("judges"));
    let mut found: Vec<BaseUrl> = all.filter_map(|role| urls(&role)).flatten().collect();
    found.extend(urls(&section).unwrap_or_default());
    found.sort();
    found.dedup();
    found
}

/// Reads where the server's key is.
fn api_key(section: &Section<'_>) -> Option<ApiKey> {
    let key = section.section("api_key")?;
    let (env, file) = (key.get("env"), key.get::<String>("file"));
    let file = file.map(|file| key.resolve("file", &file));
    key.finish();
    match (env, file) {
        (Some(name), None) => Some(ApiKey::Env(name)),
        (None, Some(file)) => Some(ApiKey::File(file)),
        _ => {
            section.fault("api_key", "must name either a variable (`env`) or a file (`file`)");
            None
        }
    }
}

/// Reads `endpoint`: one URL or several.
fn urls(section: &Section<'_>) -> Option<Vec<BaseUrl>> {
    let entry = section.entry("endpoint")?;
    let texts: Vec<String> = match &entry.node.value {
        Value::List(_) => section.get("endpoint")?,
        _ => vec![section.get("endpoint")?],
    };
    if texts.is_empty() {
        section.fault("endpoint", "is an empty list");
    }
    let read = |text: &String| {
        let url = text.parse::<BaseUrl>();
        url.map_err(|error| section.fault("endpoint", &format!("is {text:?}: it {error}"))).ok()
    };
    texts.iter().map(read).collect()
}

/// Reads a key that names a model's folder or file.
fn source(section: &Section<'_>, key: &'static str) -> Option<ModelSource> {
    let text: String = section.get(key)?;
    match ModelSource::parse(&text) {
        Ok(source) => Some(source.map_path(|_| section.resolve(key, &text))),
        Err(error) => {
            section.fault(key, &format!("is {text:?}: {error}"));
            None
        }
    }
}

fn path(section: &Section<'_>, check_files: bool) -> Option<ModelSource> {
    let source = source(section, "path")?;
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
