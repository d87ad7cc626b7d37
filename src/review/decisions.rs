//! What is decided on the changes of a run, and the file that says it.

use crate::base::{AgentId, hint};
use crate::graph::Graph;
use crate::journal;
use crate::prompt::{Template, without_marks};
use crate::rollout::Prompts;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of the file.
const SCHEMA: u32 = 1;
/// The longest file of decisions in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// What becomes of one agent's change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// The prompt that the run ended with is used.
    Accept,
    /// The seed prompt is used.
    Reject,
    /// Another prompt is used.
    Edit(Template),
}

impl Choice {
    /// Its name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Edit(_) => "edit",
        }
    }
}

/// The decision on one agent's change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentDecision {
    /// The agent.
    pub agent: AgentId,
    /// What becomes of the change.
    pub choice: Choice,
    /// What the reviewer says of it.
    pub comment: Option<String>,
}

/// All decisions on a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decisions {
    /// Who decided.
    pub reviewer: String,
    /// What they say of the whole.
    pub comment: Option<String>,
    /// One decision for every changed agent, in the order of the graph.
    pub agents: Vec<AgentDecision>,
}

impl Decisions {
    /// Returns the prompts that the decisions make of those of the run.
    pub fn prompts(&self, seed: &Prompts, optimized: &Prompts) -> Prompts {
        self.agents.iter().fold(optimized.clone(), |prompts, decision| match &decision.choice {
            Choice::Accept => prompts,
            Choice::Reject => prompts.with(decision.agent, seed.get(decision.agent).clone()),
            Choice::Edit(prompt) => prompts.with(decision.agent, prompt.clone()),
        })
    }
}

/// What is wrong with a file of decisions.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecisionsError {
    /// It cannot be read.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// It is not of the format.
    #[error("{}: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Something is wrong with the decision on an agent.
    #[error("{}: agent `{agent}`: {problem}", file.display())]
    Agent {
        /// The file.
        file: PathBuf,
        /// The agent.
        agent: String,
        /// What is wrong.
        problem: String,
    },
}

/// Decisions on the changes of a run, for `maspo review --decisions`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct File {
    /// The version of this format, which is 1.
    schema: u32,
    /// Who decides; `--reviewer` or the user's name if absent.
    #[serde(default)]
    reviewer: Option<String>,
    /// What the reviewer says of the whole.
    #[serde(default)]
    comment: Option<String>,
    /// One decision for every agent whose prompt the run changed, by the agent's name.
    agents: BTreeMap<String, Entry>,
}

/// The decision on one agent's change.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Entry {
    /// What becomes of the change.
    decision: Kind,
    /// The new prompt, for `edit` only.
    #[serde(default)]
    prompt: Option<String>,
    /// What the reviewer says of it.
    #[serde(default)]
    comment: Option<String>,
}

/// What becomes of a change.
#[derive(Deserialize, Clone, Copy)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The prompt that the run ended with is used.
    Accept,
    /// The seed prompt is used.
    Reject,
    /// The prompt of this file is used.
    Edit,
}

/// Reads the decisions on the changed agents of a graph. `reviewer` is who decides if the file does
/// not say.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_decisions(
    path: &Path,
    (graph, changed): (&Graph, &[AgentId]),
    max_prompt_bytes: usize,
    reviewer: Option<&str>,
) -> Result<Decisions, Vec<DecisionsError>> {
    let malformed = |problem: String| vec![DecisionsError::Malformed { file: path.to_path_buf(), problem }];
    let text = text(path).map_err(|error| vec![error])?;
    let file: File = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    if file.schema != SCHEMA {
        let problem = format!("it has schema {}, and this maspo reads decisions of schema {SCHEMA}", file.schema);
        return Err(malformed(problem));
    }
    let reviewer = file.reviewer.or_else(|| reviewer.map(str::to_string)).filter(|name| !name.trim().is_empty());
    let mut errors = Vec::new();
    if reviewer.is_none() {
        errors.extend(malformed("nobody decided: say who did as `reviewer`, or with --reviewer".to_string()));
    }
    let fault = |agent: &str, problem: String| DecisionsError::Agent {
        file: path.to_path_buf(),
        agent: agent.to_string(),
        problem,
    };
    for name in file.agents.keys() {
        match graph.find(name) {
            None => {
                let names = graph.agents().iter().map(|agent| agent.name.as_str());
                errors.push(fault(name, format!("the graph has no such agent; {}", hint(name, names))));
            }
            Some(id) if !changed.contains(&id) => {
                errors.push(fault(name, "the run did not change its prompt: leave it out".to_string()));
            }
            Some(_) => {}
        }
    }
    let mut agents = Vec::new();
    for &agent in changed {
        let name = &graph.agent(agent).name;
        let Some(Entry { decision, prompt, comment }) = file.agents.get(name) else {
            errors.push(fault(name, "nothing is decided: say `accept`, `reject` or `edit`".to_string()));
            continue;
        };
        let choice = match (decision, prompt) {
            (Kind::Accept, None) => Choice::Accept,
            (Kind::Reject, None) => Choice::Reject,
            (Kind::Edit, Some(prompt)) => match edited(graph, agent, prompt, max_prompt_bytes) {
                Ok(prompt) => Choice::Edit(prompt),
                Err(faults) => {
                    errors.extend(faults.into_iter().map(|problem| fault(name, problem)));
                    continue;
                }
            },
            (Kind::Edit, None) => {
                errors.push(fault(name, "`edit` needs the new `prompt`".to_string()));
                continue;
            }
            (_, Some(_)) => {
                errors.push(fault(name, "a `prompt` belongs to `edit` only".to_string()));
                continue;
            }
        };
        agents.push(AgentDecision { agent, choice, comment: comment.clone() });
    }
    match (errors.is_empty(), reviewer) {
        (true, Some(reviewer)) => Ok(Decisions { reviewer, comment: file.comment, agents }),
        _ => Err(errors),
    }
}

/// Returns an edited prompt, or everything that is wrong with it.
///
/// # Errors
/// The constraints of the agent's prompts that it breaks.
pub fn edited(graph: &Graph, agent: AgentId, text: &str, max_prompt_bytes: usize) -> Result<Template, Vec<String>> {
    let text = without_marks(text);
    let prompt = Template::new(text.strip_suffix('\n').unwrap_or(&text));
    let faults = graph.agent(agent).constraints(max_prompt_bytes).errors(&prompt);
    if faults.is_empty() { Ok(prompt) } else { Err(faults.iter().map(ToString::to_string).collect()) }
}

fn text(path: &Path) -> Result<String, DecisionsError> {
    journal::read_text(path, MAX_BYTES)
        .map_err(|reason| DecisionsError::Unreadable { file: path.to_path_buf(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json_schema::{generate, text};
    use expect_test::expect_file;
    use schemars::generate::Contract;

    #[test]
    fn the_schema_of_decisions_is_current() {
        let mut schema = generate::<File>(Contract::Deserialize);
        schema["title"] = "maspo decisions.json".into();
        expect_file!["../../docs/schema/decisions.json"].assert_eq(&text(&schema));
    }
}
