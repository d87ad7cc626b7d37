//! What can go wrong between here and a server, and which of it may pass.

use super::{BaseUrl, UrlError};
use crate::chat::ChatError;
use std::time::Duration;

/// Why a server's model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The URL cannot be used by this build.
    #[error("the endpoint {url} {error}")]
    Url {
        /// The URL.
        url: BaseUrl,
        /// What is wrong with it.
        error: UrlError,
    },
    /// The host has no address.
    #[error("the endpoint {url} cannot be resolved: {error}")]
    Host {
        /// The URL.
        url: BaseUrl,
        /// The system's error.
        error: std::io::Error,
    },
    /// The broker could not be started.
    #[error("the process that connects to endpoints could not be started: {0}")]
    Broker(std::io::Error),
    /// The key cannot be read.
    #[error("the key of {url} cannot be read: {reason}")]
    Key {
        /// The URL.
        url: BaseUrl,
        /// What is wrong.
        reason: String,
    },
    /// The server has no such model, or several and none is named.
    #[error("the endpoint {url} {problem}; `name` chooses one of its models: {}", .has.join(", "))]
    Name {
        /// The URL.
        url: BaseUrl,
        /// What is wrong.
        problem: String,
        /// The models that it has.
        has: Vec<String>,
    },
    /// The server did not answer, or refuses.
    #[error("{0}")]
    Unavailable(String),
}

/// Why one exchange gave no answer.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Failure {
    /// It may pass: nobody answers, there is no room, or the answer was cut.
    Passing {
        reason: String,
        /// When the server wants to be asked again.
        after: Option<Duration>,
    },
    /// The request is longer than the model can hold.
    TooLong { prompt_tokens: usize, new_tokens: usize, limit: usize },
    /// The server refuses the request, and will again.
    Refused { status: u16, message: String },
}

impl Failure {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), after: None }
    }

    /// Returns the error of a call to the server at `url`.
    pub(super) fn into_chat_error(self, url: &BaseUrl) -> ChatError {
        match self {
            Self::TooLong { prompt_tokens, new_tokens, limit } => {
                ChatError::Overflow { prompt_tokens, new_tokens, limit }
            }
            other => ChatError::Unavailable(other.words(url)),
        }
    }

    /// Says what happened and what helps.
    pub(super) fn words(&self, url: &BaseUrl) -> String {
        match self {
            Self::Passing { reason, .. } => format!("{url}: {reason}"),
            Self::TooLong { prompt_tokens, limit, .. } => {
                format!("{url}: a request of {prompt_tokens} tokens is longer than the {limit} that fit")
            }
            Self::Refused { status: status @ (401 | 403), message } => {
                format!("{url}: the server refuses the key ({status}: {message}); see `model.api_key`")
            }
            Self::Refused { status: 404, message } => {
                format!("{url}: not found (404: {message}); see `model.endpoint` and `model.name`")
            }
            Self::Refused { status, message } => format!("{url}: the server refuses the request ({status}: {message})"),
        }
    }
}
