//! From logits to the next token and to log-probabilities. The random draw for the n-th new token
//! of a request depends on the request's seed and on n alone.

mod choose;
mod sampling;
mod score;
mod shaping;

pub(crate) use choose::{choose, choose_among};
pub use sampling::Sampling;
pub(crate) use score::{Normalizer, likeliest};
pub use shaping::Shaping;
