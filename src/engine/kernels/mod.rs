//! The kernels: one file per operation. A file of this level holds the operation's signature and decides which device runs it;
//! `cpu/` holds the implementations.

mod compute;

pub use compute::Compute;
