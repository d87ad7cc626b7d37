//! The methods on a scripted model: the steps that define each of them, worked by hand; and what
//! holds for all of them: they are deterministic, resume to the same result, and keep to a budget.

mod common;
mod single;
mod steps;
mod world;
