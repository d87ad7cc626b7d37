//! The search with scripted models: a worked example for each equation, the effect of each option,
//! and equal runs in whatever order answers arrive.

mod bounds;
mod determinism;
mod equations;
mod gate;
mod options;
mod proposals;
mod racing;
mod templates;
mod world;
