//! The labelled items that a method may learn from, without the labels themselves.

use crate::chat::ChatError;
use std::sync::Arc;

/// Labelled training items. A method sees their questions and can have answers scored; it sees no
/// gold answer, and no item of another set.
pub trait Labels: Send + Sync {
    /// The questions of the items.
    fn questions(&self) -> &[Arc<str>];

    /// Scores answers, each with the position of its item: 1 if it is right, else 0.
    ///
    /// # Errors
    /// Programs cannot be run on this machine.
    fn score(&self, answers: &[(usize, &str)]) -> Result<Vec<f64>, ChatError>;
}
