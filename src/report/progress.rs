//! An unfinished run: its progress, the best prompts so far, and how to resume it.

use super::diff::Colour;
use super::lines::{LineageLine, Lines, PromptLine, StepLine};
use super::run::REPORT_SCHEMA;
use super::text::{counted, cut_in_reasoning, kebab, models, prompts};
use crate::base::Seed;
use crate::search::{Models, SearchResult};
use serde::{Deserialize, Serialize};

/// The state of a run that did not finish.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// The version of this form, [`REPORT_SCHEMA`].
    pub schema: u32,
    /// Always `false`; a finished run has no such field.
    pub finished: bool,
    /// The experiment's name.
    pub name: String,
    /// The search so far; `None` before it began.
    pub search: Option<SearchSoFar>,
    /// The number of answered calls in the cache.
    pub cached_calls: u64,
    /// The exact shell command that resumes the run.
    pub resume: String,
}

/// The search of an unfinished run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SearchSoFar {
    /// The run's seed.
    pub seed: Seed,
    /// The models' names and digests, per role.
    pub model: Models,
    /// The number of steps that are done.
    pub steps_done: usize,
    /// The number of steps of the whole run.
    pub steps_planned: usize,
    /// Whether the search is finished, so that only the evaluation is left.
    pub search_finished: bool,
    /// The seed prompts and the best prompts so far.
    pub prompts: Vec<PromptLine>,
    /// The steps that are done.
    pub steps: Vec<StepLine>,
    /// All prompts that were evaluated, in order of creation, with the seed prompts.
    #[serde(default)]
    pub lineage: Vec<LineageLine>,
    /// The number of agent runs so far whose output ended in its reasoning.
    #[serde(default)]
    pub cut_in_reasoning: u64,
}

impl Progress {
    /// Builds the state from what the journal holds.
    pub fn new(name: &str, result: Option<&SearchResult>, cached_calls: u64, resume: &str) -> Self {
        let search = result.map(|result| {
            let lines = Lines(result);
            SearchSoFar {
                seed: result.seed,
                model: result.models.clone(),
                steps_done: result.steps.len() + result.trials.len() + result.learned.len(),
                steps_planned: result.plan.steps,
                search_finished: result.finished,
                prompts: lines.prompts(),
                steps: lines.steps(),
                lineage: lines.lineage(),
                cut_in_reasoning: result.cut_in_reasoning,
            }
        });
        Self {
            schema: REPORT_SCHEMA,
            finished: false,
            name: name.to_string(),
            search,
            cached_calls,
            resume: resume.to_string(),
        }
    }

    /// What `maspo show --json` prints.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("progress is plain data") + "\n"
    }

    /// What `maspo show` prints.
    pub fn text(&self, colour: Colour) -> String {
        let mut text = match &self.search {
            None => format!("Run `{}`, unfinished: the search has not begun\n", self.name),
            Some(search) => format!(
                "Run `{}`, seed {}, unfinished: {} of {} steps done{}\n{}",
                self.name,
                search.seed.0,
                search.steps_done,
                search.steps_planned,
                if search.search_finished { ", only the evaluation is left" } else { "" },
                models(&search.model),
            ),
        };
        text += &format!("cache     answered calls that are not asked again: {}\n", self.cached_calls);
        if let Some(search) = &self.search {
            text += &format!("\n{}", prompts(&search.prompts, colour));
            text += &steps(&search.steps);
            if let Some(warning) = cut_in_reasoning(search.cut_in_reasoning) {
                text += &format!("\nwarning   {warning}\n");
            }
        }
        text + &format!("\nGo on with: {}\n", self.resume)
    }
}

fn steps(steps: &[StepLine]) -> String {
    let mut text = String::new();
    for step in steps {
        let tried = step.candidates.iter().filter(|candidate| candidate.id.is_some()).count();
        let tried = counted(tried, "candidate", "candidates");
        let reasons: Vec<_> = step.candidates.iter().filter_map(|candidate| candidate.rejected.as_ref()).collect();
        let rejected = match reasons.as_slice() {
            [] => String::new(),
            reasons => {
                let names: Vec<_> = reasons.iter().map(|reason| kebab(reason)).collect();
                format!(", {} rejected ({})", names.len(), names.join(", "))
            }
        };
        let dropped = match step.candidates.iter().filter(|candidate| candidate.dropped_after.is_some()).count() {
            0 => String::new(),
            dropped => format!(", {dropped} of them dropped early"),
        };
        let score = step.beam.first().map_or(0.0, |best| best.score) + 0.0;
        let improved = if step.improved { ", improved" } else { "" };
        text += &format!(
            "  round {}, {}, step {}: {tried} tried{dropped}{rejected}, best score {score:+.3}{improved}\n",
            step.round, step.agent, step.step
        );
    }
    if text.is_empty() { text } else { format!("\nSteps\n{text}") }
}
