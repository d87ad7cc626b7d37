//! The reader of experiment files, fault by fault, and what describes such files to people and
//! editors.

mod experiment;
mod fixture;

mod extends;
mod file;
mod parts;
mod samples;
mod schema;
mod settings;
mod verdicts;
