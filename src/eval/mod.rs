//! Scores prompts on held-out, labelled cases. It is the only consumer of gold answers above
//! [`task`](crate::task), and knows nothing of the search.

mod difference;
mod evaluation;
mod gate;
mod label_scores;
mod samples;
mod verdicts;

pub use difference::{Difference, compare};
pub use evaluation::{Accuracy, Evaluation, ItemResult, digest_of_cases, evaluate, evaluate_traces};
pub use gate::{GATE_LEVEL, Gate};
pub use label_scores::{LabelScores, score_labels};
pub use samples::{Majority, PassAt, SAMPLE_TEMPERATURE, SampleItem, SampleOptions, Samples, evaluate_samples};
pub use verdicts::{
    Coverage, Covered, PrecisionRecall, Rates, Roc, RocPoint, ThresholdReport, Verdict, VerdictCase, VerdictInput,
    VerdictOptions, Verdicts,
};
