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

/// Everything that the thread owns.
pub(super) struct Worker {
    executor: Box<dyn Executor>,
    scheduler: Scheduler,
    eos: Vec<u32>,
    queue: usize,
    draft_tokens: usize,
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
            scheduler: Scheduler::new(limits, blocks),
            eos,
            queue: options.queue,
            draft_tokens: options.draft_tokens,
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
    pub(super) fn run(mut self, mut arrivals: mpsc::Receiver<Job>) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if self.scheduler.is_idle() {
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

    fn step(&mut self) -> Result<(), DeviceError> {
        let Some(plan) = self.plan() else { return Ok(()) };
        self.executor.run(&plan)?;
        self.steps += 1;
        self.scheduler.complete(&plan);
        let mut answers = Vec::new();
        for (index, wanted) in plan.logits.iter().enumerate() {
            answers.extend(self.deliver(index, *wanted)?);
        }
        // Before the answers: whoever has one finds it counted.
        self.publish_counters();
        answers.into_iter().for_each(Answer::send);
        Ok(())
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
        };
        *self.shared.counters.lock().expect("no thread panics while it holds the counters") = counters;
    }

    /// The logits with number `index` go to the sequence that wanted them; returns an answer that is complete thereby.
    fn deliver(&mut self, index: usize, wanted: LogitRow) -> Result<Option<Answer>, DeviceError> {
        let id = wanted.id;
        if let Some(generation) = self.generations.get_mut(&id) {
            if !self.scheduler.is_last(id, wanted.position) {
                return Ok(None); // What follows a guess that did not come true.
            }
            self.decoded += 1;
            match generation.next(&mut *self.executor, index, &self.eos)? {
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
