//! The local engine: Qwen3 through candle, with continuous batching, a paged K/V pool and a prefix tree.
//!
//! Inside, each module imports only what stands above it in this list.

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
mod local_model;
mod memory;
mod opening;
mod place;
mod source;
mod survey;

pub use agreement::{Agreement, Agreements, agreement};
pub use bare::Bare;
pub use executor::{DeviceChoice, DeviceError, OutOfMemory, UnknownDevice};
pub use files::FilesError;
pub use local_model::{LocalModel, OpenError, Text};
pub use memory::{Resident, free as memory_free};
pub use opening::{Choice, How, Opening};
pub use source::{ModelSource, SourceError};
pub use survey::{DeviceReport, cuda_architectures, survey};
pub use token_engine::{EngineError, EngineOptions, TokenRequest};

#[doc(hidden)]
pub mod measure;
