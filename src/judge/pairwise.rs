//! The judge itself: it asks the model in both orders, combines the readings and decides.

use super::inspection::{Inspection, Opinion, Reply, Rubric, combined};
use super::reading::{self, Reading, letter_mass, read_choice, read_letters};
use super::template::{Answer, LETTERS, Question, ReplyForm, render};
use super::{JudgeMode, JudgeOptions, JudgeStats, Verdict, VerdictKind};
use crate::base::{Seed, Stage};
use crate::chat::{ChatError, ChatModel, ModelIdentity, Request, Sampling, each_member};
use crate::templates::JudgeTemplates;
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use std::sync::{Arc, Mutex};

/// A judge that compares answers with one model, or with several whose verdicts are averaged.
/// Every comparison is a pure function of its texts and, for the coin, of its draw.
pub struct Judge {
    models: Vec<Arc<dyn ChatModel>>,
    options: JudgeOptions,
    templates: JudgeTemplates,
    seed: Seed,
    stats: Mutex<JudgeStats>,
}

impl Judge {
    /// A judge that asks `model`, or each of its members, with the request of `templates`; `seed`
    /// is used by the coin only.
    pub fn new(model: Arc<dyn ChatModel>, options: JudgeOptions, seed: Seed, templates: JudgeTemplates) -> Self {
        let models = each_member(&model);
        Self { models, options, templates, seed, stats: Mutex::default() }
    }

    /// The names of the models that are asked. Those of one name have their digests beside it.
    pub fn models(&self) -> Vec<String> {
        let all: Vec<ModelIdentity> = self.models.iter().map(|model| model.identity()).collect();
        let is_unique = |name: &str| all.iter().filter(|other| other.name == name).count() == 1;
        let name = |identity: &ModelIdentity| match is_unique(&identity.name) {
            true => identity.name.clone(),
            false => format!("{} ({})", identity.name, identity.digest.short()),
        };
        all.iter().map(name).collect()
    }

    /// The counters of all comparisons so far.
    pub fn stats(&self) -> JudgeStats {
        *self.stats.lock().expect("no thread panics while it holds the counts")
    }

    /// Adds the counters of another judge of the same run.
    pub fn add(&self, other: &JudgeStats) {
        self.record(|stats| stats.add(other));
    }

    /// Decides whether `candidate` does the task better than `base`. `draw` holds the counters of
    /// this comparison, from which the coin is seeded. With both orders, swapping the two answers
    /// gives 1 − the value.
    ///
    /// # Errors
    /// Returns every error of the model except an overflow, which counts as a tie.
    pub async fn compare(
        &self,
        question: &Question<'_>,
        candidate: Answer<'_>,
        base: Answer<'_>,
        draw: &[u64],
    ) -> Result<Verdict, ChatError> {
        let verdict = if candidate.text == base.text {
            Verdict::tie(VerdictKind::Identical)
        } else if self.options.mode == JudgeMode::Coin {
            self.flip_coin(candidate.text < base.text, draw)
        } else {
            self.ask(question, candidate, base).await?
        };
        self.record(|stats| stats.count(verdict.kind));
        Ok(verdict)
    }

    /// Flips a fair coin that picks one of the two texts, independent of their order.
    fn flip_coin(&self, candidate_first: bool, draw: &[u64]) -> Verdict {
        let heads = self.seed.derive(Stage::Coin, draw).0 & 1 == 1;
        let value = if heads == candidate_first { 1.0 } else { 0.0 };
        Verdict { value, kind: VerdictKind::Coin, score: None }
    }

    async fn ask(
        &self,
        question: &Question<'_>,
        candidate: Answer<'_>,
        base: Answer<'_>,
    ) -> Result<Verdict, ChatError> {
        let asked = self.models.iter().map(|model| self.ask_model(&**model, question, candidate, base).boxed());
        let verdicts = try_join_all(asked.collect::<Vec<_>>()).await?;
        if let Some(agree) = Verdict::agree(&verdicts) {
            self.record(|stats| *(if agree { &mut stats.models_agreed } else { &mut stats.models_split }) += 1);
        }
        Ok(Verdict::joint(&verdicts))
    }

    async fn ask_model(
        &self,
        model: &dyn ChatModel,
        question: &Question<'_>,
        candidate: Answer<'_>,
        base: Answer<'_>,
    ) -> Result<Verdict, ChatError> {
        let one = |rubric| self.ask_rubric(model, (question, rubric), candidate, base).boxed();
        let readings = try_join_all(self.rubrics().into_iter().map(one).collect::<Vec<_>>()).await?;
        Ok(self.decide(reading::mean(&readings, false)))
    }

