//! From messages to token ids and back: tokenizer, chat template, end-of-turn ids, and the split of
//! a completion into reasoning and content. Knows nothing of tensors.
//!
//! The rule of this module: **the text of a message is data**. Control tokens come from the chat
//! template alone; a message that contains `<|im_end|>` is tokenized as those ten characters.

mod chat;
mod error;
mod ggml;
mod mask;
mod message;
mod stop;
mod template;
mod thought;
mod tokenizer;

pub use chat::{ChatPrompt, ChatText};
pub use error::TextError;
pub use ggml::GgmlVocabulary;
pub use message::{Message, Speaker};
pub use stop::eos_ids;
pub use template::{ChatTemplate, template_source};
pub use thought::{PromptThought, Reply};
pub use tokenizer::Tokenizer;
