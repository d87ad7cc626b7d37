//! The symbolic study: the search with exact agents, judge and optimizer, in seconds. It shows
//! whether the world is sound before anything is trained: which arms reach the ceiling, and which
//! fall into the trap.

use crate::agents::{Output, run};
use crate::clauses::{Clause, Prompt, Role};
use crate::judge;
use crate::optimizer;
use crate::world::{Session, Share};
use maspo::base::{Seed, Stage};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// One arm of the study.
#[derive(Clone, Copy)]
pub(crate) struct Arm {
    pub(crate) name: &'static str,
    /// The weights α, β and θ of the reward.
    pub(crate) weights: [f64; 3],
    pub(crate) mining: Mining,
    pub(crate) refresh: bool,
    pub(crate) coin: bool,
    /// The probability that a comparison comes out at random, as that of an imperfect judge.
    pub(crate) noise: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mining {
    Misalignment,
    Success,
    Off,
}

const JOINT: Arm = Arm {
    name: "joint",
    weights: [0.4, 0.4, 0.2],
    mining: Mining::Misalignment,
    refresh: true,
    coin: false,
    noise: 0.0,
};

/// The arms that search, joint first.
pub(crate) const ARMS: [Arm; 8] = [
    JOINT,
    Arm { name: "joint, 10 % judge noise", noise: 0.1, ..JOINT },
    Arm { name: "local-only", weights: [1.0, 0.0, 0.0], ..JOINT },
    Arm { name: "global-only", weights: [0.0, 0.0, 1.0], ..JOINT },
    Arm { name: "no mining", mining: Mining::Off, ..JOINT },
    Arm { name: "success sampling", mining: Mining::Success, ..JOINT },
    Arm { name: "no refresh", refresh: false, ..JOINT },
    Arm { name: "coin", coin: true, ..JOINT },
];

/// The size of the search.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) rounds: usize,
    pub(crate) steps: usize,
    pub(crate) beam: usize,
    pub(crate) candidates: usize,
    pub(crate) batch: usize,
}

struct Search<'a> {
    arm: Arm,
    size: Size,
    pool: &'a [Session],
    best: Vec<Prompt>,
    rng: ChaCha8Rng,
    /// Per agent, newest first, whether a case's output was truncated.
    cases: Vec<Vec<bool>>,
}

/// Returns the prompts that the search ends with.
pub(crate) fn optimize(roles: &[Role], arm: Arm, size: Size, pool: &[Session], seed: Seed) -> Vec<Prompt> {
    let best: Vec<_> = roles.iter().map(|role| Prompt::seed(*role)).collect();
    let cases = vec![Vec::new(); best.len()];
    let mut search = Search { arm, size, pool, best, rng: seed.derive(Stage::Data, &[]).rng(), cases };
    let mut beams: Vec<Vec<(Prompt, f64)>> = search.best.iter().map(|p| vec![(p.clone(), 0.0)]).collect();
    for round in 0..size.rounds {
        for (agent, beam) in beams.iter_mut().enumerate() {
            if round > 0 && arm.refresh {
                let batch = search.batch();
                let incumbent = search.best[agent].clone();
                for (prompt, score) in beam.iter_mut() {
                    *score =
                        if *prompt == incumbent { 0.0 } else { search.reward(agent, &incumbent, prompt, &batch) - 0.5 };
                }
                beam.sort_by(|a, b| b.1.total_cmp(&a.1));
            }
            for _ in 0..size.steps {
                search.step(agent, beam);
            }
        }
    }
    search.best
}

impl Search<'_> {
    fn batch(&mut self) -> Vec<Session> {
        self.pool.sample(&mut self.rng, self.size.batch).cloned().collect()
    }

    fn step(&mut self, agent: usize, beam: &mut Vec<(Prompt, f64)>) {
        let batch = self.batch();
        let mut next = beam.clone();
        for (parent, score) in beam.iter() {
            for _ in 0..self.size.candidates {
                let warned = self.cases[agent].iter().take(1).any(|brief| *brief);
                let candidate = optimizer::propose(parent, warned, &mut self.rng);
                if next.iter().all(|(other, _)| other.text() != candidate.text()) {
                    let reward = self.reward(agent, parent, &candidate, &batch);
                    next.push((candidate, score + reward - 0.5));
                }
            }
        }
        next.sort_by(|a, b| b.1.total_cmp(&a.1));
        next.truncate(self.size.beam);
        let incumbent = next.iter().position(|(prompt, _)| *prompt == self.best[agent]);
        if incumbent.is_none_or(|at| next[0].1 > next[at].1) {
            self.best[agent] = next[0].0.clone();
        }
        *beam = next;
    }

    fn traces(&self, agent: usize, prompt: &Prompt, batch: &[Session]) -> Vec<Vec<Output>> {
        let mut prompts = self.best.clone();
        prompts[agent] = prompt.clone();
        batch.iter().map(|session| run(&prompts, session)).collect()
    }

    /// Returns R(new, old; batch), and keeps the misalignment cases that it finds.
    fn reward(&mut self, agent: usize, old: &Prompt, new: &Prompt, batch: &[Session]) -> f64 {
        let (base, changed) = (self.traces(agent, old, batch), self.traces(agent, new, batch));
        let last = self.best.len() - 1;
        let successor = if self.best[agent].role.is_specialist() { last } else { agent + 1 };
        let mut total = 0.0;
        for (at, session) in batch.iter().enumerate() {
            let mut term = |i: usize| {
                let (new, old) = (&changed[at][i], &base[at][i]);
                if new == old {
                    0.5
                } else if self.arm.coin || self.rng.random_bool(self.arm.noise) {
                    f64::from(u8::from(self.rng.random_bool(0.5)))
                } else {
                    judge::compare(self.best[i].role, session, new, old)
                }
            };
            let local = term(agent);
            if agent == last {
                total += local;
                continue;
            }
            let (lookahead, global) = (term(successor), term(last));
            let [a, b, c] = self.arm.weights;
            total += a * local + b * lookahead + c * global;
            let worse = lookahead < 0.5 || global < 0.5;
            let keep = match self.arm.mining {
                Mining::Misalignment => local > 0.5 && worse,
                Mining::Success => local > 0.5 && !worse,
                Mining::Off => false,
            };
            if keep {
                self.cases[agent].insert(0, new.has(Clause::Brief));
                self.cases[agent].truncate(64);
            }
        }
        total / batch.len() as f64
    }
}

