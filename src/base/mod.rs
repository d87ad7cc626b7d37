//! What every module may use: ids, seeds, digests, bounds of options, the clock, cancellation. Knows
//! nothing of models, prompts or files.

mod bounds;
mod cancel;
mod clock;
mod digest;
mod ids;
#[cfg(test)]
pub(crate) mod json_schema;
mod seed;

pub use bounds::{Bound, Bounded, Number, OutOfBounds, Rule};
pub use cancel::CancelToken;
pub use clock::{Stopwatch, processor_seconds};
pub use digest::{Digest, Hasher, digest_json};
pub use ids::AgentId;
pub use seed::{Seed, Stage};
