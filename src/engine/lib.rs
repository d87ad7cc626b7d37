//! `maspo-engine`: tokens in, tokens and log-probabilities out. A Qwen3 with continuous batching, a
//! paged K/V pool and a prefix tree, on the CPU and on GPUs.
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

mod agreement;
mod bare;
mod embedded;
mod files;
#[cfg(any(gpu, all(test, unix)))]
mod gpu_place;
mod memory;
mod opening;
mod place;
mod source;
mod survey;
mod text_engine;

pub use agreement::{Agreement, Agreements, agreement};
pub use bare::Bare;
pub use executor::{DeviceChoice, DeviceError, OutOfMemory, UnknownDevice};
pub use files::FilesError;
pub use memory::{Resident, free as memory_free};
pub use opening::{Choice, How, Opening};
pub use sample::Sampling;
pub use source::{ModelSource, SourceError};
pub use survey::{DeviceReport, cuda_architectures, survey};
pub use text_engine::{OpenError, Text, TextEngine};
pub use token_engine::{EngineError, EngineOptions, FinishReason, TokenRequest};

#[doc(hidden)]
pub mod measure;
