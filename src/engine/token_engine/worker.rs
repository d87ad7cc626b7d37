//! The engine's thread. It accepts jobs, plans a step, computes it and answers.

use super::handle::Shared;
use super::jobs::{Answer, Generation, Job, Scoring};
use super::{Counters, EngineOptions};
use crate::blocks::{Blocks, PoolSize};
use crate::executor::{DeviceError, Executor, LogitAnswer};
use crate::sample::Normalizer;
use crate::schedule::{Limits, LogitQuestion, LogitRow, Scheduler, SequenceId, StepPlan};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::executor::block_on;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The number of steps in a row that may be started before the previous step's tokens are known.
/// The next one waits for them, so that drafts can be added, which need to know the last token.
const STEPS_AHEAD_BEFORE_DRAFTS: u32 = 7;

/// Everything that the engine's thread owns.
pub(super) struct Worker {
    executor: Box<dyn Executor>,
    scheduler: Scheduler,
    eos: Vec<u32>,
    queue: usize,
    draft_tokens: usize,
    /// The step that was started before the previous one was finished.
    step_ahead: Option<StepPlan>,
    /// The number of steps in a row that were started ahead.
    steps_ahead: u32,
    generations: BTreeMap<SequenceId, Generation>,
    /// Scores in progress, by the sequence of their prompt.
    scorings: BTreeMap<SequenceId, Scoring>,
    score_sequences: HashMap<SequenceId, ScoreSequence>,
    requests: u64,
    steps: u64,
    decoded: u64,
    shared: Arc<Shared>,
}

/// A sequence of a score.
struct ScoreSequence {
    /// The score, named by the sequence of its prompt.
    score: SequenceId,
    /// Which answer it is of; `None` is the prompt itself.
    answer: Option<usize>,
    /// The number of reused tokens, once the step that computes its last token was started. The
    /// scheduler then has it no more.
    complete: Option<usize>,
}

impl ScoreSequence {
    fn new(score: SequenceId, answer: Option<usize>) -> Self {
        Self { score, answer, complete: None }
    }
}

impl Worker {
    pub(super) fn new(
        executor: Box<dyn Executor>,
        eos: Vec<u32>,
        options: &EngineOptions,
        blocks: PoolSize,
        shared: Arc<Shared>,
    ) -> Self {
        let limits = Limits { step_tokens: options.step_tokens, max_running: options.max_running };
        let blocks = Blocks::new(blocks, options.block_tokens, options.prefix_reuse);
        Self {
            executor,
            scheduler: Scheduler::new(limits, blocks).with_draft_rows(options.draft_rows),
            eos,
            queue: options.queue,
            draft_tokens: options.draft_tokens,
            step_ahead: None,
            steps_ahead: 0,
            generations: BTreeMap::new(),
            scorings: BTreeMap::new(),
            score_sequences: HashMap::new(),
            requests: 0,
            steps: 0,
            decoded: 0,
            shared,
        }
    }

    /// Runs until the handle is dropped or the device fails. Unfinished requests then get no
    /// answer. The returned executor has no started step left.
    pub(super) fn run(mut self, arrivals: mpsc::Receiver<Job>) -> Box<dyn Executor> {
        self.work(arrivals);
        if self.step_ahead.is_some() {
            // No caller waits for this step, so a failure can be ignored.
            let _ = self.executor.finish();
        }
        self.executor
    }

