//! What every module may use: ids, seeds, digests, the clock, cancellation. It knows nothing of
//! models, prompts or files.

mod cancel;
mod clock;
mod digest;
mod ids;
mod seed;

pub use cancel::CancelToken;
pub use clock::{Stopwatch, processor_seconds};
pub use digest::{Digest, Hasher, digest_json};
pub use ids::AgentId;
pub use seed::{Seed, Stage};
