//! What callers wait for: generations and scores, and how logits become their answers.

use super::FinishReason;
use super::draft::Drafter;
use super::{ScoreOutput, TokenOutput, TokenRequest};
use crate::executor::{DeviceError, Executor};
use crate::sample::{choose, log_probability};
use futures::channel::oneshot;

/// A checked request on its way to the thread.
pub(super) enum Job {
    /// Continue a prompt by one token at least.
    Generate(TokenRequest, oneshot::Sender<TokenOutput>),
    /// Score answers of one token at least.
    Score {
        /// What they answer.
        prompt: Vec<u32>,
        /// The answers.
        answers: Vec<Vec<u32>>,
        /// Who waits.
        reply: oneshot::Sender<ScoreOutput>,
    },
}

/// A complete answer, not yet handed over.
pub(super) enum Answer {
    /// With the tokens of its prompt that were already there.
    Generated(Generation, FinishReason, usize),
    /// All of its sequences are finished.
    Scored(Scoring),
}

impl Answer {
    /// Answers whoever waits.
    pub(super) fn send(self) {
        match self {
            Self::Generated(generation, reason, reused_tokens) => generation.finish(reason, reused_tokens),
            Self::Scored(scoring) => scoring.finish(),
        }
    }
}

/// A generation under way.
pub(super) struct Generation {
    request: TokenRequest,
    reply: oneshot::Sender<TokenOutput>,
    generated: Vec<u32>,
    /// From the first time that somebody asks for a draft.
    drafter: Option<Drafter>,
}

impl Generation {
    pub(super) fn new(request: TokenRequest, reply: oneshot::Sender<TokenOutput>) -> Self {
        Self { request, reply, generated: Vec::new(), drafter: None }
    }

    /// Up to `most` tokens that may come after `tokens`, which are the prompt and what was
    /// generated so far. Of what may still be generated, the last one is left out: nothing comes
    /// after it.
    pub(super) fn draft(&mut self, tokens: &[u32], most: usize, eos: &[u32]) -> Vec<u32> {
        let request = &self.request;
        let most = most.min(request.max_new_tokens - self.generated.len() - 1);
        let most_tokens = request.prompt.len().saturating_add(request.max_new_tokens);
        let drafter = self.drafter.get_or_insert_with(|| Drafter::new(most_tokens));
        drafter.draft(tokens, most, |token| request.ends_at(token, eos))
    }

    /// Chooses the next token by the logits with number `index` of the executor's last step: `Ok`
    /// to go on with it, `Err` when the output is complete.
    pub(super) fn next(
        &mut self,
        executor: &mut dyn Executor,
        index: usize,
        eos: &[u32],
    ) -> Result<Result<u32, FinishReason>, DeviceError> {
        let request = &self.request;
        let token = if request.sampling.is_greedy() {
            executor.greedy(index)
        } else {
            choose(executor.logits(index)?, &request.sampling, self.generated.len())
        };
        if request.ends_at(token, eos) {
            return Ok(Err(FinishReason::Stop));
        }
        self.generated.push(token);
        let complete = self.generated.len() == request.max_new_tokens;
        Ok(if complete { Err(FinishReason::Length) } else { Ok(token) })
    }

    /// Whether the next token is chosen greedily and is not the last that is asked for: then only
    /// an end can keep it from being followed by another.
    pub(super) fn goes_on(&self) -> bool {
        self.request.sampling.is_greedy() && self.generated.len() + 1 < self.request.max_new_tokens
    }

    fn finish(self, finish_reason: FinishReason, reused_tokens: usize) {
        let prompt_tokens = self.request.prompt.len();
        let output = TokenOutput { token_ids: self.generated, finish_reason, prompt_tokens, reused_tokens };
        // Whoever waited may have left.
        let _ = self.reply.send(output);
    }

    pub(super) fn abandoned(&self) -> bool {
        self.reply.is_canceled()
    }
}

impl TokenRequest {
    /// Whether the output is complete when `token` is chosen.
    fn ends_at(&self, token: u32, eos: &[u32]) -> bool {
        self.stop.contains(&token) || (!self.ignore_eos && eos.contains(&token))
    }
}

/// A score under way. Its sequences are the prompt and, for every answer of several tokens, the
/// prompt followed by all of the answer but its last token; they share the prompt's blocks through
/// the prefix tree.
pub(super) struct Scoring {
    prompt_tokens: usize,
    answers: Vec<Vec<u32>>,
    reply: oneshot::Sender<ScoreOutput>,
    /// The log-probability of every token of every answer, as far as known.
    parts: Vec<Vec<f64>>,
    /// Sequences not yet finished.
    open: usize,
    reused_tokens: usize,
}

impl Scoring {
    pub(super) fn new(prompt_tokens: usize, answers: Vec<Vec<u32>>, reply: oneshot::Sender<ScoreOutput>) -> Self {
        let parts = answers.iter().map(|answer| vec![0.0; answer.len()]).collect();
        let open = 1 + answers.iter().filter(|answer| answer.len() > 1).count();
        Self { prompt_tokens, answers, reply, parts, open, reused_tokens: 0 }
    }

    /// Notes what the logits after `position` say: of the prompt's sequence (`answer` is `None`)
    /// about the first token of every answer, of an answer's own sequence about one of its further
    /// tokens.
    pub(super) fn note(&mut self, answer: Option<usize>, position: usize, logits: &[f32]) {
        match answer {
            None => {
                for (tokens, parts) in self.answers.iter().zip(&mut self.parts) {
                    parts[0] = log_probability(logits, tokens[0]);
                }
            }
            Some(index) => {
                let next = position + 1 - self.prompt_tokens;
                self.parts[index][next] = log_probability(logits, self.answers[index][next]);
            }
        }
    }

    /// One sequence is finished; true when it was the last. Reuse is counted for the prompt only.
    pub(super) fn close(&mut self, answer: Option<usize>, reused_tokens: usize) -> bool {
        if answer.is_none() {
            self.reused_tokens = reused_tokens;
        }
        self.open -= 1;
        self.open == 0
    }

    fn finish(self) {
        let appended: usize = self.answers.iter().map(|answer| answer.len() - 1).sum();
        let output = ScoreOutput {
            logprobs: self.parts.iter().map(|parts| parts.iter().sum()).collect(),
            prompt_tokens: self.prompt_tokens + appended,
            reused_tokens: self.reused_tokens,
        };
        // Whoever waited may have left.
        let _ = self.reply.send(output);
    }

    pub(super) fn abandoned(&self) -> bool {
        self.reply.is_canceled()
    }
}
