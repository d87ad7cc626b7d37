//! The token engine: requests over token ids in, tokens and scores out. One thread owns the model.
//! Each turn of its loop plans a step, runs it and sends results to their callers. It knows no
//! text.

mod draft;
mod handle;
mod jobs;
mod options;
mod request;
mod worker;

#[cfg(test)]
mod tests;

pub use handle::TokenEngine;
pub use options::EngineOptions;
pub use request::{
    Counters, EngineError, Extras, FinishReason, LogprobRequest, NewToken, ScoreOutput, ThoughtLimit, TokenLogprobs,
    TokenOutput, TokenRequest, Watch,
};
