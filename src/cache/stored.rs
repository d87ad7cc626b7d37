//! A model that answers from the response cache alone, so that what a run computed can be read
//! again without any model.

use super::record::{Answer, Call};
use crate::chat::{ChatError, ChatModel, Completion, ModelIdentity, Origin, Request, Scores};
use crate::store::Reader;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use std::sync::Arc;

/// The stored answers of one model. A call that was never answered is an error,
/// [`ChatError::Unavailable`]; nothing is ever computed or written.
pub struct StoredModel {
    reader: Arc<Reader>,
    identity: ModelIdentity,
}

impl StoredModel {
    /// The answers of the model `identity` that `reader` holds.
    pub fn new(reader: Arc<Reader>, identity: ModelIdentity) -> Self {
        Self { reader, identity }
    }

    fn answer(&self, call: &Call) -> Result<Answer, ChatError> {
        let key = call.key(&self.identity.digest, &call.json());
        let stored = self.reader.call(&key).map_err(|error| ChatError::Storage(error.to_string()))?;
        let absent = || ChatError::Unavailable("the response cache does not hold this call".to_string());
        let mut answer = stored.and_then(|json| call.parse(&json)).ok_or_else(absent)?;
        answer.set_origin(Origin::Cache);
        Ok(answer)
    }
}

impl ChatModel for StoredModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        let completion = self.answer(&Call::Complete(request)).map(|answer| match answer {
            Answer::Completion(completion) => completion,
            Answer::Scores(_) => unreachable!("the answer to a completion is a completion"),
        });
        ready(completion).boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        let scores = self.answer(&Call::score(request, answers)).map(|answer| match answer {
            Answer::Scores(scores) => scores,
            Answer::Completion(_) => unreachable!("the answer to a score is a score"),
        });
        ready(scores).boxed()
    }

    fn identity(&self) -> ModelIdentity {
        self.identity.clone()
    }
}
