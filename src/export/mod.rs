//! A team as files that other programs load: plain JSON, Markdown, OpenAI's messages, a DSPy
//! program and a promptfoo configuration. Pure functions from a team to text, which open no model
//! and know no files. Prompts are hostile data: they are quoted, and never become markup or
//! templates.

mod dspy;
mod markdown;
mod messages;
mod promptfoo;
mod quote;
mod team;

#[cfg(test)]
mod tests;

pub use team::{ExportError, Exported, Format};
