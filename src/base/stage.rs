//! The purposes of random streams.

/// What a random stream is for. Two stages never share a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// Drawing the mini-batch of a search step.
    MiniBatch,
    /// The optimizer's sampling seed for one candidate.
    Proposal,
    /// Choosing which traces and cases a proposal shows.
    Evidence,
    /// Drawing the fresh batch of a beam refresh (Eq. 8).
    Refresh,
    /// Drawing the batch of the final seed-against-optimized check.
    FinalCheck,
    /// The coin that replaces the judge in the control arm.
    Coin,
    /// Bootstrap resampling.
    Bootstrap,
    /// Synthetic data.
    Data,
}

impl AsRef<str> for Stage {
    fn as_ref(&self) -> &str {
        match self {
            Self::MiniBatch => "mini-batch",
            Self::Proposal => "proposal",
            Self::Evidence => "evidence",
            Self::Refresh => "refresh",
            Self::FinalCheck => "final-check",
            Self::Coin => "coin",
            Self::Bootstrap => "bootstrap",
            Self::Data => "data",
        }
    }
}
