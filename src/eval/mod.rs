//! Scores prompts on held-out, labelled cases. It is the only consumer of gold answers above
//! [`task`](crate::task), and knows nothing of the search.

mod difference;
mod evaluation;
mod gate;
mod samples;

pub use difference::{Difference, compare};
pub use evaluation::{Accuracy, Evaluation, ItemResult, digest_of_cases, evaluate, evaluate_traces};
pub use gate::{GATE_LEVEL, Gate};
pub use samples::{Majority, PassAt, SAMPLE_TEMPERATURE, SampleItem, SampleOptions, Samples, evaluate_samples};