    fn work(&mut self, mut arrivals: mpsc::Receiver<Job>) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if self.scheduler.is_idle() && self.step_ahead.is_none() {
                match block_on(arrivals.next()) {
                    Some(job) => self.accept(job),
                    None => return,
                }
            }
            while self.scheduler.waiting() < self.queue
                && let Ok(job) = arrivals.try_recv()
            {
                self.accept(job);
            }
            self.drop_abandoned();
            if let Err(error) = self.step() {
                self.shared.fail(error);
                return;
            }
        }
    }

    fn accept(&mut self, job: Job) {
        self.requests += 1;
        match job {
            Job::Generate(request, extras, reply) => {
                let last = request.prompt.len() - 1;
                let id = self.scheduler.submit(request.prompt.clone(), last);
                self.generations.insert(id, Generation::new(request, extras, reply));
            }
            Job::Score { prompt, answers, reply } => {
                let score = self.scheduler.submit(prompt.clone(), prompt.len() - 1);
                self.score_sequences.insert(score, ScoreSequence::new(score, None));
                for (index, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.len() > 1) {
                    let tokens = [&prompt[..], &answer[..answer.len() - 1]].concat();
                    let id = self.scheduler.submit(tokens, prompt.len());
                    self.score_sequences.insert(id, ScoreSequence::new(score, Some(index)));
                }
                self.scorings.insert(score, Scoring::new(prompt.len(), answers, reply));
            }
        }
    }

    /// Removes requests whose callers are gone.
    fn drop_abandoned(&mut self) {
        let open = self.generations.len() + self.scorings.len();
        let scheduler = &mut self.scheduler;
        self.generations.retain(|&id, generation| {
            let keep = !generation.abandoned();
            if !keep {
                scheduler.remove(id);
            }
            keep
        });
        let scorings = &mut self.scorings;
        let before = scorings.len();
        scorings.retain(|_, scoring| !scoring.abandoned());
        if scorings.len() < before {
            self.score_sequences.retain(|&id, sequence| {
                let keep = scorings.contains_key(&sequence.score);
                if !keep {
                    scheduler.remove(id);
                }
                keep
            });
        }
        if self.generations.len() + self.scorings.len() < open {
            self.publish_counters();
        }
    }

    /// Runs one step to its end. If the device allows it, the next step is started before.
    fn step(&mut self) -> Result<(), DeviceError> {
        let plan = match self.step_ahead.take() {
            Some(plan) => plan,
            None => {
                let Some(plan) = self.plan() else { return Ok(()) };
                self.executor.start(&plan)?;
                plan
            }
        };
        // The next step finds this step's keys and values, because the device runs steps in order.
        self.scheduler.complete(&plan);
        self.release_complete_scores(&plan);
        self.step_ahead = self.start_ahead(&plan)?;
        self.executor.finish()?;
        self.steps += 1;
        let mut answers = Vec::new();
        for (index, wanted) in plan.logits.iter().enumerate() {
            let question = plan.questions.binary_search_by_key(&index, |question| question.choice).ok();
            answers.extend(self.deliver(index, question, *wanted)?);
        }
        // Counters are published before the answers, so that a caller who has an answer finds it
        // counted.
        self.publish_counters();
        answers.into_iter().for_each(Answer::send);
        Ok(())
    }

    /// Takes the sequences of scores that `plan` completes from the scheduler. Nothing is computed
    /// for them any more, so the next step needs no answer about them.
    fn release_complete_scores(&mut self, plan: &StepPlan) {
        for wanted in &plan.logits {
            if let Some(sequence) = self.score_sequences.get_mut(&wanted.id)
                && self.scheduler.is_last(wanted.id, wanted.position)
            {
                sequence.complete = Some(self.scheduler.reused(wanted.id));
                self.scheduler.remove(wanted.id);
            }
        }
    }

    /// Starts the step after `plan` on tokens that `plan` is still choosing (async token feedback),
    /// if every generation's choice is greedy and it goes on, and the device answers the scores'
    /// questions. The row of a sequence that turns out to have ended is computed and ignored.
    fn start_ahead(&mut self, plan: &StepPlan) -> Result<Option<StepPlan>, DeviceError> {
        let Self { scheduler, generations, score_sequences, .. } = self;
        let continues_greedily = |wanted: &LogitRow| {
            generations.get(&wanted.id).is_some_and(Generation::continues_greedily)
                && scheduler.is_last(wanted.id, wanted.position)
        };
        let asks = |choice: &usize| plan.questions.binary_search_by_key(choice, |question| question.choice).is_ok();
        let needs_a_row = plan
            .logits
            .iter()
            .enumerate()
            .any(|(choice, wanted)| score_sequences.contains_key(&wanted.id) && !asks(&choice));
        // Drafts need to know the last token.
        let wants_drafts = self.draft_tokens > 0 && self.steps_ahead >= STEPS_AHEAD_BEFORE_DRAFTS;
        let mut chosen = plan.logits.iter().enumerate().filter(|(_, wanted)| generations.contains_key(&wanted.id));
        let all_continue = !needs_a_row && chosen.clone().all(|(_, wanted)| continues_greedily(wanted));
        if self.executor.depth() < 2 || wants_drafts || !all_continue {
            self.steps_ahead = 0;
            return Ok(None);
        }
        let chosen: Vec<_> = chosen.by_ref().map(|(choice, wanted)| (wanted.id, choice)).collect();
        for (id, choice) in chosen {
            self.scheduler.push_pending(id, choice);
        }
        let mut next = self.scheduler.plan();
        if let Some(next) = &mut next {
            self.ask(next);
            self.executor.start(next)?;
            self.steps_ahead += 1;
        }
        Ok(next)
    }

    fn plan(&mut self) -> Option<StepPlan> {
        let mut plan = self.plan_drafting()?;
        self.ask(&mut plan);
        Some(plan)
    }

    /// Adds the questions about the plan's logits, if the executor answers them.
    fn ask(&self, plan: &mut StepPlan) {
        let question = |(choice, wanted): (usize, &LogitRow)| {
            if let Some(generation) = self.generations.get(&wanted.id) {
                return generation.top().map(|top| LogitQuestion { choice, tokens: Vec::new(), top });
            }
            let ScoreSequence { score, answer, .. } = self.score_sequences.get(&wanted.id)?;
            let tokens = self.scorings[score].tokens(*answer, wanted.position);
            Some(LogitQuestion { choice, tokens, top: 0 })
        };
        let questions: Vec<_> = plan.logits.iter().enumerate().filter_map(question).collect();
        if !questions.is_empty() && self.executor.answers(&questions) {
            plan.questions = questions;
        }
    }

    fn plan_drafting(&mut self) -> Option<StepPlan> {
        if self.draft_tokens == 0 {
            return self.scheduler.plan();
        }
        let Self { scheduler, generations, eos, draft_tokens, .. } = self;
        scheduler.plan_drafting(|id, tokens, most| {
            let generation = generations.get_mut(&id);
            generation.map_or(Vec::new(), |generation| generation.draft(tokens, most.min(*draft_tokens), eos))
        })
    }

    fn publish_counters(&self) {
        let tally = self.scheduler.tally();
        let counters = Counters {
            requests: self.requests,
            steps: self.steps,
            prefilled_tokens: tally.prefilled,
            reused_tokens: tally.reused,
            decoded_tokens: self.decoded,
            preemptions: tally.preemptions,
            peak_running: tally.peak_running,
            peak_blocks: tally.peak_blocks,
            drafted_tokens: tally.drafted,
            accepted_tokens: tally.accepted,
            refused_captures: self.executor.refused_captures(),
            waiting: self.scheduler.waiting() as u64,
            running: self.scheduler.running() as u64,
            used_blocks: self.scheduler.used_blocks() as u64,
        };
        *self.shared.counters.lock().expect("no thread panics while it holds the counters") = counters;
    }

    /// Gives row `index` of the logits, or the answer to question `question` about it, to the
    /// sequence that wanted it. Returns an answer if that completes one.
    fn deliver(
        &mut self,
        index: usize,
        question: Option<usize>,
        wanted: LogitRow,
    ) -> Result<Option<Answer>, DeviceError> {
        let id = wanted.id;
        if let Some(generation) = self.generations.get_mut(&id) {
            let pending = self.scheduler.has_pending_token(id);
            if !pending && !self.scheduler.is_last(id, wanted.position) {
                return Ok(None); // What follows a guess that did not come true.
            }
            self.decoded += 1;
            let reused = self.scheduler.reused(id);
            match generation.next(&mut *self.executor, index, question, &self.eos, reused)? {
                Ok(token) if pending => self.scheduler.resolve_pending(id, token),
                Ok(token) => self.scheduler.push(id, token),
                Err(reason) => {
                    let reused = self.scheduler.reused(id);
                    self.scheduler.remove(id);
                    let generation = self.generations.remove(&id).expect("it was there above");
                    return Ok(Some(Answer::Generated(Box::new(generation), reason, reused)));
                }
            }
        } else if let Some(&ScoreSequence { score, answer, complete }) = self.score_sequences.get(&id) {
            let scoring = self.scorings.get_mut(&score).expect("a sequence of a score belongs to one");
            if let Some(question) = question {
                let LogitAnswer { largest, sum, logits, .. } = self.executor.answer(question);
                let normalizer = Normalizer::known(*largest, *sum);
                scoring.record(answer, wanted.position, normalizer, logits.iter().copied());
            } else {
                let tokens = scoring.tokens(answer, wanted.position);
                let row = self.executor.logits(index)?;
                let logits = tokens.iter().map(|&token| row[token as usize]);
                scoring.record(answer, wanted.position, Normalizer::of(row), logits);
            }
            if let Some(reused) = complete.filter(|_| wanted.position == scoring.last_position(answer)) {
                self.score_sequences.remove(&id);
                if scoring.finish_sequence(answer, reused) {
                    return Ok(self.scorings.remove(&score).map(Answer::Scored));
                }
            }
        }
        Ok(None)
    }
}
