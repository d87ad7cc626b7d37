//! `maspo-fetch`: fetches a model from a Hugging Face hub into a folder, verified and resumable,
//! and leaves a manifest that `maspo` checks. It knows the hub's HTTP API and files; it knows
//! nothing of what is in a model, except for the names of the files that the engine reads.
//!
//! Whatever a server says is data of a stranger: names, sizes, redirects and bodies are checked or
//! bounded before they are used.

mod error;
mod names;
mod pattern;

mod environment;
mod hash;
mod manifest;

mod client;
mod hub;
mod select;

mod download;
mod progress;

pub mod cli;
