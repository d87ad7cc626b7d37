//! Scores prompts on held-out, labelled cases. The only consumer of gold answers above [`task`](crate::task).
