//! Prompt optimization for LLM multi-agent systems on a local model, offline and without labels.
//!
//! The method is MASPO ("Joint Prompt Optimization for LLM-based Multi-Agent Systems", arXiv
//! 2605.06623); equation numbers in these pages are the paper's. Most people use the program
//! `maspo` (see the README). From code, an [`Optimizer`] takes an agent [`Graph`], a model and
//! unlabelled queries, and returns a [`SearchResult`]:
//!
//! ```no_run
//! use maspo::{Agent, Dtype, EngineOptions, LocalModel, ModelSource, Optimizer, chain};
//!
//! let source = ModelSource::parse("embedded:triage")?; // or the folder of a Qwen3 model
//! let model = LocalModel::open(&source, &EngineOptions::default(), Dtype::Auto, false)?;
//! let graph = chain(vec![
//!     Agent::new("extract", "Reports the facts of a session.", "Report the facts.\nSession:\n{question}"),
//!     Agent::new("verdict", "Names what the session is.", "Give the verdict.\nReport:\n{context}"),
//! ])?;
//! let result = Optimizer::new(graph, model).queries(["rate: rapid, path: login", "path: blog"]).run()?;
//! for (agent, prompt) in result.prompts.iter() {
//!     println!("{}: {}", result.agents[agent.0], prompt.text());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/optimize.rs` is the same with real queries. Any [`ChatModel`] will do in place of
//! [`LocalModel`].
//!
//! The modules behind this façade serve the program, its tests and its benchmarks; they may change
//! with every version. They stand here in the order of their layers: a module imports only from
//! those above it. ARCHITECTURE.md has the exact rule, and `tests/tidy` checks it.

// Standard output and standard error have one place that writes to them: `cli::output`.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

#[doc(hidden)]
pub mod base;
#[doc(hidden)]
pub mod stats;

#[doc(hidden)]
pub mod chat;
#[doc(hidden)]
pub mod graph;
#[doc(hidden)]
pub mod prompt;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod templates;

#[doc(hidden)]
pub mod cache;
#[doc(hidden)]
pub mod local;
#[doc(hidden)]
pub mod remote;
#[doc(hidden)]
pub mod task;

#[doc(hidden)]
pub use maspo_engine as engine;

#[doc(hidden)]
pub mod judge;
#[doc(hidden)]
pub mod rollout;

#[doc(hidden)]
pub mod eval;
#[doc(hidden)]
pub mod judge_check;
#[doc(hidden)]
pub mod reward;

#[doc(hidden)]
pub mod misalignment;
#[doc(hidden)]
pub mod propose;
#[doc(hidden)]
pub mod search;

#[doc(hidden)]
pub mod method;
#[doc(hidden)]
pub mod serve;

#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod journal;
#[doc(hidden)]
pub mod throughput;

#[doc(hidden)]
pub mod report;

#[doc(hidden)]
pub mod bundle;

#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod review;
#[doc(hidden)]
pub mod run;
#[doc(hidden)]
pub mod study;

#[doc(hidden)]
pub mod cli;

#[doc(inline)]
pub use base::{AgentId, CancelToken};
#[doc(inline)]
pub use chat::{ChatError, ChatModel, Ledger, ModelRole};
#[doc(inline)]
pub use engine::qwen3::Dtype;
#[doc(inline)]
pub use engine::{EngineOptions, ModelSource, OpenError};
#[doc(inline)]
pub use graph::{Agent, Edge, EdgeView, Graph, GraphError};
#[doc(inline)]
pub use local::LocalModel;
#[doc(inline)]
pub use prompt::Template;
#[doc(inline)]
pub use rollout::Prompts;
#[doc(inline)]
pub use run::{ChainError, Optimizer, chain};
#[doc(inline)]
pub use search::{Options, SearchError, SearchOptions, SearchResult};
#[doc(inline)]
pub use templates::Templates;
