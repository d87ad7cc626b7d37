//! A request that is not answered: status, code and reason, as OpenAI's clients read them.

use super::options::RETRY_AFTER_S;
use crate::engine::EngineError;
use hyper::StatusCode;
use serde_json::{Value, json};

/// Why a request gets no answer. Its message never holds text of a request's messages or prompt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// The kind of the fault, for programs.
    code: &'static str,
    message: String,
    /// The field of the body that is wrong.
    param: Option<String>,
    /// How long the client should wait before it asks again.
    pub(super) retry_after_s: Option<u32>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), param: None, retry_after_s: None }
    }

    /// A body that is not what it should be.
    pub(super) fn body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// A field of the body that is not what it should be.
    pub(super) fn field(name: &str, problem: impl std::fmt::Display) -> Self {
        Self { param: Some(name.to_string()), ..Self::body(format!("`{name}` {problem}")) }
    }

    /// There is no room for the request now.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        let fault = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        Self { retry_after_s: Some(RETRY_AFTER_S), ..fault }
    }

    /// The model cannot hold the request. The words are those that clients of vLLM look for.
    pub(super) fn too_long(prompt_tokens: usize, new_tokens: usize, limit: usize) -> Self {
        let message = format!(
            "This model's maximum context length is {limit} tokens. However, you requested {} tokens ({prompt_tokens} \
             in the messages, {new_tokens} in the completion).",
            prompt_tokens.saturating_add(new_tokens)
        );
        Self::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message)
    }

    pub(super) fn json(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Overflow { prompt_tokens, new_tokens, limit } => {
                Self::too_long(prompt_tokens, new_tokens, limit)
            }
            EngineError::EmptyPrompt | EngineError::EmptyAnswer(_) | EngineError::Token { .. } => {
                Self::body(error.to_string())
            }
            EngineError::Option(_) | EngineError::Thread(_) | EngineError::Device(_) | EngineError::Stopped => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "engine_failed", error.to_string())
            }
        }
    }
}
