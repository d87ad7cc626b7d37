//! Which method runs, and the options of all methods but MASPO, whose options are those of the
//! search.

use crate::base::{Bound, Bounded, Rule};
use serde::{Deserialize, Serialize};

/// A method.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// The search of this program.
    #[default]
    Maspo,
    /// One agent that gets the question alone.
    Vanilla,
    /// One agent that is told to think step by step.
    Cot,
    /// The same, several times at a temperature, with a vote.
    Sc,
    /// A draft that is criticized and revised.
    SelfRefine,
    /// The prompts stay; agents and edges that do not help on labelled items are dropped.
    #[serde(rename = "agentdropout")]
    AgentDropout,
    /// Several instructions per agent, chosen together by a tree-structured Parzen estimator.
    Tpe,
    /// One agent after the other: its best prompt is rewritten, and kept if its answers win.
    Spo,
    /// Whole teams on a Pareto front over the items; one agent's prompt is rewritten per step.
    Gepa,
    /// MASPO's own proposals, chosen by a coin.
    Random,
}

impl MethodKind {
    /// All methods.
    pub const ALL: [Self; 10] = [
        Self::Maspo,
        Self::Vanilla,
        Self::Cot,
        Self::Sc,
        Self::SelfRefine,
        Self::AgentDropout,
        Self::Tpe,
        Self::Spo,
        Self::Gepa,
        Self::Random,
    ];

    /// The name in the experiment file and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maspo => "maspo",
            Self::Vanilla => "vanilla",
            Self::Cot => "cot",
            Self::Sc => "sc",
            Self::SelfRefine => "self-refine",
            Self::AgentDropout => "agentdropout",
            Self::Tpe => "tpe",
            Self::Spo => "spo",
            Self::Gepa => "gepa",
            Self::Random => "random",
        }
    }

    /// The method of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether the method learns from labelled items with these options.
    pub fn needs_labels(self, options: &MethodOptions) -> bool {
        match self {
            Self::AgentDropout => true,
            Self::Tpe | Self::Gepa => options.feedback == Feedback::Labels,
            _ => false,
        }
    }
}

/// What tells a method that a team is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Feedback {
    /// The judge, which compares the team's answers with those of the seed prompts.
    #[default]
    Judge,
    /// The labels of `data.train`.
    Labels,
}

/// How SPO compares the answers of two prompts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AnswerSets {
    /// All answers at once, with several votes in random order, as SPO does.
    #[default]
    Set,
    /// One question after the other, in both orders: for judges that know single answers only.
    Items,
}

/// Options of the `[methods]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MethodOptions {
    /// The prompt of the one agent of `vanilla`, `cot`, `sc` and `self-refine`, with `{question}`.
    /// By default the question and the frozen passages of the terminal agent.
    pub prompt: Option<String>,
    /// The number of answers that `sc` lets vote.
    pub samples: usize,
    /// The sampling temperature of `sc`.
    pub temperature: f64,
    /// The most revisions of `self-refine`.
    pub revisions: usize,
    /// What tells `tpe` and `gepa` that a team is better.
    pub feedback: Feedback,
    /// The number of instructions per agent of `tpe`, the seed prompt among them.
    pub instructions: usize,
    /// The number of teams that `tpe` tries, or of steps of `gepa`.
    pub trials: usize,
    /// The number of first trials of `tpe` that are random.
    pub startup: usize,
    /// The number of rounds per agent of `spo`.
    pub rounds: usize,
    /// How often `spo` goes over the agents; a large number with a budget uses the budget up.
    pub sweeps: usize,
    /// The number of questions per round of `spo`.
    pub questions: usize,
    /// The number of votes on an answer set of `spo`.
    pub votes: usize,
    /// How `spo` compares the answers of two prompts.
    pub compare: AnswerSets,
    /// The number of items of a step of `gepa`.
    pub minibatch: usize,
    /// The most steps of `gepa` that merge two teams; 0 merges none.
    pub merges: usize,
    /// The most labelled items that a method learns from.
    pub train_items: usize,
    /// The number of passes of `agentdropout` over the labelled items, for agents and again for
    /// edges.
    pub epochs: usize,
    /// The number of labelled items per update of `agentdropout`.
    pub update_items: usize,
    /// The step size of `agentdropout`.
    pub learning_rate: f64,
    /// The share of the agents that `agentdropout` drops, rounded to whole agents.
    pub drop_agents: f64,
    /// The probability below which `agentdropout` drops an edge.
    pub edge_threshold: f64,
}

impl Default for MethodOptions {
    fn default() -> Self {
        Self {
            prompt: None,
            samples: 5,
            temperature: 0.7,
            revisions: 3,
            feedback: Feedback::Judge,
            instructions: 5,
            trials: 30,
            startup: 10,
            rounds: 10,
            sweeps: 1,
            questions: 3,
            votes: 4,
            compare: AnswerSets::Set,
            minibatch: 3,
            merges: 0,
            train_items: 40,
            epochs: 2,
            update_items: 8,
            learning_rate: 1.0,
            drop_agents: 0.2,
            edge_threshold: 0.3,
        }
    }
}

impl Bounded for MethodOptions {
    const SECTION: &'static str = "methods";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("samples", Rule::at_least(1), |options| Some(options.samples.into())),
        Bound::new("temperature", Rule::NOT_NEGATIVE, |options| Some(options.temperature.into())),
        Bound::new("instructions", Rule::at_least(1), |options| Some(options.instructions.into())),
        Bound::new("trials", Rule::at_least(1), |options| Some(options.trials.into())),
        Bound::new("rounds", Rule::at_least(1), |options| Some(options.rounds.into())),
        Bound::new("sweeps", Rule::at_least(1), |options| Some(options.sweeps.into())),
        Bound::new("questions", Rule::at_least(1), |options| Some(options.questions.into())),
        Bound::new("votes", Rule::at_least(1), |options| Some(options.votes.into())),
        Bound::new("minibatch", Rule::at_least(1), |options| Some(options.minibatch.into())),
        Bound::new("train_items", Rule::at_least(1), |options| Some(options.train_items.into())),
        Bound::new("epochs", Rule::at_least(1), |options| Some(options.epochs.into())),
        Bound::new("update_items", Rule::at_least(1), |options| Some(options.update_items.into())),
        Bound::new("learning_rate", Rule::NOT_NEGATIVE, |options| Some(options.learning_rate.into())),
        Bound::new("drop_agents", Rule::Real(0.0, 1.0), |options| Some(options.drop_agents.into())),
        Bound::new("edge_threshold", Rule::Real(0.0, 1.0), |options| Some(options.edge_threshold.into())),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_the_name_that_files_use() {
        for method in MethodKind::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
            assert_eq!(MethodKind::find(method.name()), Some(method));
        }
    }
}
