//! What a page is made of: recorded runs, each with what its folder still shows of its data.

use crate::base::AgentId;
use crate::bundle::Team;
use crate::eval::{Evaluation, Verdicts};
use crate::graph::Graph;
use crate::journal::Record;
use crate::report::{LineageLine, Progress, PromptLine, RunReport, StepLine};
use crate::run::Evidence;
use crate::search::{Event, SearchResult, Tested};
use std::cell::Cell;

/// The most runs on one page.
pub const MAX_RUNS: usize = 64;

/// The most bytes of texts on a page; its runs share them. Tables, names and excerpts come on top.
const TEXT_BYTES: usize = 14_000_000;

/// A recorded run and the evidence that it kept.
pub struct RunInput {
    /// The run as its folder records it.
    pub record: Record,
    /// Its data and traces, or why they cannot be shown.
    pub evidence: Result<Evidence, String>,
}

/// A run in the form that views are made from.
pub(super) struct Run<'a> {
    /// The number on the page, from 1.
    pub(super) number: usize,
    /// The number of runs on the page.
    pub(super) of: usize,
    pub(super) record: &'a Record,
    /// The evidence, if it may be shown.
    pub(super) evidence: Option<&'a Evidence>,
    /// Why there is no evidence.
    pub(super) why_not: &'a str,
    /// The search so far; `None` before it began.
    pub(super) result: Option<SearchResult>,
    /// The report; `None` while the run is not finished.
    pub(super) report: Option<RunReport>,
    pub(super) prompts: Vec<PromptLine>,
    pub(super) steps: Vec<StepLine>,
    pub(super) lineage: Vec<LineageLine>,
    pub(super) seed: Option<Evaluation>,
    pub(super) optimized: Option<Evaluation>,
    /// The verdicts of the prompts to use, with their curves.
    pub(super) verdicts: Option<Verdicts>,
    /// The team, if its edges are known.
    pub(super) graph: Option<Graph>,
    /// The bytes of texts that may still be shown.
    room: Cell<usize>,
}

impl<'a> Run<'a> {
    /// Reads what the record holds.
    ///
    /// # Errors
    /// Returns what cannot be read, as a fragment.
    pub(super) fn new((number, of): (usize, usize), input: &'a RunInput) -> Result<Self, String> {
        let record = &input.record;
        check_agents(&record.events)?;
        let result = SearchResult::from_events(&record.events);
        let report = record.result.as_deref().map(RunReport::from_json).transpose()?;
        let (prompts, steps, lineage) = match &report {
            Some(report) => (report.prompts.clone(), report.steps.clone(), report.lineage.clone()),
            None => {
                let progress = Progress::new(&record.name, result.as_ref(), record.calls, &record.resume_command);
                let progress = if record.private { progress.without_texts() } else { progress };
                progress.search.map(|so_far| (so_far.prompts, so_far.steps, so_far.lineage)).unwrap_or_default()
            }
        };
        let evidence = input.evidence.as_ref().ok();
        let graph = match (evidence, &record.team) {
            (Some(evidence), _) => Some((*evidence.settings().graph).clone()),
            (None, Some(json)) => serde_json::from_str::<Team>(json).ok().and_then(|team| team.graph().ok()),
            (None, None) => None,
        };
        let agents = result.as_ref().map_or(0, |result| result.agents.len());
        Ok(Self {
            number,
            of,
            record,
            evidence,
            why_not: input.evidence.as_ref().err().map_or("", String::as_str),
            report,
            prompts,
            steps,
            lineage,
            seed: evaluation(record, "seed")?,
            optimized: evaluation(record, "optimized")?,
            verdicts: evaluation(record, "verdicts")?,
            graph: graph.filter(|graph| graph.agents().len() == agents),
            room: Cell::new(TEXT_BYTES / of.max(1)),
            result,
        })
    }

    /// Returns an anchor on the page that belongs to this run.
    pub(super) fn anchor(&self, name: &str) -> String {
        format!("r{}-{name}", self.number)
    }

    /// Whether texts still fit onto the page; then their room is taken.
    pub(super) fn fits<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> bool {
        let bytes: usize = texts.into_iter().map(weight).sum();
        let left = self.room.get().checked_sub(bytes);
        self.room.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Scales a number of rows to the number of runs on the page, down to `least`.
    pub(super) fn scaled(&self, most: usize, least: usize) -> usize {
        (4 * most / (self.of + 3)).max(least)
    }

    /// The two evaluations, if both are there and are of the same cases.
    pub(super) fn evaluations(&self) -> Option<(&Evaluation, &Evaluation)> {
        let (seed, optimized) = (self.seed.as_ref()?, self.optimized.as_ref()?);
        let ids = |evaluation: &'_ Evaluation| evaluation.items.iter().map(|item| item.id.clone()).collect::<Vec<_>>();
        (ids(seed) == ids(optimized)).then_some((seed, optimized))
    }

    /// The prompt lines of agents whose prompt is another one now.
    pub(super) fn changed(&self) -> impl Iterator<Item = &PromptLine> {
        self.prompts.iter().filter(|line| line.before != line.after)
    }
}

/// Returns what a run recorded of its held-out cases under a name.
fn evaluation<T: serde::de::DeserializeOwned>(record: &Record, name: &str) -> Result<Option<T>, String> {
    let json = record.evaluations.get(name).map(|json| serde_json::from_str(json));
    json.transpose().map_err(|error| format!("the evaluation `{name}` cannot be read: {error}"))
}

/// Returns the bytes of a text once it is escaped.
fn weight(text: &str) -> usize {
    text.len() + 5 * text.bytes().filter(|byte| b"<>&\"'/".contains(byte)).count()
}

/// Checks that every agent which the events name is one of the team, on which everything that
/// follows relies.
fn check_agents(events: &[Event]) -> Result<(), String> {
    let mut agents = 0;
    for (number, event) in events.iter().enumerate() {
        let fits = |id: &AgentId| id.0 < agents;
        let fine = match event {
            Event::Started(started) => {
                agents = started.agents.len();
                started.prompts.iter().count() == agents && started.optimized.iter().all(|id| id.0 < agents)
            }
            Event::Refreshed(refreshed) => fits(&refreshed.agent),
            Event::Proposed(proposed) => fits(&proposed.agent),
            Event::Step(step) => fits(&step.agent),
            Event::Trial(trial) => trial.prompts.iter().count() == agents && trial.agent.iter().all(fits),
            Event::GateTest(test) => match &test.tested {
                Tested::Team => true,
                Tested::Change(agent) => fits(agent),
                Tested::Part(part) => part.iter().all(fits),
            },
            Event::FinalCheck(check) => check.optimized.iter().count() == agents,
            Event::Finished(finished) => {
                finished.prompts.iter().count() == agents && finished.copied.iter().all(|copied| fits(&copied.agent))
            }
            // No view follows the agents of any other event.
            _ => true,
        };
        if !fine {
            return Err(format!("event {number} names an agent that the team does not have"));
        }
    }
    Ok(())
}
