//! What an experiment file says about a model's server.

use super::BaseUrl;
use crate::base::{Bound, Bounded, Number, Rule};
use crate::engine::ModelSource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// The dialect of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// Found out from what the server says of itself.
    #[default]
    Auto,
    /// `maspo serve`.
    Maspo,
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp's server.
    LlamaServer,
    /// Ollama.
    Ollama,
    /// Any other server: only what OpenAI itself has.
    Openai,
}

impl Api {
    /// Returns the name in configuration and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Maspo => "maspo",
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::LlamaServer => "llama-server",
            Self::Ollama => "ollama",
            Self::Openai => "openai",
        }
    }
}

/// Where the key of a server is. The key itself is never in an experiment file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApiKey {
    /// In this variable of the environment.
    Env(String),
    /// In this file.
    File(PathBuf),
}

/// A model's server.
#[derive(Clone, PartialEq, Debug)]
pub struct EndpointOptions {
    /// Where it is; several of them serve one model and share the load.
    pub urls: Vec<BaseUrl>,
    /// The model's name there; the only one that the server has if absent.
    pub name: Option<String>,
    /// The dialect.
    pub api: Api,
    /// The key that is sent as a bearer token.
    pub api_key: Option<ApiKey>,
    /// The folder or GGUF file with the model's tokenizer and chat template. This process then
    /// renders prompts itself and sends token ids, where the server takes them.
    pub tokenizer: Option<ModelSource>,
    /// The most requests that are open at once, over all URLs.
    pub max_in_flight: usize,
    /// How long one request may take.
    pub timeout_s: usize,
    /// How often a request is sent again that got no answer. The pauses double from half a second
    /// to half a minute; eight of them take a minute and a half.
    pub retries: usize,
    /// Fields that are added to the body of every request as they are.
    pub extra: Map<String, Value>,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            name: None,
            api: Api::Auto,
            api_key: None,
            tokenizer: None,
            max_in_flight: 32,
            timeout_s: 600,
            retries: 8,
            extra: Map::new(),
        }
    }
}

impl Bounded for EndpointOptions {
    const SECTION: &'static str = "model";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("max_in_flight", Rule::Whole(1, 1024), |options| Some(Number::from(options.max_in_flight))),
        Bound::new("timeout_s", Rule::Whole(1, 86_400), |options| Some(Number::from(options.timeout_s))),
        Bound::new("retries", Rule::Whole(0, 100), |options| Some(Number::from(options.retries))),
    ];
}
