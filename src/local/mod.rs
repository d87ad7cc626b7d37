//! A model that runs in this process: the adapter from `maspo-engine` to the port `ChatModel`.
//! Knows no agents.

mod model;

pub use model::LocalModel;