/// Returns the share of `sessions` that a team gets right.
pub(crate) fn accuracy(prompts: &[Prompt], sessions: &[Session]) -> f64 {
    let right = sessions.iter().filter(|session| {
        let outputs = run(prompts, session);
        matches!(outputs.last(), Some(Output::Verdict { label, .. }) if *label == session.truth())
    });
    right.count() as f64 / sessions.len() as f64
}

/// Runs the study of both teams and returns it in Markdown.
pub(crate) fn report(seeds: u64, size: Size, seed: Seed) -> String {
    let Size { rounds, steps, beam, candidates, batch } = size;
    format!(
        "# The study in symbols\n\n\
         Written by `cargo run --release --example triage -- simulate --seeds {seeds} --size {rounds} {steps}\n\
         {beam} {candidates} {batch} --seed {}`: exact agents, judge and optimizer; \
         {seeds} paired runs per arm; accuracy\n\
         on 600 held-out sessions; normal intervals of the mean.\n\
         `trapped`: runs that end with the trap in a prompt; `least`: the worst run.\n\
         Size: {rounds} rounds, {steps} steps, beam {beam}, {candidates} candidates, batch {batch}.\n\n\
         ## Chain: extract, assess, verdict\n\n{}\n\
         ## Hierarchical: client, traffic and origin beside each other, then verdict\n\n\
         Successor and terminal agent are one here, so lookahead and global compare the same texts, and no\n\
         trap is proposed to specialists: the arms differ little by design.\n\n{}",
        seed.0,
        table(&Role::CHAIN, seeds, size, seed),
        table(&Role::TEAM, seeds, size, seed),
    )
}

fn table(roles: &[Role], seeds: u64, size: Size, seed: Seed) -> String {
    let sessions = Session::distinct(Share::Experiment, 650, seed);
    let (pool, test) = (&sessions[..50], &sessions[50..]);
    let fixed = |of: fn(Role) -> Prompt| accuracy(&roles.iter().map(|role| of(*role)).collect::<Vec<_>>(), test);
    let (start, ceiling) = (fixed(Prompt::seed), fixed(Prompt::ideal));
    let mut rows = String::from("| arm | accuracy | 95 % interval | joint − arm | 95 % interval | trapped | least |\n");
    rows.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    let mut joint = Vec::new();
    let mut fixed_rows = String::new();
    for arm in ARMS {
        let mut scores = Vec::new();
        let mut trapped = 0;
        for run in 0..seeds {
            let prompts = optimize(roles, arm, size, pool, seed.derive(Stage::Data, &[run]));
            trapped += u64::from(prompts.iter().any(|prompt| prompt.has(Clause::trap(prompt.role))));
            scores.push(accuracy(&prompts, test));
        }
        if joint.is_empty() {
            joint = scores.clone();
            for (name, value) in [("seed prompts", start), ("ideal prompts", ceiling)] {
                let against: Vec<_> = joint.iter().map(|score| score - value).collect();
                fixed_rows.push_str(&format!("| {name} | {value:.3} | – | {} | – | – |\n", mean_ci(&against)));
            }
        }
        let against: Vec<_> = joint.iter().zip(&scores).map(|(joint, score)| joint - score).collect();
        let least = scores.iter().copied().fold(1.0, f64::min);
        rows.push_str(&format!(
            "| {} | {} | {} | {trapped}/{seeds} | {least:.2} |\n",
            arm.name,
            mean_ci(&scores),
            mean_ci(&against)
        ));
    }
    rows + &fixed_rows
}

/// Returns the mean and its normal interval, as two table cells.
fn mean_ci(values: &[f64]) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = 1.96 * (variance / n).sqrt();
    format!("{mean:.3} | [{:.3}, {:.3}]", mean - half, mean + half)
}
