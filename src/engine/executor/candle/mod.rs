//! A model on tensors of candle, which compute on the CPU, on NVIDIA's GPUs and on Apple's.
//! Products, norms, rotation and softmax are candle's own operations; what is written here is their
//! order and the paging of keys and values. It is for devices where the kernels of this repository
//! are not to be trusted, and something to compare them with: it is slower, and a row's result may
//! depend on the rows beside it.
//!
//! `device` opens a device of candle, `matrix` and `weights` hold what is loaded, `cache` the keys
//! and values, `attention` and `decoder` compute, and `executor` carries out step plans.

mod attention;
mod cache;
mod decoder;
mod device;
mod executor;
mod matrix;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use device::{CANDLE_VERSION, CandleDevice};
pub(crate) use executor::{CandleExecutor, CandleOptions};
pub(crate) use weights::CandleError;
