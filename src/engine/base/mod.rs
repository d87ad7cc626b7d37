//! Seeds, digests, bounds of options and placeholders of files, which the engine and everything
//! above it share. Knows nothing of models.

mod bounds;
mod digest;
mod placeholder;
mod seed;

pub use bounds::{Bound, Bounded, Number, OutOfBounds, Rule};
pub use digest::{Digest, Hasher, digest_json};
pub use placeholder::Placeholder;
pub use seed::{Seed, Stage};
