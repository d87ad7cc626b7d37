//! The engine's thread: accept, plan, compute, answer.

use super::handle::Shared;
use super::jobs::{Answer, Generation, Job, Scoring};
use super::{Counters, EngineOptions};
use crate::engine::blocks::Blocks;
use crate::engine::kv::KvPool;
use crate::engine::qwen3::{Logits, Model, Workspace};
use crate::engine::schedule::{Limits, LogitRow, Scheduler, SequenceId, StepPlan};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::executor::block_on;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Everything that the thread owns.
pub(super) struct Worker {
    model: Model,
    kv: KvPool,
    work: Workspace,
    logits: Logits,
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
        model: Model,
        eos: Vec<u32>,
        options: &EngineOptions,
        blocks: usize,
        shared: Arc<Shared>,
    ) -> Self {
        let kv = model.kv_pool(options.block_tokens, blocks);
        let limits = Limits { step_tokens: options.step_tokens, max_running: options.max_running };
        let blocks = Blocks::new(blocks, options.block_tokens, options.prefix_reuse);
        Self {
            model,
            kv,
            work: Workspace::new(),
            logits: Logits::new(),
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

    /// Works until the handle is dropped. Requests still under way then get no answer.
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
            self.step();
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

    fn step(&mut self) {
        let Some(plan) = self.plan() else { return };
        self.model.forward(&plan, &mut self.kv, &mut self.work, &mut self.logits);
        self.steps += 1;
        self.scheduler.complete(&plan);
        let rows = plan.logits.iter().enumerate();
        let answers: Vec<Answer> = rows.filter_map(|(index, wanted)| self.deliver(index, *wanted)).collect();
        // Before the answers: whoever has one finds it counted.
        self.publish_counters();
        answers.into_iter().for_each(Answer::send);
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

    /// Row `index` of the logits goes to the sequence that wanted it; returns an answer that is complete thereby.
    fn deliver(&mut self, index: usize, wanted: LogitRow) -> Option<Answer> {
        let (id, logits) = (wanted.id, self.logits.row(index));
        if let Some(generation) = self.generations.get_mut(&id) {
            if !self.scheduler.is_last(id, wanted.position) {
                return None; // What follows a guess that did not come true.
            }
            self.decoded += 1;
            match generation.next(logits, self.logits.greedy(index), &self.eos) {
                Ok(token) => self.scheduler.push(id, token),
                Err(reason) => {
                    let reused = self.scheduler.reused(id);
                    self.scheduler.remove(id);
                    let generation = self.generations.remove(&id).expect("it was there above");
                    return Some(Answer::Generated(generation, reason, reused));
                }
            }
        } else if let Some(&(score, answer)) = self.parts.get(&id) {
            let scoring = self.scorings.get_mut(&score).expect("a part belongs to a score");
            scoring.note(answer, wanted.position, logits);
            if self.scheduler.is_last(id, wanted.position) {
                let reused = self.scheduler.reused(id);
                self.scheduler.remove(id);
                self.parts.remove(&id);
                if scoring.close(answer, reused) {
                    return self.scorings.remove(&score).map(Answer::Scored);
                }
            }
        }
        None
    }
}
