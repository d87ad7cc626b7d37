//! Data sets and scorers: the only place that knows gold answers.
