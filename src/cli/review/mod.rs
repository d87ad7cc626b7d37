//! `maspo review`: decisions on the changes of a run, by a person at the terminal or from a file,
//! and the bundle that they make.

mod command;
mod decider;
mod terminal;

pub(super) use command::{Args, run};
