//! The one interface between the optimizer and whatever runs a language model: messages in, text or
//! answer scores out.
//!
//! Everything above this module uses [`ChatModel`] and does not know the engine or the cache behind
//! it.

mod budget;
mod decoding;
mod ledger;
mod model;
mod panel;
mod scripted;

pub use budget::{Budget, BudgetOptions, Spent};
pub use decoding::{Decoding, RoleModel};
pub use ledger::{Ledger, LedgerLine, Metered, ModelRole};
pub use maspo_engine::text::{Message, Speaker};
pub use maspo_engine::{FinishReason, Sampling};
pub use model::{ChatError, ChatModel, Completion, ModelIdentity, Origin, Request, Scores, Usage};
pub use panel::{Panel, each_member};
pub use scripted::ScriptedModel;
