//! The engine's thread: accept, plan, compute, answer.

use super::handle::Shared;
use super::jobs::{Generation, Job, Scoring};
use super::{Counters, EngineOptions};
use crate::engine::blocks::Blocks;
use crate::engine::kernels::Matrix;
use crate::engine::kv::KvPool;
use crate::engine::qwen3::{Model, Workspace};
use crate::engine::schedule::{Limits, LogitRow, Scheduler, SequenceId};
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
    logits: Matrix,
    scheduler: Scheduler,
    eos: Vec<u32>,
    queue: usize,
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
            logits: Matrix::new(),
            scheduler: Scheduler::new(limits, blocks),
            eos,
            queue: options.queue,
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
        if let Some(plan) = self.scheduler.plan() {
            self.model.forward(&plan, &mut self.kv, &mut self.work, &mut self.logits);
            self.steps += 1;
            self.scheduler.complete(&plan);
            let chosen = plan.logits.iter().filter(|row| self.generations.contains_key(&row.id));
            self.decoded += chosen.count() as u64;
            // Before the answers: whoever has one finds it counted.
            self.publish_counters();
            for (index, wanted) in plan.logits.iter().enumerate() {
                self.deliver(index, *wanted);
            }
        }
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
        };
        *self.shared.counters.lock().expect("no thread panics while it holds the counters") = counters;
    }

    /// Row `index` of the logits goes to the sequence that wanted it.
    fn deliver(&mut self, index: usize, wanted: LogitRow) {
        let (id, logits) = (wanted.id, self.logits.row(index));
        if let Some(generation) = self.generations.get_mut(&id) {
            match generation.next(logits, &self.eos) {
                Ok(token) => self.scheduler.push(id, token),
                Err(reason) => {
                    let reused = self.scheduler.reused(id);
                    self.scheduler.remove(id);
                    self.generations.remove(&id).expect("it was there above").finish(reason, reused);
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
                    self.scorings.remove(&score).expect("it was there above").finish();
                }
            }
        }
    }
}
