//! The jobs that callers wait for, generations and scores, and how logits become their answers.

use super::FinishReason;
use super::draft::Drafter;
use super::{Extras, LogprobRequest, NewToken, ScoreOutput, TokenLogprobs, TokenOutput, TokenRequest};
use crate::executor::{DeviceError, Executor};
use crate::sample::{Normalizer, choose, choose_among, likeliest};
use crate::schedule::MOST_TOP;
use futures::channel::oneshot;

/// A checked request on its way to the engine's thread.
pub(super) enum Job {
    /// Generate at least one token after a prompt.
    Generate(TokenRequest, Extras, oneshot::Sender<TokenOutput>),
    /// Score answers of at least one token each.
    Score {
        /// The prompt before every answer.
        prompt: Vec<u32>,
        /// The answers.
        answers: Vec<Vec<u32>>,
        /// Where the result goes.
        reply: oneshot::Sender<ScoreOutput>,
    },
}

/// A complete answer that has not been sent yet.
pub(super) enum Answer {
    /// A generation, why it ended, and how many tokens of its prompt were reused.
    Generated(Box<Generation>, FinishReason, usize),
    /// A score whose sequences are all finished.
    Scored(Scoring),
}

impl Answer {
    /// Sends the answer to its caller.
    pub(super) fn send(self) {
        match self {
            Self::Generated(generation, reason, reused_tokens) => generation.finish(reason, reused_tokens),
            Self::Scored(scoring) => scoring.finish(),
        }
    }
}

/// A generation in progress.
pub(super) struct Generation {
    request: TokenRequest,
    extras: Extras,
    /// Whether the thought's limit was reached inside a thought, so that the next tokens close it.
    closes: bool,
    reply: oneshot::Sender<TokenOutput>,
    generated: Vec<u32>,
    /// Created by the first draft.
    drafter: Option<Drafter>,
}

impl Generation {
    pub(super) fn new(request: TokenRequest, extras: Extras, reply: oneshot::Sender<TokenOutput>) -> Self {
        Self { request, extras, closes: false, reply, generated: Vec::new(), drafter: None }
    }

    /// Returns the next token if it closes a thought that has become too long. It depends on the
    /// generated tokens alone.
    fn closing(&self) -> Option<u32> {
        let limit = self.extras.limit.as_ref()?;
        let at = self.generated.len().checked_sub(limit.max_tokens)?;
        let closes = if at == 0 { (limit.is_open)(&self.generated) } else { self.closes };
        if closes { limit.closing.get(at).copied() } else { None }
    }

    /// Returns up to `most` tokens that may come after `tokens`, which are the prompt and what was
    /// generated so far. The last token that the request may still generate is never drafted,
    /// because nothing comes after it.
    pub(super) fn draft(&mut self, tokens: &[u32], most: usize, eos: &[u32]) -> Vec<u32> {
        let request = &self.request;
        let most = most.min(request.max_new_tokens - self.generated.len() - 1);
        let most_tokens = request.prompt.len().saturating_add(request.max_new_tokens);
        let drafter = self.drafter.get_or_insert_with(|| Drafter::new(most_tokens));
        drafter.draft(tokens, most, |token| request.ends_at(token, eos))
    }

    /// Returns how many of the largest logits are enough to sample the next token; `None` where
    /// the token is chosen greedily or whole rows are needed.
    pub(super) fn top(&self) -> Option<usize> {
        let sampling = &self.request.sampling;
        let needs_rows = self.extras.shaping.has_penalties() || self.reads_logits();
        let is_enough = |top: &usize| !sampling.is_greedy() && !needs_rows && (2..=MOST_TOP).contains(top);
        Some(sampling.top_k as usize).filter(is_enough)
    }

    /// Chooses the next token from row `index` of the last step's logits, or from the answer to
    /// question `question` about that row. Returns `Ok` with the token to go on with, or `Err` if
    /// the output is complete.
    pub(super) fn next(
        &mut self,
        executor: &mut dyn Executor,
        index: usize,
        question: Option<usize>,
        eos: &[u32],
        reused_tokens: usize,
    ) -> Result<Result<u32, FinishReason>, DeviceError> {
        let closing = self.closing();
        self.closes = closing.is_some();
        let request = &self.request;
        let shaping = &self.extras.shaping;
        let token = match closing {
            Some(token) => token,
            None if self.takes_likeliest() => executor.greedy(index),
            None => match question {
                Some(question) => {
                    let top = &executor.answer(question).top;
                    choose_among(top, &request.sampling, shaping.min_p, self.generated.len())
                }
                None => choose(executor.logits(index)?, &request.sampling, shaping, &request.prompt, &self.generated),
            },
        };
        if let Some(watch) = &self.extras.watch {
            let asked = watch.logprobs.as_ref();
            let logprobs =
                asked.map(|asked| executor.logits(index).map(|logits| asked.read(logits, token))).transpose()?;
            // The caller may have dropped the request.
            let ends = request.ends_at(token, eos);
            let _ = watch.tokens.unbounded_send(NewToken { id: token, ends, reused_tokens, logprobs });
        }
        if request.ends_at(token, eos) {
            return Ok(Err(FinishReason::Stop));
        }
        self.generated.push(token);
        let complete = self.generated.len() == request.max_new_tokens;
        Ok(if complete { Err(FinishReason::Length) } else { Ok(token) })
    }

