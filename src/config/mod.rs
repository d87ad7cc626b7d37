//! The experiment file: TOML and flags become each module's options. Only `run` and `cli` import this. Nothing here opens a model or
//! calls one; it reads the experiment file, the prompts and the data that it names, and says everything that is wrong at once.

mod agents;
mod data;
mod error;
mod fields;
mod load;
mod models;
mod prompts;
mod ranges;
mod section;
mod settings;
mod tree;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, Place};
pub use load::{ModelCheck, load};
pub use models::{ModelSpec, check_model};
pub use prompts::{PromptsError, read_prompts, write_prompts};
pub use settings::Settings;
