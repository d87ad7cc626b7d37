//! GGUF files: what a model gives through one, and that no file, however broken, does more than be
//! refused.

mod command;
mod hostile;
mod model;
#[path = "../support/mod.rs"]
mod support;
mod vocabulary;
mod writer;
