//! All held-out cases of a run on pages of their own, for what does not fit on the main page.

use super::cases::case;
use super::input::Run;
use super::visible::name;
use minijinja::{Value, context};
use std::ops::Range;

/// The number of cases on a page.
pub const CASES_PER_PAGE: usize = 100;

/// A page of held-out cases, which is rendered when it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TracePage {
    /// The file's name: plain letters, digits and hyphens.
    pub name: String,
    /// The position of the run among those of the report.
    pub(super) run: usize,
    pub(super) cases: Range<usize>,
}

/// The pages of a run; none if its cases are not at hand.
pub(super) fn pages(run: &Run<'_>) -> Vec<TracePage> {
    let Some((seed, _)) = run.evaluations().filter(|_| run.evidence.is_some()) else { return Vec::new() };
    let total = seed.items.len();
    let page = |(number, start): (usize, usize)| TracePage {
        name: format!("run-{}-cases-{:04}.html", run.number, number + 1),
        run: run.number - 1,
        cases: start..total.min(start + CASES_PER_PAGE),
    };
    (0..total).step_by(CASES_PER_PAGE).enumerate().map(page).collect()
}

/// The view of a page.
pub(super) fn view(run: &Run<'_>, page: &TracePage) -> Value {
    let cases = run.evaluations().map(|(seed, optimized)| {
        page.cases.clone().map(|at| case(run, at, (&seed.items[at], &optimized.items[at]), true)).collect::<Vec<_>>()
    });
    context! {
        title => format!("{}: held-out cases {} to {}", name(&run.record.name), page.cases.start + 1, page.cases.end),
        cases => cases.unwrap_or_default(),
    }
}
