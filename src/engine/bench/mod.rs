//! The engine without text, for measurements: with random weights, parts of a forward pass by
//! themselves, and the divergence of one model's logits from another's.

mod bare;
mod logit_divergence;
#[doc(hidden)]
pub mod measure;

pub use bare::BareEngine;
pub use logit_divergence::{LogitDivergence, LogitDivergences, logit_divergence};
