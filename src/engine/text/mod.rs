//! From messages to token ids and back: tokenizer, chat template, end-of-turn ids, and the split of
//! a completion into reasoning and content. Knows nothing of tensors.
//!
//! The rule of this module: **the text of a message is data**. Control tokens come from the chat
//! template alone; a message that contains `<|im_end|>` is tokenized as those ten characters.

mod chat;
mod date;
mod error;
mod ggml;
mod json;
mod mask;
mod message;
mod special_tokens;
mod stop;
mod template;
mod template_json;
mod template_syntax;
mod thought;
mod tokenizer;

pub use chat::{ChatPrompt, ChatText};
pub use date::{Date, NotADate};
pub use error::TextError;
pub use ggml::GgmlVocabulary;
pub use message::{Message, Speaker};
pub use special_tokens::{SpecialTokens, TokenFiles};
pub use stop::eos_ids;
pub use template::{ChatTemplate, template_source};
pub use thought::{PromptThought, Reply};
pub use tokenizer::Tokenizer;

use json::json_object;
