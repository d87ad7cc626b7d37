//! The search against scripted models: each equation by a worked example, each option by what it
//! changes, and runs that are the same whatever order answers come in.

mod bounds;
mod determinism;
mod equations;
mod options;
mod proposals;
mod world;
