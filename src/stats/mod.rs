//! Statistics over plain numbers: confidence intervals, paired tests, rank correlation. Pure
//! functions; randomness comes only from a given seed. Knows nothing of prompts, models or files.

mod betting;
mod bootstrap;
mod finite;
mod multiple;
mod paired;
mod proportion;
mod rank;
mod summary;

pub use betting::{EProcess, lower_bound};
pub use bootstrap::{cluster_bootstrap, paired_bootstrap};
pub use finite::finite_mean_bounds;
pub use multiple::holm;
pub use paired::mcnemar_exact;
pub use proportion::{mean_proportion, pass_at, wilson};
pub use rank::kendall_tau_b;
pub use summary::{MeanInterval, mean_ci, quantile};
