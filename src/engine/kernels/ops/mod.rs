//! The operations of a forward pass on the CPU, one per file: its signature, how threads divide it,
//! and the choice of its kernel.

mod activations;
mod argmax;
mod attention;
mod embedding;
mod linear;
mod norm;
mod pack;
mod rotary;

#[cfg(test)]
pub(in crate::kernels) use argmax::Best;
pub(crate) use attention::{Attend, attention};
pub(crate) use embedding::embed;
pub(crate) use linear::{Linear, Output, linear, linear_argmax};
pub(crate) use norm::{rms_norm, select_rows};
pub(crate) use rotary::{Rotary, rotary_periods, rotate_and_store};
