//! The engine's thread: accept, plan, compute, answer.

use super::handle::Shared;
use super::jobs::{Answer, Generation, Job, Scoring};
use super::{Counters, EngineOptions};
use crate::engine::blocks::Blocks;
use crate::engine::executor::{DeviceError, Executor};
use crate::engine::schedule::{Limits, LogitRow, Scheduler, SequenceId, StepPlan};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::executor::block_on;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// After so many steps that were started before the tokens of the step before were known, one is not: its rows are asked for
/// drafts, which pay for themselves where they come true.
const AHEAD_WITHOUT_DRAFTS: u32 = 7;

/// Everything that the thread owns.
pub(super) struct Worker {
    executor: Box<dyn Executor>,
    scheduler: Scheduler,
    eos: Vec<u32>,
    queue: usize,
    draft_tokens: usize,
    /// The step that was started before the last one was finished.
    under_way: Option<StepPlan>,
    /// Steps in a row that were started so.
    ahead: u32,
    generations: BTreeMap<SequenceId, Generation>,
    /// By the sequence of the prompt.
    scorings: BTreeMap<SequenceId, Scoring>,
    /// Sequences of scores: whose, and of which answer (`None`: the prompt itself).
    parts: HashMap<SequenceId, (SequenceId, Option<usize>)>,
    requests: u64,
    steps: u64,
    decoded: u64,
    shared: Arc<Shared>,
}

impl Worker {
    pub(super) fn new(
        executor: Box<dyn Executor>,
        eos: Vec<u32>,
        options: &EngineOptions,
        blocks: usize,
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
            under_way: None,
            ahead: 0,
            generations: BTreeMap::new(),
            scorings: BTreeMap::new(),
            parts: HashMap::new(),
            requests: 0,
            steps: 0,
            decoded: 0,
            shared,
        }
    }

    /// Works until the handle is dropped or the device fails. Requests still under way then get no answer.
    /// The executor comes back with no step under way.
    pub(super) fn run(mut self, arrivals: mpsc::Receiver<Job>) -> Box<dyn Executor> {
        self.work(arrivals);
        if self.under_way.is_some() {
            // Nobody waits for it; a failure has nobody to be told.
            let _ = self.executor.finish();
        }
        self.executor
    }

    fn work(&mut self, mut arrivals: mpsc::Receiver<Job>) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if self.scheduler.is_idle() && self.under_way.is_none() {
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
            Job::Generate(request, reply) => {
                let last = request.prompt.len() - 1;
                let id = self.scheduler.submit(request.prompt.clone(), last);
                self.generations.insert(id, Generation::new(request, reply));
            }
            Job::Score { prompt, answers, reply } => {
                let score = self.scheduler.submit(prompt.clone(), prompt.len() - 1);
                self.parts.insert(score, (score, None));
                for (index, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.len() > 1) {
                    let tokens = [&prompt[..], &answer[..answer.len() - 1]].concat();
                    let id = self.scheduler.submit(tokens, prompt.len());
                    self.parts.insert(id, (score, Some(index)));
                }
                self.scorings.insert(score, Scoring::new(prompt.len(), answers, reply));
            }
        }
    }

    /// Forgets requests that nobody waits for any more.
    fn drop_abandoned(&mut self) {
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
            self.parts.retain(|&id, (score, _)| {
                let keep = scorings.contains_key(score);
                if !keep {
                    scheduler.remove(id);
                }
                keep
            });
        }
    }

    /// Carries a step to its end; where the device can, the one after it is started before.
    fn step(&mut self) -> Result<(), DeviceError> {
        let plan = match self.under_way.take() {
            Some(plan) => plan,
            None => {
                let Some(plan) = self.plan() else { return Ok(()) };
                self.executor.start(&plan)?;
                plan
            }
        };
        // What comes after it on the device finds its keys and values there.
        self.scheduler.complete(&plan);
        self.under_way = self.start_ahead(&plan)?;
        self.executor.finish()?;
        self.steps += 1;
        let mut answers = Vec::new();
        for (index, wanted) in plan.logits.iter().enumerate() {
            answers.extend(self.deliver(index, *wanted)?);
        }
        // Before the answers: whoever has one finds it counted.
        self.publish_counters();
        answers.into_iter().for_each(Answer::send);
        Ok(())
    }

    /// Starts the step after `plan` on tokens that `plan` is still choosing, if all that it chooses is greedy and goes on. The row of
    /// a sequence that turns out to have ended is computed for nobody.
    fn start_ahead(&mut self, plan: &StepPlan) -> Result<Option<StepPlan>, DeviceError> {
        let Self { scheduler, generations, parts, .. } = self;
        let is_there = |wanted: &LogitRow| generations.contains_key(&wanted.id) || parts.contains_key(&wanted.id);
        let goes_on = |wanted: &LogitRow| {
            generations.get(&wanted.id).is_some_and(Generation::goes_on)
                && scheduler.is_last(wanted.id, wanted.position)
        };
        // Guesses at what comes next want to know what came last.
        let guesses = self.draft_tokens > 0 && self.ahead >= AHEAD_WITHOUT_DRAFTS;
        let mut chosen = plan.logits.iter().enumerate().filter(|(_, wanted)| is_there(wanted));
        if self.executor.depth() < 2 || guesses || !chosen.clone().all(|(_, wanted)| goes_on(wanted)) {
            self.ahead = 0;
            return Ok(None);
        }
        let chosen: Vec<_> = chosen.by_ref().map(|(choice, wanted)| (wanted.id, choice)).collect();
        for (id, choice) in chosen {
            self.scheduler.push_open(id, choice);
        }
        let next = self.scheduler.plan();
        if let Some(next) = &next {
            self.executor.start(next)?;
            self.ahead += 1;
        }
        Ok(next)
    }

    fn plan(&mut self) -> Option<StepPlan> {
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
        };
        *self.shared.counters.lock().expect("no thread panics while it holds the counters") = counters;
    }

    /// The logits with number `index` go to the sequence that wanted them; returns an answer that is complete thereby.
    fn deliver(&mut self, index: usize, wanted: LogitRow) -> Result<Option<Answer>, DeviceError> {
        let id = wanted.id;
        if let Some(generation) = self.generations.get_mut(&id) {
            let open = self.scheduler.is_open(id);
            if !open && !self.scheduler.is_last(id, wanted.position) {
                return Ok(None); // What follows a guess that did not come true.
            }
            self.decoded += 1;
            match generation.next(&mut *self.executor, index, &self.eos)? {
                Ok(token) if open => self.scheduler.settle(id, token),
                Ok(token) => self.scheduler.push(id, token),
                Err(reason) => {
                    let reused = self.scheduler.reused(id);
                    self.scheduler.remove(id);
                    let generation = self.generations.remove(&id).expect("it was there above");
                    return Ok(Some(Answer::Generated(generation, reason, reused)));
                }
            }
        } else if let Some(&(score, answer)) = self.parts.get(&id) {
            let scoring = self.scorings.get_mut(&score).expect("a part belongs to a score");
            scoring.note(answer, wanted.position, self.executor.logits(index)?);
            if self.scheduler.is_last(id, wanted.position) {
                let reused = self.scheduler.reused(id);
                self.scheduler.remove(id);
                self.parts.remove(&id);
                if scoring.close(answer, reused) {
                    return Ok(self.scorings.remove(&score).map(Answer::Scored));
                }
            }
        }
        Ok(None)
    }
}
