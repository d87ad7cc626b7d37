//! GGUF files: a model gives the same through one as through safetensors, and every broken file is
//! refused.

mod command;
mod families;
mod hostile;
mod model;
#[path = "../support/mod.rs"]
mod support;
mod vocabulary;
mod writer;