    /// Asks about one rubric in both orders: s = (l1 + l2) / 2, in which an additive position bias
    /// of the model cancels.
    async fn ask_rubric(
        &self,
        model: &dyn ChatModel,
        asked: (&Question<'_>, &str),
        candidate: Answer<'_>,
        base: Answer<'_>,
    ) -> Result<Reading, ChatError> {
        let replies = self.replies(model, asked, [candidate, base]).await?;
        let mut readings: Vec<Reading> = replies.into_iter().map(|reply| reply.reading).collect();
        if let [first, second] = &mut readings[..] {
            *second = second.flipped();
            if let (Some(one), Some(two)) = (first.sign(), second.sign()) {
                self.record(|stats| *(if one == two { &mut stats.consistent } else { &mut stats.inconsistent }) += 1);
            }
        }
        Ok(reading::mean(&readings, true))
    }

    /// Asks about one rubric in the order given and, if the options say so, in the other.
    async fn replies(
        &self,
        model: &dyn ChatModel,
        asked: (&Question<'_>, &str),
        [a, b]: [Answer<'_>; 2],
    ) -> Result<Vec<Reply>, ChatError> {
        let mut orders = vec![self.reply(model, asked, [a, b])];
        if self.options.both_orders {
            orders.push(self.reply(model, asked, [b, a]));
        }
        try_join_all(orders).await
    }

    /// Makes one call; the reading is positive if the model prefers the first of the answers, which
    /// is shown as answer A.
    fn reply<'a>(
        &'a self,
        model: &'a dyn ChatModel,
        (question, rubric): (&Question<'_>, &str),
        answers: [Answer<'_>; 2],
    ) -> BoxFuture<'a, Result<Reply, ChatError>> {
        let text_mode = self.options.mode == JudgeMode::Text;
        let form = if text_mode { ReplyForm::Tagged } else { ReplyForm::Letter };
        let messages = render(&self.templates, question, rubric, answers, form);
        let max_new_tokens = if text_mode { self.options.max_new_tokens } else { 1 };
        let request = Request { messages, max_new_tokens, max_thinking_tokens: None, sampling: Sampling::GREEDY };
        async move {
            self.record(|stats| stats.asked += 1);
            let reply = if text_mode {
                model.complete(request).await.map(|completion| {
                    self.record(|stats| stats.cut_in_reasoning += u64::from(completion.cut_in_reasoning));
                    Reply { reading: read_choice(&completion.text), letter_mass: None }
                })
            } else {
                let scores = model.score(request, LETTERS.map(str::to_string).to_vec()).await;
                scores.map(|scores| Reply {
                    reading: read_letters(&scores.logprobs, self.options.min_letter_mass),
                    letter_mass: letter_mass(&scores.logprobs),
                })
            };
            match reply {
                Err(ChatError::Overflow { .. }) => {
                    Ok(Reply { reading: Reading::Failed(VerdictKind::Overflow), letter_mass: None })
                }
                other => other,
            }
        }
        .boxed()
    }

    /// Asks about two answers, even if they are equal, and returns what the model replied, order by
    /// order. The comparison is not counted.
    ///
    /// # Errors
    /// Those of [`compare`](Self::compare).
    pub async fn inspect(&self, question: &Question<'_>, answers: [Answer<'_>; 2]) -> Result<Inspection, ChatError> {
        let asked = self.models.iter().map(|model| self.opinion(&**model, question, answers).boxed());
        let opinions = try_join_all(asked.collect::<Vec<_>>()).await?;
        let verdicts: Vec<Verdict> = opinions.iter().map(|opinion| opinion.verdict).collect();
        Ok(Inspection { opinions, verdict: Verdict::joint(&verdicts) })
    }

    async fn opinion(
        &self,
        model: &dyn ChatModel,
        question: &Question<'_>,
        answers: [Answer<'_>; 2],
    ) -> Result<Opinion, ChatError> {
        let one = |rubric| self.replies(model, (question, rubric), answers).boxed();
        let replies = try_join_all(self.rubrics().into_iter().map(one).collect::<Vec<_>>()).await?;
        let rubrics: Vec<Rubric> = replies.iter().map(|replies| Rubric::of(replies)).collect();
        let readings: Vec<Reading> = replies.iter().map(|replies| combined(replies)).collect();
        Ok(Opinion { rubrics, verdict: self.decide(reading::mean(&readings, false)) })
    }

    fn rubrics(&self) -> Vec<&str> {
        let rubrics: Vec<&str> = self.options.rubrics.iter().map(String::as_str).collect();
        if rubrics.is_empty() { vec![""] } else { rubrics }
    }

    fn decide(&self, reading: Reading) -> Verdict {
        let logit = self.options.mode == JudgeMode::Logit;
        match reading {
            Reading::Failed(kind) => Verdict::tie(kind),
            Reading::Score(score) => {
                let tie = score == 0.0 || (logit && score.abs() < self.options.tie_band);
                let (value, kind) = match (tie, score > 0.0) {
                    (true, _) => (0.5, VerdictKind::Tie),
                    (false, true) => (1.0, VerdictKind::Decided),
                    (false, false) => (0.0, VerdictKind::Decided),
                };
                let value = match self.options.margin_slope {
                    Some(slope) if logit && !tie => 1.0 / (1.0 + (-slope * score).exp()),
                    _ => value,
                };
                Verdict { value, kind, score: logit.then_some(score) }
            }
        }
    }

    fn record(&self, change: impl FnOnce(&mut JudgeStats)) {
        change(&mut self.stats.lock().expect("no thread panics while it holds the counts"));
    }
}
