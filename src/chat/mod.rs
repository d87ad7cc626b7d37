//! The one interface between the optimizer and whatever runs a language model: messages in, text or
//! answer scores out.
//!
//! Everything above this module uses [`ChatModel`] and does not know the engine or the cache behind
//! it.

mod ledger;
mod message;
mod model;
mod scripted;

pub use ledger::{Ledger, LedgerLine, Metered, ModelRole};
pub use message::{Message, Speaker};
pub use model::{
    ChatError, ChatModel, Completion, FinishReason, ModelIdentity, Origin, Request, Sampling, Scores, Usage,
};
pub use scripted::ScriptedModel;
