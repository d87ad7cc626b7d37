//! What a server says of itself: which dialect it speaks, its model and its version.

use super::client::Client;
use super::failure::Failure;
use super::options::EndpointOptions;
use super::{Api, RemoteError};
use crate::base::{Digest, Hasher};
use serde_json::Value;

/// Part of every digest below. Raise it when answers are read otherwise than before.
const READING_VERSION: u32 = 1;

/// A server and the model that is used there.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Facts {
    pub(super) api: Api,
    /// The model's name in requests.
    pub(super) model: String,
    /// What the server calls its version; empty where it does not say.
    pub(super) version: String,
    /// The longest context, if the server tells it.
    pub(super) context: Option<usize>,
    /// The digest of model, version, weights and template as far as the server tells of them.
    pub(super) digest: Digest,
}

impl Facts {
    /// Asks all servers of a model; they must have one model and one version.
    pub(super) fn read(client: &Client, options: &EndpointOptions) -> Result<Self, RemoteError> {
        let mut facts: Option<(super::BaseUrl, Self)> = None;
        for (url, listed) in client.get_each("/v1/models") {
            let listed = listed.map_err(|failure| RemoteError::Unavailable(failure.words(&url)))?;
            let entry = entry(&listed, options.name.as_deref()).map_err(|problem| RemoteError::Name {
                url: url.clone(),
                problem,
                has: names(&listed),
            })?;
            let own = Self::of(client, options.api, entry);
            match &facts {
                Some((first, other)) if (&other.model, other.api) != (&own.model, own.api) => {
                    let (one, two) = (&other.model, &own.model);
                    let message = format!("{first} has the model {one} and {url} has {two}; endpoints share one model");
                    return Err(RemoteError::Unavailable(message));
                }
                Some(_) => {}
                None => facts = Some((url, own)),
            }
        }
        Ok(facts.expect("an endpoint has a URL").1)
    }

    fn of(client: &Client, asked: Api, entry: &Value) -> Self {
        let owner = entry["owned_by"].as_str().unwrap_or_default();
        let api = match (asked, owner) {
            (Api::Auto, "maspo") => Api::Maspo,
            (Api::Auto, "vllm") => Api::Vllm,
            (Api::Auto, "sglang") => Api::Sglang,
            (Api::Auto, "llamacpp") => Api::LlamaServer,
            (Api::Auto, "library") => Api::Ollama,
            (Api::Auto, _) => Api::Openai,
            (api, _) => api,
        };
        let path = match api {
            Api::Maspo | Api::Vllm => Some("/version"),
            Api::Ollama => Some("/api/version"),
            Api::LlamaServer => Some("/props"),
            Api::Sglang => Some("/get_server_info"),
            Api::Openai | Api::Auto => None,
        };
        // A server that does not tell is used all the same.
        let told: Value = path.and_then(|path| client.get_now(path).ok()).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let (version, weights, template) = match api {
            Api::LlamaServer => (text(&told["build_info"]), text(&told["model_path"]), text(&told["chat_template"])),
            Api::Sglang => (text(&told["version"]), text(&told["model_path"]), String::new()),
            _ => (text(&told["version"]), text(&entry["root"]), String::new()),
        };
        let model = text(&entry["id"]);
        let mut hasher = Hasher::new("maspo remote model");
        hasher.field(&READING_VERSION.to_le_bytes()).field(api.as_str().as_bytes());
        for fact in [&model, &version, &weights, &template, &text(&entry["digest"])] {
            hasher.field(fact.as_bytes());
        }
        let context = [&entry["max_model_len"], &entry["meta"]["n_ctx_train"]].into_iter().find_map(Value::as_u64);
        Self { api, model, version, context: context.map(|context| context as usize), digest: hasher.finish() }
    }
}

/// Returns the entry of the model that is asked for, or what is wrong.
fn entry<'a>(listed: &'a Value, name: Option<&str>) -> Result<&'a Value, String> {
    let models = listed["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    match (name, models) {
        (Some(name), _) => {
            models.iter().find(|model| model["id"] == name).ok_or_else(|| format!("has no model `{name}` (404)"))
        }
        (None, [only]) => Ok(only),
        (None, []) => Err("lists no models".to_string()),
        (None, _) => Err("has several models".to_string()),
    }
}

fn names(listed: &Value) -> Vec<String> {
    let models = listed["data"].as_array().into_iter().flatten();
    models.filter_map(|model| model["id"].as_str()).take(20).map(str::to_string).collect()
}

/// Returns the ids of a text's tokens, from servers that tell them.
pub(super) fn tokenize(client: &Client, facts: &Facts, text: &str) -> Result<Option<Vec<u32>>, Failure> {
    let body = match facts.api {
        Api::Maspo | Api::Vllm => {
            serde_json::json!({ "model": facts.model, "prompt": text, "add_special_tokens": false })
        }
        Api::Sglang | Api::LlamaServer | Api::Ollama | Api::Openai | Api::Auto => return Ok(None),
    };
    match client.post("/tokenize", &body) {
        Ok(answer) => {
            let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
            Ok(answer["tokens"].as_array().and_then(|ids| ids.iter().map(id).collect()))
        }
        // An older server without the route.
        Err((_, Failure::Refused { .. })) => Ok(None),
        Err((_, failure)) => Err(failure),
    }
}
