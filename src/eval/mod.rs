//! Scores prompts on held-out, labelled cases. The only consumer of gold answers above
//! [`task`](crate::task). Knows nothing of the search.

mod difference;
mod evaluation;

pub use difference::{Difference, compare};
pub use evaluation::{Accuracy, Evaluation, ItemResult, evaluate};
