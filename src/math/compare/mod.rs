//! Compares whole answers: structures part by part, sets of real numbers by their pieces, equations
//! and inequalities by what they say. Single numbers are left to `decide`.

mod comparer;

mod sets;

mod relations;
mod scalars;
mod structures;

pub(crate) use comparer::Comparer;
