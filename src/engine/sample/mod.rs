//! Logits to the next token, and logits to log-probabilities. The draw for the n-th new token of a
//! request comes from the request's seed and n alone.

mod choose;
mod sampling;
mod score;

pub(crate) use choose::choose;
pub use sampling::Sampling;
pub(crate) use score::log_probability;
