//! How a model decodes in one role of a run: its sampling and the length of its thoughts. It
//! completes requests that leave these open and changes nothing else.

use super::{ChatError, ChatModel, Completion, ModelIdentity, ModelRole, Request, Sampling, Scores};
use crate::base::{Digest, Seed, Stage};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a model decodes in one role. What is `None` is left as the request has it.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Decoding {
    /// The sampling temperature; 0 is greedy.
    pub temperature: Option<f64>,
    /// Keep the smallest set of tokens whose probabilities reach `top_p`.
    pub top_p: Option<f64>,
    /// Keep only the `top_k` most likely tokens; 0 keeps all.
    pub top_k: Option<u32>,
    /// The most tokens of a thought; 0 skips it.
    pub max_thinking_tokens: Option<usize>,
}

/// A model that decodes as its role says.
pub struct RoleModel {
    model: Arc<dyn ChatModel>,
    role: ModelRole,
    decoding: Decoding,
    seed: Seed,
}

impl RoleModel {
    /// Wraps `model`, unless there is nothing to change. `seed` is the run's.
    pub fn wrap(model: Arc<dyn ChatModel>, role: ModelRole, decoding: Decoding, seed: Seed) -> Arc<dyn ChatModel> {
        if decoding == Decoding::default() { model } else { Arc::new(Self { model, role, decoding, seed }) }
    }

    fn decoded(&self, request: Request) -> Request {
        let Decoding { temperature, top_p, top_k, max_thinking_tokens } = self.decoding;
        let asked = request.sampling;
        let temperature = temperature.unwrap_or(asked.temperature);
        let sampling = if temperature == 0.0 {
            Sampling::GREEDY
        } else {
            Sampling {
                temperature,
                top_p: top_p.unwrap_or(asked.top_p),
                top_k: top_k.unwrap_or(asked.top_k),
                // A request that was to be greedy has no seed of its own.
                seed: if asked.temperature == 0.0 { self.seed_of(&request) } else { asked.seed },
            }
        };
        let max_thinking_tokens = request.max_thinking_tokens.or(max_thinking_tokens);
        Request { sampling, max_thinking_tokens, ..request }
    }

    /// Returns the seed of a request, which depends on the run's seed, the role and the messages
    /// alone: equal requests have equal answers, whatever else a run does and in whatever order.
    fn seed_of(&self, request: &Request) -> u64 {
        let json = serde_json::to_vec(&request.messages).expect("messages are plain data");
        let digest = Digest::of(&json).0;
        let word = |at: usize| u64::from_le_bytes(digest[at..at + 8].try_into().expect("eight bytes"));
        self.seed.derive(Stage::Sampling, &[self.role as u64, word(0), word(8), word(16), word(24)]).0
    }
}

impl ChatModel for RoleModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        self.model.complete(self.decoded(request))
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        self.model.score(request, answers)
    }

    fn identity(&self) -> ModelIdentity {
        self.model.identity()
    }

    fn members(&self) -> Vec<Arc<dyn ChatModel>> {
        let Self { role, decoding, seed, .. } = *self;
        self.model.members().into_iter().map(|model| Self::wrap(model, role, decoding, seed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, ScriptedModel};
    use futures::executor::block_on;

    const QWEN: Decoding =
        Decoding { temperature: Some(0.6), top_p: Some(0.95), top_k: Some(20), max_thinking_tokens: Some(100) };

    fn request(text: &str, sampling: Sampling, max_thinking_tokens: Option<usize>) -> Request {
        Request { messages: vec![Message::user(text)], max_new_tokens: 4, max_thinking_tokens, sampling }
    }

    /// Returns what the model is asked for in the role.
    fn seen(role: ModelRole, decoding: Decoding, seed: u64, asked: Request) -> Request {
        let model = Arc::new(ScriptedModel::new(|_| String::new()));
        let wrapped = RoleModel::wrap(Arc::<ScriptedModel>::clone(&model), role, decoding, Seed(seed));
        block_on(wrapped.complete(asked)).unwrap();
        model.seen().remove(0)
    }

    #[test]
    fn a_greedy_request_is_sampled_with_a_seed_of_its_messages() {
        let greedy = |text| request(text, Sampling::GREEDY, None);
        let one = seen(ModelRole::Worker, QWEN, 1, greedy("a"));
        assert_eq!((one.sampling.temperature, one.sampling.top_p, one.sampling.top_k), (0.6, 0.95, 20));
        assert_eq!(one.max_thinking_tokens, Some(100));
        assert_eq!(one, seen(ModelRole::Worker, QWEN, 1, greedy("a")));
        let seed = |role, run, text| seen(role, QWEN, run, greedy(text)).sampling.seed;
        for other in [seed(ModelRole::Judge, 1, "a"), seed(ModelRole::Worker, 2, "a"), seed(ModelRole::Worker, 1, "b")]
        {
            assert_ne!(one.sampling.seed, other);
        }
    }

    #[test]
    fn what_a_role_does_not_say_stays_as_it_was_asked() {
        let plain = request("a", Sampling::at(0.7, 5), Some(0));
        assert_eq!(seen(ModelRole::Optimizer, Decoding::default(), 1, plain.clone()), plain);
        let cut = seen(ModelRole::Optimizer, Decoding { top_k: Some(20), ..Decoding::default() }, 1, plain.clone());
        assert_eq!(cut.sampling, Sampling { top_k: 20, ..Sampling::at(0.7, 5) });
        let greedy = Decoding { temperature: Some(0.0), ..QWEN };
        let asked = seen(ModelRole::Optimizer, greedy, 1, plain);
        assert_eq!((asked.sampling, asked.max_thinking_tokens), (Sampling::GREEDY, Some(0)));
        // Without a temperature the cuts have nothing to cut.
        let greedy = request("a", Sampling::GREEDY, None);
        let asked = seen(ModelRole::Judge, Decoding { top_p: Some(0.9), ..Decoding::default() }, 1, greedy.clone());
        assert_eq!(asked, greedy);
    }
}