    /// Returns whether tokens are the likeliest ones of the model's own logits.
    fn takes_likeliest(&self) -> bool {
        self.request.sampling.is_greedy() && !self.extras.shaping.has_penalties()
    }

    /// Returns whether the next token is chosen greedily and is not the last one allowed. Then
    /// another token follows it unless it ends the output.
    pub(super) fn continues_greedily(&self) -> bool {
        let is_last = self.generated.len() + 1 >= self.request.max_new_tokens;
        // Rows of logits can be read only while no later step has been started.
        self.takes_likeliest() && !self.reads_logits() && !is_last && self.closing().is_none()
    }

    /// Returns whether whoever watches the tokens wants log-probabilities, which are read from
    /// whole rows of logits.
    fn reads_logits(&self) -> bool {
        self.extras.watch.as_ref().is_some_and(|watch| watch.logprobs.is_some())
    }

    fn finish(self, finish_reason: FinishReason, reused_tokens: usize) {
        let prompt_tokens = self.request.prompt.len();
        let output = TokenOutput { token_ids: self.generated, finish_reason, prompt_tokens, reused_tokens };
        // The caller may have dropped the request.
        let _ = self.reply.send(output);
    }

    pub(super) fn abandoned(&self) -> bool {
        self.reply.is_canceled()
    }
}

impl LogprobRequest {
    /// Reads what was asked for from the row of logits that `chosen` was chosen from.
    fn read(&self, logits: &[f32], chosen: u32) -> TokenLogprobs {
        let normalizer = Normalizer::of(logits);
        // A token outside of the row is impossible.
        let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let logprob = |token: u32| normalizer.log_probability(logit(token));
        TokenLogprobs {
            chosen: logprob(chosen),
            top: likeliest(logits, self.top).into_iter().map(|token| (token, logprob(token))).collect(),
            of: self.of.iter().map(|&token| logprob(token)).collect(),
        }
    }
}

impl TokenRequest {
    /// Returns whether `token` completes the output.
    fn ends_at(&self, token: u32, eos: &[u32]) -> bool {
        self.stop.contains(&token) || (!self.ignore_eos && eos.contains(&token))
    }
}

/// A score in progress. Its sequences are the prompt and, for every answer of several tokens, the
/// prompt followed by the answer without its last token. They share the prompt's blocks through the
/// prefix tree.
pub(super) struct Scoring {
    prompt_tokens: usize,
    answers: Vec<Vec<u32>>,
    reply: oneshot::Sender<ScoreOutput>,
    /// `[answer][token]`: the log-probabilities known so far.
    logprobs: Vec<Vec<f64>>,
    /// The number of sequences that are not finished yet.
    unfinished: usize,
    reused_tokens: usize,
}

impl Scoring {
    pub(super) fn new(prompt_tokens: usize, answers: Vec<Vec<u32>>, reply: oneshot::Sender<ScoreOutput>) -> Self {
        let logprobs = answers.iter().map(|answer| vec![0.0; answer.len()]).collect();
        let unfinished = 1 + answers.iter().filter(|answer| answer.len() > 1).count();
        Self { prompt_tokens, answers, reply, logprobs, unfinished, reused_tokens: 0 }
    }

    /// Returns the tokens whose log-probabilities after `position` are wanted: in the prompt's
    /// sequence (`answer` is `None`) the first token of every answer, in an answer's own sequence
    /// one of its further tokens.
    pub(super) fn tokens(&self, answer: Option<usize>, position: usize) -> Vec<u32> {
        match answer {
            None => self.answers.iter().map(|tokens| tokens[0]).collect(),
            Some(index) => vec![self.answers[index][position + 1 - self.prompt_tokens]],
        }
    }

    /// Returns the last position of a sequence of the score.
    pub(super) fn last_position(&self, answer: Option<usize>) -> usize {
        let appended = answer.map_or(0, |index| self.answers[index].len() - 1);
        self.prompt_tokens + appended - 1
    }

    /// Records the log-probabilities of these tokens, whose logits are given in their order.
    pub(super) fn record(
        &mut self,
        answer: Option<usize>,
        position: usize,
        normalizer: Normalizer,
        logits: impl IntoIterator<Item = f32>,
    ) {
        let mut found = logits.into_iter().map(|logit| normalizer.log_probability(logit));
        match answer {
            None => self.logprobs.iter_mut().zip(found).for_each(|(tokens, found)| tokens[0] = found),
            Some(index) => {
                let next = position + 1 - self.prompt_tokens;
                self.logprobs[index][next] = found.next().expect("the logit of one token");
            }
        }
    }

    /// Counts one sequence as finished. Returns true if it was the last one. Reused tokens are
    /// counted for the prompt only.
    pub(super) fn finish_sequence(&mut self, answer: Option<usize>, reused_tokens: usize) -> bool {
        if answer.is_none() {
            self.reused_tokens = reused_tokens;
        }
        self.unfinished -= 1;
        self.unfinished == 0
    }

    fn finish(self) {
        let appended: usize = self.answers.iter().map(|answer| answer.len() - 1).sum();
        let output = ScoreOutput {
            logprobs: self.logprobs.iter().map(|tokens| tokens.iter().sum()).collect(),
            prompt_tokens: self.prompt_tokens + appended,
            reused_tokens: self.reused_tokens,
        };
        // The caller may have dropped the request.
        let _ = self.reply.send(output);
    }

    pub(super) fn abandoned(&self) -> bool {
        self.reply.is_canceled()
    }
}
