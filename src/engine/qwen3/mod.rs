//! Dense decoders of the families Qwen3, Qwen2, Llama and Mistral: configuration, weights, the
//! packed-token forward pass on the CPU (other devices have theirs in `executor`). Knows no text,
//! no requests and no scheduling policy; which kernel runs is the kernel layer's business.

mod config;
mod decoder;
mod dtype;
mod error;
mod family;
mod gguf;
mod kv_dtype;
mod model;
mod quantization;
mod rope;
mod size;
mod tensors;

#[cfg(test)]
mod golden;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use config::Config;
pub(crate) use decoder::{logit_spans, spans};
pub use dtype::{Dtype, ResolvedDtype, UnknownDtype};
pub use error::ConfigError;
pub use family::Family;
pub use kv_dtype::{KvDtype, UnknownKvDtype};
pub use model::Model;
pub(crate) use model::{Logits, Tensors, Workspace};
pub use rope::RopeScaling;
pub(crate) use size::StoragePolicy;
pub(crate) use tensors::{NormWeight, Projection};
