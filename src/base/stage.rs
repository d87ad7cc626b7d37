//! The purposes of random streams.

/// The purpose of a random stream. Two stages never share a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// The mini-batch of a search step.
    MiniBatch,
    /// The order in which racing candidates see the mini-batch.
    Racing,
    /// The optimizer's sampling seed for one candidate.
    Proposal,
    /// The choice of the traces and cases that a proposal shows.
    Evidence,
    /// The fresh batch of a beam refresh (Eq. 8).
    Refresh,
    /// The batch of the final check of seed against optimized prompts.
    FinalCheck,
    /// The choice and the order of the queries that are held back for the gate.
    Gate,
    /// The coin that replaces the judge in the control arm.
    Coin,
    /// The sampling seed of a request that has none of its own.
    Sampling,
    /// The draws of a method other than MASPO.
    Method,
    /// One of several samples of every labelled case.
    Sample,
    /// The damage that is done to answers to check the judge.
    Damage,
    /// Bootstrap resampling.
    Bootstrap,
    /// Synthetic data.
    Data,
}

impl AsRef<str> for Stage {
    fn as_ref(&self) -> &str {
        match self {
            Self::MiniBatch => "mini-batch",
            Self::Racing => "racing",
            Self::Proposal => "proposal",
            Self::Evidence => "evidence",
            Self::Refresh => "refresh",
            Self::FinalCheck => "final-check",
            Self::Gate => "gate",
            Self::Coin => "coin",
            Self::Sampling => "sampling",
            Self::Method => "method",
            Self::Sample => "sample",
            Self::Damage => "damage",
            Self::Bootstrap => "bootstrap",
            Self::Data => "data",
        }
    }
}
