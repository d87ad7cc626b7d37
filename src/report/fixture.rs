//! A small finished run for the tests of this module and of the command line.

use super::{Accuracy, Bill, Difference, EgressLock, Inputs, RunReport, ScoredBy};
use crate::base::{AgentId, Digest, Seed};
use crate::chat::{LedgerLine, ModelIdentity};
use crate::judge::JudgeStats;
use crate::prompt::{Rejection, Template};
use crate::rollout::{Avoided, Prompts};
use crate::search::{
    CandidateRecord, CopiedPassage, Counters, Event, FinalCheck, FinalVerdict, Finished, Models, Outcome, Plan,
    Proposed, Ranked, Refreshed, SearchResult, Started, Step, Trial,
};
use std::path::Path;

pub(crate) const ASSESS: &str =
    "Read the case {context}.\nDecide who wrote it: a human or a scraper.\nAnswer in <answer></answer>.";
pub(crate) const BETTER: &str = "Read the case {context}.\n\
     Decide who wrote it: a human or a scraper. Many requests per second mean a scraper.\n\
     Answer in <answer></answer>.";

fn prompts(assess: &str) -> Prompts {
    let texts = ["List the facts of {question}.", assess];
    serde_json::from_value(serde_json::to_value(texts).unwrap()).unwrap()
}

fn candidate(id: usize, prompt: &str, mean: f64, score: f64) -> CandidateRecord {
    let outcome = Outcome::Scored {
        id,
        prompt: Template::new(prompt),
        repaired: false,
        reward: serde_json::from_value(serde_json::json!({ "mean": mean, "samples": [] })).unwrap(),
        score,
        local_better: 5,
        misaligned: 2,
        dropped_after: None,
    };
    CandidateRecord { parent: 0, assignment: None, change: None, outcome }
}

/// A trial of a team whose second agent has this prompt.
pub(crate) fn trial(assess: &str) -> Trial {
    Trial {
        number: 1,
        parent: Some(0),
        other: None,
        agent: Some(AgentId(1)),
        prompts: prompts(assess),
        batch: vec![0, 1],
        values: vec![1.0, 0.5],
        score: 0.75,
        kept: true,
        leader: 1,
        rejected: None,
        counters: Counters::default(),
    }
}

fn judge() -> JudgeStats {
    JudgeStats {
        comparisons: 1240,
        asked: 2000,
        identical: 240,
        decided: 900,
        ties: 90,
        low_mass: 6,
        unparsable: 4,
        consistent: 930,
        inconsistent: 70,
        ..JudgeStats::default()
    }
}

const AVOIDED: Avoided = Avoided { upstream_reused: 1200, unchanged_skipped: 34 };
const SEED_PROMPT: Ranked = Ranked { id: 0, score: 0.0 };
const FIRST: Ranked = Ranked { id: 1, score: 0.25 };
const SECOND: Ranked = Ranked { id: 2, score: -0.125 };

/// The events of a run with two steps of the second of two agents, and a refresh between them.
pub(crate) fn events() -> Vec<Event> {
    let text = Some("Read the case {context}. Then read it again.".to_string());
    let outcome = Outcome::Rejected { reason: Rejection::TooLong, text };
    let rejected = CandidateRecord { parent: 0, assignment: None, change: None, outcome };
    let first_candidates = vec![candidate(1, BETTER, 0.75, 0.25), rejected];
    let second_candidates = vec![candidate(2, "Guess {context}", 0.375, -0.125)];
    vec![
        started(),
        Event::Proposed(Proposed { round: 1, agent: AgentId(1), step: 1, usable: 1, rejected: 1 }),
        step(1, &[SEED_PROMPT], first_candidates, &[FIRST, SEED_PROMPT], true),
        refreshed(),
        step(2, &[FIRST, SEED_PROMPT], second_candidates, &[FIRST, SECOND], false),
        final_check(),
        finished(),
    ]
}

