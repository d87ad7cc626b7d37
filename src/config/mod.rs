//! Reads the experiment file: TOML and flags become each module's options. Only `run` and `cli`
//! import this. Nothing here opens a model or calls one. It reads the experiment file, and the
//! prompts and the data that the file names, and reports everything that is wrong at once.

mod agents;
mod conditions;
mod context;
mod data;
mod deserialize;
mod error;
mod load;
mod merged;
mod method;
mod models;
mod options;
mod prompts;
mod samples;
mod scorer;
mod section;
mod settings;
mod sources;
mod team;
mod templates;
mod tree;
mod verdicts;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, Excerpt, Place};
pub use load::{ModelCheck, endpoints, load, load_team, merged};
pub use method::MethodSettings;
pub use models::{ModelPlace, ModelSpec, check_model};
pub use prompts::{PromptsError, read_prompts, write_prompts};
pub use settings::{Excluded, Settings, TemplateNames};
