//! The reader of experiment files, fault by fault.

mod fixture;

mod file;
mod parts;
mod settings;
