//! Runs as one HTML page that opens offline: the verdict, the evidence for it and what it was made
//! of. The page loads nothing, runs only its own small script, and shows what models and data say
//! as text.
//!
//! The way is from a [`RunInput`] to a view (plain values for the templates) to a page. Everything
//! that comes from data or models passes through `visible` on its way into a view, and through the
//! templates' escaping on its way into the page. This module knows no files and no flags.

mod agents;
mod cases;
mod chart;
mod compare;
mod curves;
mod facts;
mod gate;
mod input;
mod labels;
mod lineage;
mod misaligned;
mod numbers;
mod page;
mod steps;
mod svg;
mod team;
mod traces;
mod verdict;
mod view;
mod visible;
mod words;

pub use input::{MAX_RUNS, RunInput};
pub use page::{GENERATOR, Links, PageError, Pages};
pub use traces::{CASES_PER_PAGE, TracePage};
