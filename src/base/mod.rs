//! What every module may use: ids, seeds, digests, the clock, cancellation. It knows nothing of
//! models, prompts or files.

mod cancel;
mod clock;
mod ids;
mod stage;

pub use cancel::CancelToken;
pub use clock::{Stopwatch, processor_seconds};
pub use ids::AgentId;
pub use maspo_engine::base::{Digest, Hasher, Seed, digest_json};
pub use stage::Stage;
