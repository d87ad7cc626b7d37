//! How numbers lie in memory: formats of weights, rows of a weight file, packed panels, activations
//! as int8 and bf16, keys and values. Knows no instruction set and no thread.

#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) mod bf16_rows;
mod format;
pub(in crate::kernels) mod int8_rows;
mod kv;
pub(in crate::kernels) mod matrix;
pub(in crate::kernels) mod panels;
mod rows;

pub use format::Format;
pub(crate) use kv::{Heads, KvFormat, KvLayer, KvShape};
pub(crate) use matrix::Matrix;
pub use rows::Rows;
