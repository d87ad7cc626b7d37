//! Reads and writes `prompts.json`: an object from agent names to prompts, checked against the
//! graph that it is for. A prompt bundle or the folder of a finished run is read alike.

use super::section::hint;
use crate::bundle::{BundleError, is_bundle_text, open_prompts, prompt_entries};
use crate::graph::Graph;
use crate::prompt::{PromptError, Template, without_marks};
use crate::rollout::Prompts;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is wrong with a prompts file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PromptsError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason, in the system's words.
        reason: String,
    },
    /// The bundle, or the run, cannot be used.
    #[error("{0}")]
    Bundle(String),
    /// The file is not an object from names to texts.
    #[error("{}:{line}:{column}: {problem}", file.display())]
    NotPrompts {
        /// The file.
        file: PathBuf,
        /// The line of the fault, counted from 1.
        line: usize,
        /// The column of the fault, counted from 1.
        column: usize,
        /// What the JSON reader says.
        problem: String,
    },
    /// An agent is named twice.
    #[error("{}: the agent `{agent}` stands twice", file.display())]
    Twice {
        /// The file.
        file: PathBuf,
        /// The agent.
        agent: String,
    },
    /// A name that is no agent's.
    #[error("{}: the graph has no agent `{agent}`; {hint}", file.display())]
    UnknownAgent {
        /// The file.
        file: PathBuf,
        /// The name.
        agent: String,
        /// The nearest name, or all of them.
        hint: String,
    },
    /// An agent has no prompt.
    #[error("{}: there is no prompt for the agent `{agent}`", file.display())]
    MissingAgent {
        /// The file.
        file: PathBuf,
        /// The agent.
        agent: String,
    },
    /// A prompt breaks its agent's rules.
    #[error("{}: agent `{agent}`: {fault}", file.display())]
    Prompt {
        /// The file.
        file: PathBuf,
        /// The agent.
        agent: String,
        /// What is wrong.
        fault: PromptError,
    },
}

/// Reads the prompts for the agents of `graph` from a `prompts.json`, a bundle, or the folder of a
/// finished run.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_prompts(path: &Path, graph: &Graph, max_prompt_bytes: usize) -> Result<Prompts, Vec<PromptsError>> {
    let file = || path.to_path_buf();
    let unreadable = |reason: String| vec![PromptsError::Unreadable { file: file(), reason }];
    let opened = || open_prompts(path).map_err(|error: BundleError| vec![PromptsError::Bundle(error.to_string())]);
    let entries = if path.is_dir() {
        opened()?
    } else {
        let bytes = std::fs::read(path).map_err(|error| unreadable(super::load::reason(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_string()))?;
        // Some editors put a byte-order mark first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        match is_bundle_text(text) {
            true => opened()?,
            false => prompt_entries(text).map_err(|error| vec![not_prompts(path, &error)])?,
        }
    };
    let mut prompts = Prompts::seed(graph);
    let mut errors = Vec::new();
    for (at, (name, text)) in entries.iter().enumerate() {
        if entries[..at].iter().any(|(other, _)| other == name) {
            errors.push(PromptsError::Twice { file: file(), agent: name.clone() });
        }
        let Some(id) = graph.find(name) else {
            let hint = hint(name, graph.agents().iter().map(|agent| agent.name.as_str()));
            errors.push(PromptsError::UnknownAgent { file: file(), agent: name.clone(), hint });
            continue;
        };
        let prompt = Template::new(without_marks(text));
        let faults = graph.agent(id).constraints(max_prompt_bytes).errors(&prompt);
        let fault = |fault| PromptsError::Prompt { file: file(), agent: name.clone(), fault };
        errors.extend(faults.into_iter().map(fault));
        prompts = prompts.with(id, prompt);
    }
    for agent in graph.agents().iter().filter(|agent| entries.iter().all(|(name, _)| *name != agent.name)) {
        errors.push(PromptsError::MissingAgent { file: file(), agent: agent.name.clone() });
    }
    if errors.is_empty() { Ok(prompts) } else { Err(errors) }
}

/// Writes the prompts of `graph`'s agents, in their order. The file is either complete or as it was
/// before, because it is written beside its place, synced and moved there.
///
/// # Errors
/// The error of the file system.
pub fn write_prompts(path: &Path, graph: &Graph, prompts: &Prompts) -> std::io::Result<()> {
    let entry =
        |(agent, (_, prompt)): (&crate::graph::Agent, (_, &Template))| (agent.name.clone(), prompt.text().into());
    let map: serde_json::Map<_, _> = graph.agents().iter().zip(prompts.iter()).map(entry).collect();
    let mut text = serde_json::to_string_pretty(&map).expect("texts are plain data");
    text.push('\n');
    let beside = path.with_extension("json.part");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

fn not_prompts(path: &Path, error: &serde_json::Error) -> PromptsError {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let problem = message.strip_suffix(&place).unwrap_or(&message).to_string();
    PromptsError::NotPrompts { file: path.to_path_buf(), line: error.line(), column: error.column(), problem }
}
