//! Counter-based randomness: every draw comes from a seed derived from (run seed, stage, agent,
//! step, item), so that results never depend on the order in which work was done.

use super::digest::Hasher;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// The purpose of a random stream. Two stages never share a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// The mini-batch of a search step.
    MiniBatch,
    /// The optimizer's sampling seed for one candidate.
    Proposal,
    /// The choice of the traces and cases that a proposal shows.
    Evidence,
    /// The fresh batch of a beam refresh (Eq. 8).
    Refresh,
    /// The batch of the final check of seed against optimized prompts.
    FinalCheck,
    /// The coin that replaces the judge in the control arm.
    Coin,
    /// Bootstrap resampling.
    Bootstrap,
    /// Random weights for benchmarks.
    Weights,
    /// Synthetic data.
    Data,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::MiniBatch => "mini-batch",
            Self::Proposal => "proposal",
            Self::Evidence => "evidence",
            Self::Refresh => "refresh",
            Self::FinalCheck => "final-check",
            Self::Coin => "coin",
            Self::Bootstrap => "bootstrap",
            Self::Weights => "weights",
            Self::Data => "data",
        }
    }
}

/// The seed of a run, or a seed derived from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// Derives the seed of one draw. `path` holds its counters (agent, round, step, item …) in the
    /// order that the stage documents.
    pub fn derive(self, stage: Stage, path: &[u64]) -> Self {
        let mut hasher = Hasher::new("maspo seed");
        hasher.field(&self.0.to_le_bytes()).field(stage.name().as_bytes());
        for counter in path {
            hasher.field(&counter.to_le_bytes());
        }
        let digest = hasher.finish();
        Self(u64::from_le_bytes(digest.0[..8].try_into().expect("eight bytes")))
    }

    /// A generator that starts from this seed and is the same on every machine.
    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_stage_and_path_and_repeat() {
        let seed = Seed(7);
        assert_eq!(seed.derive(Stage::MiniBatch, &[1, 2]), seed.derive(Stage::MiniBatch, &[1, 2]));
        assert_ne!(seed.derive(Stage::MiniBatch, &[1, 2]), seed.derive(Stage::Refresh, &[1, 2]));
        assert_ne!(seed.derive(Stage::MiniBatch, &[1, 2]), seed.derive(Stage::MiniBatch, &[2, 1]));
    }
}
