//! `maspo`: prompt optimization for LLM multi-agent systems on a local model.
//!
//! The modules are listed in layer order: a module imports only from modules above it in this list (the exact rule is
//! checked by `tests/tidy.rs` and drawn in ARCHITECTURE.md). The source is the paper "MASPO: Joint Prompt Optimization for
//! LLM-based Multi-Agent Systems" (arXiv 2605.06623); equation numbers in the docs are the paper's.

pub mod base;
pub mod stats;

pub mod chat;
pub mod graph;
pub mod prompt;
pub mod store;

pub mod cache;
pub mod local;
pub mod task;

pub use maspo_engine as engine;

pub mod judge;
pub mod rollout;

pub mod eval;
pub mod reward;

pub mod misalignment;
pub mod propose;
pub mod search;

pub mod journal;
pub mod throughput;

pub mod report;

pub mod config;
pub mod run;

pub mod cli;
