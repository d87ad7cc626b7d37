//! The benchmark experiments in `configs/benchmarks`: each is sound beside its data and says what
//! to fetch without it, and they run end to end on a model of random weights. The rows are made up
//! here in the published forms; none is of a benchmark.

#[path = "../support/mod.rs"]
mod support;

mod configs;
mod data_check;
mod in_the_loop;
mod private;
mod study;
mod workspace;
