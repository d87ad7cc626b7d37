//! The file `bundle.json`: its fields, its hash, and how it is read without trusting it.
//!
//! The hash is BLAKE3 over the content without the member `hash`, as JSON with sorted keys and no
//! white space. Numbers have at most six decimals, so that every program writes them alike.

use super::evidence::Evidence;
use super::team::Team;
use super::{BundleError, Released};
use crate::base::Digest;
use crate::base::printable;
use crate::graph::Graph;
use crate::journal;
use crate::journal::write_file;
use crate::prompt::Template;
use crate::rollout::Prompts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the format, in the field `schema`.
pub const BUNDLE_SCHEMA: u32 = 1;
/// What the field `kind` says.
const KIND: &str = "maspo-bundle";
/// The longest bundle in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A prompt bundle.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Bundle {
    /// The version of the format, [`BUNDLE_SCHEMA`].
    pub schema: u32,
    /// The kind of file, so that it is told from `prompts.json`.
    pub kind: String,
    /// The time at which it was made, in UTC.
    pub created: String,
    /// The prompts to use, by the agents' names, in the order of the graph.
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub prompts: Map<String, Value>,
    /// The team that the prompts are for.
    #[serde(flatten)]
    pub team: Team,
    /// The method that wrote the prompts.
    pub method: MethodPart,
    /// The evidence for the prompts.
    pub evidence: Evidence,
    /// Who looked at the prompts and what they decided; absent before a review.
    pub review: Option<Review>,
    /// The hash of the bundle that this one follows.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub parent: Option<Digest>,
    /// The hash of the content; see the module's description.
    #[cfg_attr(test, schemars(with = "String"))]
    pub hash: Digest,
}

/// The method that wrote prompts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MethodPart {
    /// Its name.
    pub name: String,
    /// Whether it ended with another system than the experiment's graph run once.
    pub own_system: bool,
}

/// A review of the changes of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Review {
    /// Who decided.
    pub reviewer: String,
    /// When, in UTC.
    pub time: String,
    /// What they say of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What they decided on every agent whose prompt the run changed.
    pub decisions: Vec<Decided>,
}

/// What was decided on one agent's prompt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Decided {
    /// The agent's name.
    pub agent: String,
    /// The decision: `accept`, `reject` or `edit`.
    pub decision: String,
    /// What the reviewer says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Bundle {
    /// Makes a bundle, whose hash is that of its content.
    ///
    /// # Panics
    /// Panics if the prompts are not those of the team's agents, which is a programmer's error.
    pub fn new(team: Team, prompts: &[(String, String)], evidence: Evidence, created: String) -> Self {
        let names: Vec<&str> = team.graph.agents.iter().map(|agent| agent.name.as_str()).collect();
        assert!(names.iter().copied().eq(prompts.iter().map(|(name, _)| name.as_str())), "one prompt per agent");
        let own_system = team.graph.agents.iter().all(|agent| !agent.optimize);
        let bundle = Self {
            schema: BUNDLE_SCHEMA,
            kind: KIND.to_string(),
            created,
            prompts: prompts.iter().map(|(name, prompt)| (name.clone(), prompt.clone().into())).collect(),
            method: MethodPart { name: evidence.run.method.clone(), own_system },
            team,
            evidence,
            review: None,
            parent: None,
            hash: Digest([0; 32]),
        };
        bundle.sealed()
    }

    /// Returns the bundle with the hash of its content, and with its numbers as the file has them.
    #[must_use]
    pub fn sealed(self) -> Self {
        let mut value = serde_json::to_value(&self).expect("a bundle is plain data");
        round(&mut value);
        value["hash"] = content_hash(&value).to_string().into();
        serde_json::from_value(value).expect("what was a bundle is one")
    }

    /// Returns the text of the file.
    pub fn text(&self) -> String {
        text(&serde_json::to_value(self).expect("a bundle is plain data"))
    }

    /// Writes the file completely or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), BundleError> {
        Ok(write_file(path, &self.text())?)
    }

    /// Reads and checks a bundle: its form, its hash, its graph and its prompts.
    ///
    /// # Errors
    /// The first fault found.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        Self::parse(path, &read_text(path)?)
    }

    /// Does what [`read`](Self::read) does with the text of a file that is at `path`.
    ///
    /// # Errors
    /// The first fault found.
    pub fn parse(path: &Path, source: &str) -> Result<Self, BundleError> {
        let file = || path.to_path_buf();
        let value: Value = serde_json::from_str(source).map_err(|error| not_json(path, &error))?;
        if !is_bundle(&value) {
            return Err(BundleError::NotABundle { file: file() });
        }
        if value.get("schema").and_then(Value::as_u64) != Some(u64::from(BUNDLE_SCHEMA)) {
            let found = value.get("schema").map_or("none".to_string(), Value::to_string);
            return Err(BundleError::Schema { file: file(), found, known: BUNDLE_SCHEMA });
        }
        let (stated, computed) = (value.get("hash").and_then(Value::as_str), content_hash(&value).to_string());
        if stated != Some(computed.as_str()) {
            let stated = stated.unwrap_or("none").to_string();
            return Err(BundleError::Hash { file: file(), stated, computed });
        }
        let whole = text(&value);
        if whole != source {
            // A text that begins like the other one and ends earlier differs after its last line.
            let pairs = whole.split('\n').zip(source.split('\n'));
            let same = pairs.take_while(|(one, two)| one == two).count();
            return Err(BundleError::Form { file: file(), line: same + 1 });
        }
        let malformed = |problem: String| BundleError::Malformed { file: file(), problem };
        let bundle: Self = serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
        let unsound = |problem: String| BundleError::Team { file: file(), problem };
        bundle.check_names().map_err(unsound)?;
        bundle.graph_with_prompts().map_err(unsound)?;
        Ok(bundle)
    }

    /// Returns the prompts by the agents' names, in the order of the file.
    pub fn entries(&self) -> Vec<(String, String)> {
        let text = |prompt: &Value| prompt.as_str().unwrap_or_default().to_string();
        self.prompts.iter().map(|(name, prompt)| (name.clone(), text(prompt))).collect()
    }

    /// Checks that names are such as an experiment file can have: a bundle comes from others, and
    /// its names go to terminals and into files.
    fn check_names(&self) -> Result<(), String> {
        let is_odd = |c: char| c.is_control() || !printable(&c.to_string()).starts_with(c);
        let in_agent = |c: char| is_odd(c) || c.is_whitespace() || c == '.' || c == '`';
        let agents = self.team.graph.agents.iter().map(|agent| &agent.name);
        if let Some(name) = agents.into_iter().find(|name| name.is_empty() || name.contains(in_agent)) {
            return Err(format!("the agent's name {name:?} is empty or has a character that no name can have"));
        }
        let model = self.team.model.identity.iter().map(|model| &model.name);
        if let Some(name) = model.chain([&self.team.name, &self.created]).find(|name| name.contains(is_odd)) {
            return Err(format!("the name {name:?} has a character that no name can have"));
        }
        Ok(())
    }

    /// Returns the graph with the seed prompts of the search, and the bundle's prompts for it.
    ///
    /// # Errors
    /// Agents and edges are no usable graph, or a prompt is missing or does not fit its agent.
    pub fn graph_with_prompts(&self) -> Result<(Graph, Prompts), String> {
        let graph = self.team.graph().map_err(|faults| faults.join("; "))?;
        if let Some((name, _)) = self.prompts.iter().find(|(name, _)| graph.find(name).is_none()) {
            return Err(format!("there is a prompt for `{name}`, which is no agent of the graph"));
        }
        let mut prompts = Prompts::seed(&graph);
        for (at, agent) in graph.agents().iter().enumerate() {
            let text = self.prompts.get(&agent.name).and_then(Value::as_str);
            let Some(text) = text else { return Err(format!("there is no prompt for the agent `{}`", agent.name)) };
            let prompt = Template::new(text);
            let faults = agent.constraints(self.team.task.max_prompt_bytes).errors(&prompt);
            if let Some(fault) = faults.first() {
                return Err(format!("agent `{}`: {fault}", agent.name));
            }
            prompts = prompts.with(crate::base::AgentId(at), prompt);
        }
        Ok((graph, prompts))
    }

    /// Returns what a list of releases says of it.
    pub(super) fn released(&self, number: usize) -> Released {
        Released { number, hash: self.hash, name: self.team.name.clone(), created: self.created.clone() }
    }
}

