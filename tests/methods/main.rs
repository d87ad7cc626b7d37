//! The methods on a scripted model: the steps that define each of them, worked by hand; and what
//! holds for all of them: they are deterministic, resume to the same result, and keep to a budget;
//! and where labels come from.

mod common;
mod labels;
mod single;
mod steps;
mod world;
