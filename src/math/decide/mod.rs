//! Decides about single numbers: whether two expressions are equal, proportional, or in order.
//! Knows nothing of lists, sets and equations.

mod point;

mod evaluate;
mod functions;

mod scalars;

pub(crate) use scalars::Decider;