/// Returns whether a text is that of a bundle, whatever is wrong with it.
pub fn is_bundle_text(text: &str) -> bool {
    // A large file that is no bundle is not parsed into a tree.
    text.contains(KIND) && serde_json::from_str::<Value>(text).is_ok_and(|value| is_bundle(&value))
}

fn is_bundle(value: &Value) -> bool {
    value.get("kind").and_then(Value::as_str) == Some(KIND)
}

/// Reads a file of a bounded length as text.
pub(super) fn read_text(path: &Path) -> Result<String, BundleError> {
    journal::read_text(path, MAX_BYTES).map_err(|reason| BundleError::Unreadable { file: path.to_path_buf(), reason })
}

pub(super) fn not_json(path: &Path, error: &serde_json::Error) -> BundleError {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let problem = message.strip_suffix(&place).unwrap_or(&message).to_string();
    BundleError::NotJson { file: path.to_path_buf(), line: error.line(), column: error.column(), problem }
}

fn text(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a value is plain data") + "\n"
}

/// Returns the hash of a bundle's content.
fn content_hash(bundle: &Value) -> Digest {
    let mut content = bundle.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.shift_remove("hash");
    }
    let mut canonical = String::new();
    write_canonical(&content, &mut canonical);
    Digest::of(canonical.as_bytes())
}

/// Writes JSON with sorted keys and without white space. The depth is bounded by the reader's own
/// limit of 128.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                *out += &serde_json::to_string(key).expect("a key is text");
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        plain => *out += &plain.to_string(),
    }
}

/// Rounds every number that is not whole to six decimals, and one below 0.0001 to four. A reader of
/// JSON gives such a number back exactly, and every writer writes it alike, so that the hash can be
/// computed again.
fn round(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(round),
        Value::Array(items) => items.iter_mut().for_each(round),
        Value::Number(number) if number.is_f64() => {
            *value = rounded(number.as_f64().unwrap_or(0.0), f64::round).into();
        }
        _ => {}
    }
}

/// Returns a number with the decimals that a bundle keeps of it; `round` makes a number whole.
pub(super) fn rounded(exact: f64, round: fn(f64) -> f64) -> f64 {
    let steps = if exact.abs() < 1e-4 { 1e4 } else { 1e6 };
    // Adding zero turns -0 into 0.
    round(exact * steps) / steps + 0.0
}
