//! The CUDA kernels of `kernels/cuda/` as the Rust side sees them: the C ABI, and the suite that runs every kernel on a CPU under
//! the emulation and compares it with the slow reference. Nothing here needs a GPU or CUDA.
//!
//! So far only tests load the kernels; the device layer will load the same [`Api`](api::Api).

mod api;
mod emulation;
mod tests;
