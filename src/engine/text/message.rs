//! The messages of a conversation. A message's content is data: it never holds control tokens.

use serde::{Deserialize, Serialize};

/// The speaker of a message; the names are those of chat templates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The system, for standing instructions.
    System,
    /// The user, who asks.
    User,
    /// The assistant, which is the model.
    Assistant,
}

impl Speaker {
    /// The speaker's name in chat templates and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The speaker.
    pub role: Speaker,
    /// The content, taken as plain text.
    pub content: String,
}

impl Message {
    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Speaker::User, content: content.into() }
    }

    /// A message of the assistant: what it said, or what it is made to begin with.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Speaker::Assistant, content: content.into() }
    }
}
