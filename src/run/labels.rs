//! The labelled training items that a method may learn from. They are made of `data.train` alone,
//! which shares no row with `data.test`.

use crate::chat::ChatError;
use crate::config::Settings;
use crate::method::Labels;
use crate::task::{Outcome, Scorer};
use std::sync::Arc;

/// The cases of `data.train`, whose gold answers only this type sees.
pub(super) struct TrainLabels {
    questions: Vec<Arc<str>>,
    gold: Vec<String>,
    scorer: Scorer,
}

impl TrainLabels {
    /// The training items of the experiment; `None` if it has none.
    pub(super) fn of(settings: &Settings) -> Option<Arc<dyn Labels>> {
        let (train, scorer) = (settings.train.as_ref()?, settings.scorer.clone()?);
        let questions = train.iter().map(|case| case.query.question.clone()).collect();
        let gold = train.iter().map(|case| case.answer.clone()).collect();
        Some(Arc::new(Self { questions, gold, scorer }))
    }
}

impl Labels for TrainLabels {
    fn questions(&self) -> &[Arc<str>] {
        &self.questions
    }

    fn score(&self, answers: &[(usize, &str)]) -> Result<Vec<f64>, ChatError> {
        let pairs: Vec<_> = answers.iter().map(|(item, answer)| (*answer, &*self.gold[*item])).collect();
        let scored = self.scorer.score_all(&pairs).map_err(|error| ChatError::Model(error.to_string()))?;
        Ok(scored.iter().map(|scored| f64::from(u8::from(scored.outcome == Outcome::Correct))).collect())
    }
}
