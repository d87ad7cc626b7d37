//! Statistics over plain numbers: confidence intervals, paired tests, rank correlation, curves of
//! scores. Pure functions; randomness comes only from a given seed. Knows nothing of prompts,
//! models or files.

mod betting;
mod binomial;
mod bootstrap;
mod calibration;
mod coverage;
mod finite;
mod multiple;
mod paired;
mod proportion;
mod rank;
mod ranking;
mod summary;

#[cfg(test)]
mod tests;

pub use betting::{EProcess, lower_bound};
pub use binomial::{fewest_draws, most_successes, rate_lower, rate_upper};
pub use bootstrap::{cluster_bootstrap, paired_bootstrap};
pub use calibration::calibration_error;
pub use coverage::{CoveragePoint, at_coverage, coverage, risk_area};
pub use finite::finite_mean_bounds;
pub use multiple::holm;
pub use paired::mcnemar_exact;
pub use proportion::{mean_proportion, pass_at, wilson};
pub use rank::kendall_tau_b;
pub use ranking::{CurvePoint, Ranking, Threshold};
pub use summary::{MeanInterval, mean_ci, quantile};
