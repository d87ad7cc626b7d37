//! What every module may use: ids, seeds, digests, bounds of options, the clock, cancellation, text
//! made printable. It knows nothing of models, prompts or files.

mod cancel;
mod clock;
mod hint;
mod ids;
#[cfg(test)]
pub(crate) mod json_schema;
mod printable;
mod stage;

pub use cancel::CancelToken;
pub use clock::{Stopwatch, processor_seconds, unix_seconds};
pub use hint::hint;
pub use ids::AgentId;
pub use maspo_engine::base::{
    Bound, Bounded, Digest, Hasher, Number, OutOfBounds, Placeholder, Rule, Seed, digest_json,
};
pub use printable::printable;
pub use stage::Stage;
