//! What a judge is worth before a search pays for it: whether it contradicts itself when the
//! answers change places, which place it prefers, how often it sees no difference, and whether it
//! prefers the better of two answers where that is known. It sees agents' outputs and pairs of
//! known order, and neither candidates nor accuracies.

mod check;
mod damage;
mod figures;
mod pairs;
mod slope;

#[cfg(test)]
mod tests;

pub use check::{CheckInput, check};
pub use damage::Damage;
pub use figures::{JudgeCheck, KnownLine, ModelLine, Share};
pub use pairs::{Known, KnownPair, Pair};
pub use slope::Slope;