fn started() -> Event {
    let identity = ModelIdentity { name: "triage".into(), digest: Digest::of(b"triage") };
    Event::Started(Started {
        version: 1,
        seed: Seed(7),
        models: Models { worker: identity.clone(), optimizer: identity.clone(), judge: identity },
        agents: vec!["extract".into(), "assess".into()],
        optimized: vec![AgentId(1)],
        prompts: prompts(ASSESS),
        method: None,
        labelled: 0,
        held_back: 0,
        pool: 6,
        batch: 2,
        plan: Plan { steps: 2, candidates: 4, ..Plan::default() },
    })
}

fn step(round: usize, parents: &[Ranked], candidates: Vec<CandidateRecord>, beam: &[Ranked], improved: bool) -> Event {
    Event::Step(Step {
        round,
        agent: AgentId(1),
        step: 1,
        batch: vec![3, 1],
        parents: parents.to_vec(),
        candidates,
        beam: beam.to_vec(),
        best: beam[0].id,
        improved,
        cases: 2,
        judge: judge(),
        avoided: AVOIDED,
        overflows: 0,
        cut_in_reasoning: 0,
    })
}

fn refreshed() -> Event {
    Event::Refreshed(Refreshed {
        round: 2,
        agent: AgentId(1),
        batch: vec![0, 5],
        before: vec![FIRST, SEED_PROMPT],
        after: vec![Ranked { id: 1, score: 0.0 }, Ranked { id: 0, score: -0.5 }],
        tau: Some(1.0),
        top1: true,
        applied: true,
        judge: judge(),
        avoided: AVOIDED,
        overflows: 1,
        cut_in_reasoning: 0,
    })
}

fn final_check() -> Event {
    Event::FinalCheck(FinalCheck {
        batch: vec![0, 1, 2, 4],
        values: vec![1.0, 0.5, 1.0, 0.5],
        mean: Some(0.75),
        verdict: FinalVerdict::Optimized,
        optimized: prompts(BETTER),
        kept: None,
    })
}

fn finished() -> Event {
    let text = "Many requests per second mean a \x1b[2Jscraper".into();
    Event::Finished(Finished {
        prompts: prompts(BETTER),
        kept_seed: false,
        stopped: None,
        copied: vec![CopiedPassage { agent: AgentId(1), item: 4, text }],
        judge: judge(),
        avoided: AVOIDED,
        overflows: 3,
        cut_in_reasoning: 0,
    })
}

pub(crate) fn report() -> RunReport {
    report_of(&events(), &[true, false], &[true, true])
}

pub(crate) fn report_of(events: &[Event], seed_cases: &[bool], optimized_cases: &[bool]) -> RunReport {
    let line = |calls, computed, cached, seconds| LedgerLine {
        calls,
        computed,
        cached,
        shared: calls - computed - cached,
        failed: 0,
        prefilled_tokens: computed * 100,
        reused_tokens: computed * 1000,
        decoded_tokens: computed * 30,
        seconds,
    };
    RunReport::new(Inputs {
        name: "tiny",
        result: &SearchResult::from_events(events).unwrap(),
        scored_by: Some(ScoredBy {
            scorer: "label".into(),
            scorer_version: 1,
            convention: "the last <answer> is one of the labels, in any case".into(),
        }),
        seed_accuracy: Some((Accuracy { n: 200, correct: 122, accuracy: 0.61, ci95: (0.5408, 0.6749) }, seed_cases)),
        optimized_accuracy: Some((
            Accuracy { n: 200, correct: 149, accuracy: 0.745, ci95: (0.6803, 0.8004) },
            optimized_cases,
        )),
        difference: Some(Difference { value: 0.135, ci95: (0.08, 0.19), mcnemar_p: 0.00001 }),
        bill: Bill {
            worker: line(12345, 8000, 0, 61.25),
            optimizer: line(40, 40, 0, 20.0),
            judge: line(2000, 1500, 300, 30.5),
        },
        egress_lock: EgressLock { applied: true, threads: 4, locked_threads: 4, ..EgressLock::default() },
        seconds: 91.04,
        warnings: vec!["2 rows of pool.jsonl were left out".into()],
        dir: Path::new("runs/tiny-7"),
    })
}
