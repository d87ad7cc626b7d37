//! What the gate found, for the report: its tests, and which agent's change helps.

use super::text::counted;
use crate::rollout::Prompts;
use crate::search::{FinalVerdict, GateEnd, GateTest, SearchResult, Tested};
use serde::{Deserialize, Serialize};

/// What the gate found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GateReport {
    /// The number of queries that were held back for it.
    pub held_back: usize,
    /// The changes that the search ended with, by agent, and what becomes of them.
    pub changes: Vec<ChangeLine>,
    /// Its tests, in order.
    pub tests: Vec<GateLine>,
}

/// The change of one agent's prompt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChangeLine {
    /// The agent's name.
    pub agent: String,
    /// Whether the change was shown to help.
    pub helps: bool,
    /// Whether it is kept.
    pub kept: bool,
}

/// What a test compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum GateQuestion {
    /// The team with all changes, with the seed prompts.
    Team,
    /// The team with all changes, with itself without the change of one agent.
    Change,
    /// The team with the changes of some agents alone, with the seed prompts.
    Part,
}

/// One test.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GateLine {
    /// What it compared.
    pub question: GateQuestion,
    /// The names of the agents whose changes it is about.
    pub agents: Vec<String>,
    /// The queries that were compared, as positions in the pool.
    pub batch: Vec<usize>,
    /// One verdict per query.
    pub values: Vec<f64>,
    /// Their mean; `None` without any.
    pub mean: Option<f64>,
    /// A lower bound of the mean on queries like those of the pool, at the test's own error.
    pub at_least: f64,
    /// The evidence that the mean is above ½, an e-value.
    pub evidence: f64,
    /// The evidence that was needed.
    pub needed: f64,
    /// Whether the team that it is about was shown to be better.
    pub shown: bool,
    /// Why it ended.
    pub ended: GateEnd,
}

impl ChangeLine {
    /// Returns what became of the change; `verdict` is that of the whole team.
    pub fn words(&self, verdict: Option<FinalVerdict>) -> &'static str {
        match (self.helps, self.kept) {
            (true, _) => "its change helps",
            (false, true) => "its change is not shown to help alone; the team that it is part of is better",
            (false, false) if verdict == Some(FinalVerdict::Unproven) => "its change is taken back with all others",
            (false, false) => "its change is not shown to help and is taken back",
        }
    }
}

impl GateLine {
    /// Returns what was compared; `name` makes an agent's name fit to be shown.
    pub fn what(&self, name: impl Fn(&str) -> String) -> String {
        let names = self.agents.iter().map(|agent| name(agent)).collect::<Vec<_>>().join(", ");
        match self.question {
            GateQuestion::Team => "the whole team against the seed prompts".to_string(),
            GateQuestion::Change => format!("the team against itself without the change of {names}"),
            GateQuestion::Part => format!("the team with the changes of {names} alone against the seed prompts"),
        }
    }

    /// Returns what came of it.
    pub fn why(&self) -> &'static str {
        match self.ended {
            GateEnd::Shown => "better",
            GateEnd::Hopeless => "not shown; the queries that are left could not show it",
            GateEnd::Pool => "not shown with all queries",
            GateEnd::Budget => "not shown within the budget",
        }
    }

    /// Returns the evidence and what was needed, as people read them.
    pub fn evidence_of_needed(&self) -> (String, String) {
        (number(self.evidence), number(self.needed))
    }
}

impl GateReport {
    /// Builds it; `None` for a run without a gate.
    pub(super) fn of(result: &SearchResult) -> Option<Self> {
        let check = result.final_check.as_ref().filter(|_| !result.gate.is_empty())?;
        let changed = |prompts: &Prompts| -> Vec<_> {
            let seed = &result.seed_prompts;
            prompts.iter().filter(|(id, prompt)| *prompt != seed.get(*id)).map(|(id, _)| id).collect()
        };
        let all = changed(&check.optimized);
        let name = |id: &crate::base::AgentId| result.agents[id.0].clone();
        let shown = |tested: Tested| result.gate.iter().any(|test| test.tested == tested && test.is_shown());
        let line = |id: &crate::base::AgentId| ChangeLine {
            agent: name(id),
            helps: shown(if all.len() == 1 { Tested::Team } else { Tested::Change(*id) }),
            kept: result.prompts.get(*id) == check.optimized.get(*id),
        };
        let test = |test: &GateTest| {
            let GateTest { batch, values, mean, at_least, evidence, needed, ended, .. } = test.clone();
            let (question, agents) = match &test.tested {
                Tested::Team => (GateQuestion::Team, all.iter().map(name).collect()),
                Tested::Change(agent) => (GateQuestion::Change, vec![name(agent)]),
                Tested::Part(agents) => (GateQuestion::Part, agents.iter().map(name).collect()),
            };
            let shown = test.is_shown();
            GateLine { question, agents, batch, values, mean, at_least, evidence, needed, shown, ended }
        };
        Some(Self {
            held_back: result.held_back,
            changes: all.iter().map(line).collect(),
            tests: result.gate.iter().map(test).collect(),
        })
    }

    /// Returns what the gate found, for people.
    pub(super) fn text(&self, verdict: Option<FinalVerdict>) -> String {
        let mut text = format!("Gate      {} held back\n", counted(self.held_back, "query", "queries"));
        for test in &self.tests {
            let (what, why) = (test.what(str::to_string), test.why());
            let queries = counted(test.values.len(), "query", "queries");
            let mean =
                test.mean.map_or(String::new(), |mean| format!("score {mean:.2}, at least {:.2}; ", test.at_least));
            let (evidence, needed) = test.evidence_of_needed();
            text += &format!("  {what}: {why}\n    {queries}, {mean}evidence {evidence} of {needed}\n");
        }
        for change in &self.changes {
            text += &format!("  {}: {}\n", change.agent, change.words(verdict));
        }
        text
    }
}

fn number(evidence: f64) -> String {
    if evidence < 1e6 { format!("{evidence:.1}") } else { format!("{evidence:.1e}") }
}
