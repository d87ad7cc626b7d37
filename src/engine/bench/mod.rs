//! The engine without a text side, for measurements: random weights, the parts of a forward pass
//! alone, and the logits of one model beside those of another.

mod bare;
mod logit_divergence;
#[doc(hidden)]
pub mod measure;

pub use bare::BareEngine;
pub use logit_divergence::{LogitDivergence, LogitDivergences, logit_divergence};
