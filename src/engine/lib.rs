//! `maspo-engine`: tokens in, tokens and log-probabilities out. Dense decoders with continuous
//! batching, a paged K/V pool and a prefix tree, on the CPU and on GPUs.
//!
//! Each module imports only what stands above it in this list. The engine knows no agents, no
//! prompts to optimize and no files but a model's own.

pub mod base;

pub mod text;

pub(crate) mod blocks;
pub(crate) mod schedule;

pub mod kernels;
pub(crate) mod kv;
pub mod weights;

pub mod qwen3;

pub(crate) mod executor;
pub(crate) mod sample;

pub mod token_engine;

mod files;

mod device;

mod text_engine;

#[doc(hidden)]
pub mod bench;

pub use bench::{BareEngine, LogitDivergence, LogitDivergences, logit_divergence};
pub use device::{
    DeviceCheck, DeviceReport, DtypeRequest, LoadNotice, LoadOptions, LoadProgress, OpenError, Resident, Room,
    check_devices, cuda_architectures, memory_free, survey,
};
pub use executor::{Backend, DeviceChoice, DeviceError, OutOfMemory, UnknownBackend, UnknownDevice};
pub use files::{FilesError, Manifest, ManifestError, ManifestFile, ModelSource, SourceError};
pub use sample::{Sampling, Shaping};
pub use text::Date;
pub use text_engine::{ModelText, TextEngine, TokenizerRequirement};
pub use token_engine::{
    EngineError, EngineOptions, Extras, FinishReason, LogprobRequest, NewToken, TokenLogprobs, TokenOutput,
    TokenRequest, Watch,
};
