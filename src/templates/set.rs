//! A template set: its files, read from the program or from a folder and checked alike.

use super::language::{RequestTemplate, TemplateFault};
use super::slots::{JUDGE, OPTIMIZER, SUMMARY};
use crate::prompt::without_marks;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest file of a set, in bytes.
pub const MAX_FILE_BYTES: usize = 64 << 10;

/// The most assignments of a set.
const MAX_ASSIGNMENTS: usize = 64;

/// What the names of models that are in the program begin with.
const EMBEDDED_SCHEME: &str = "embedded:";

/// A set that is in the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name)))),*]
    };
}

impl BuiltIn {
    /// The set that the embedded model was trained on: short requests, without an analysis.
    pub const TERSE: Self =
        Self { name: "terse", files: files!("models/triage/templates": "optimizer.txt", "judge.txt", "summary.txt") };

    /// The set for instruction models from 4 B to 70 B parameters.
    pub const STANDARD: Self = Self {
        name: "standard",
        files: files!("configs/templates/standard":
            "optimizer.txt", "assignments.txt", "judge.txt", "summary.txt",
            "tasks/mathematics/optimizer.txt", "tasks/mathematics/judge.txt",
            "tasks/choice/optimizer.txt", "tasks/choice/judge.txt",
            "tasks/code/optimizer.txt", "tasks/code/judge.txt",
            "tasks/classification/optimizer.txt", "tasks/classification/judge.txt",
        ),
    };

    /// All of them.
    pub const ALL: [Self; 2] = [Self::TERSE, Self::STANDARD];

    /// Returns the set for a model of that name: the embedded model has its own, every other model
    /// the standard one.
    pub fn of_model(name: &str) -> Self {
        if name.starts_with(EMBEDDED_SCHEME) { Self::TERSE } else { Self::STANDARD }
    }

    /// Returns the names of its task presets.
    pub fn tasks(&self) -> BTreeSet<&'static str> {
        self.files.iter().filter_map(|(name, _)| name.strip_prefix("tasks/")?.split('/').next()).collect()
    }

    /// Reads the set, with a task preset that it has.
    ///
    /// # Errors
    /// A task preset that it has not.
    pub fn read(&self, task: Option<&str>) -> Result<Templates, Vec<TemplateFault>> {
        let file =
            |name: &str| self.files.iter().find(|(own, _)| *own == name).map(|(_, text)| text.as_bytes().to_vec());
        Templates::read(&|name| Ok(file(name)), task)
    }

    fn whole(&self) -> Templates {
        self.read(None).expect("the program's own files are sound")
    }
}

/// An instruction that one of the candidates of a step is written by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Assignment {
    /// Its name, which the record of the candidate has.
    pub name: String,
    /// The instruction.
    pub instruction: String,
}

/// The request for a candidate.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OptimizerTemplates {
    /// The request.
    pub request: RequestTemplate,
    /// The assignments, of which each candidate gets one in turn; none if the request has no slot
    /// for them.
    pub assignments: Vec<Assignment>,
    /// What the task preset says; empty without one.
    pub task: String,
}

/// The request for a comparison.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct JudgeTemplates {
    /// The request.
    pub request: RequestTemplate,
    /// What the task preset says; empty without one.
    pub task: String,
}

/// All requests that a search makes, apart from the prompts of the agents.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Templates {
    /// The request for a candidate, to the optimizer.
    pub optimizer: OptimizerTemplates,
    /// The request for a comparison, to the judge.
    pub judge: JudgeTemplates,
    /// The request for a summary of an output, to the worker.
    pub summary: RequestTemplate,
}

/// Returns the bytes of the file of that name in the set's folder; `None` if there is none.
type ReadFile<'a> = dyn Fn(&str) -> Result<Option<Vec<u8>>, String> + 'a;

impl Templates {
    /// The set `terse`.
    pub fn terse() -> Arc<Self> {
        Arc::new(BuiltIn::TERSE.whole())
    }

    /// The set `standard`, without a task preset.
    pub fn standard() -> Arc<Self> {
        Arc::new(BuiltIn::STANDARD.whole())
    }

    /// Each request from the set of the model that it is made of, named in the order worker,
    /// optimizer, judge.
    ///
    /// # Errors
    /// A task preset that one of the sets has not.
    pub fn of_models(names: [&str; 3], task: Option<&str>) -> Result<Self, Vec<TemplateFault>> {
        let [worker, optimizer, judge] = names.map(BuiltIn::of_model);
        Ok(Self {
            optimizer: optimizer.read(task)?.optimizer,
            judge: judge.read(task)?.judge,
            summary: worker.read(None)?.summary,
        })
    }

    /// Reads a set from its files, with a task preset.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn read(read: &ReadFile<'_>, task: Option<&str>) -> Result<Self, Vec<TemplateFault>> {
        let files = Files { read };
        let mut faults = Vec::new();
        let optimizer = files.optimizer(task).map_err(|more| faults.extend(more)).ok();
        let judge = files.judge(task).map_err(|more| faults.extend(more)).ok();
        let summary = files.text("summary.txt").and_then(|text| RequestTemplate::parse("summary.txt", &text, SUMMARY));
        let summary = summary.map_err(|more| faults.extend(more)).ok();
        match (optimizer, judge, summary) {
            (Some(optimizer), Some(judge), Some(summary)) => Ok(Self { optimizer, judge, summary }),
            _ => Err(faults),
        }
    }
}

struct Files<'a> {
    read: &'a ReadFile<'a>,
}

impl Files<'_> {
    fn optimizer(&self, task: Option<&str>) -> Result<OptimizerTemplates, Vec<TemplateFault>> {
        const FILE: &str = "optimizer.txt";
        const ASSIGNMENTS: &str = "assignments.txt";
        let text = self.text(FILE)?;
        let request = RequestTemplate::parse(FILE, &text, OPTIMIZER)?;
        if !text.contains("<prompt>") {
            return Err(fault(FILE, None, "never says `<prompt>`; the reply is read between <prompt> and </prompt>"));
        }
        let has_assignments = self.optional(ASSIGNMENTS)?.is_some();
        let assignments = match (request.shows("assignment"), has_assignments) {
            (false, false) => Vec::new(),
            (true, _) => assignments(ASSIGNMENTS, &self.text(ASSIGNMENTS)?)?,
            (false, true) => {
                return Err(fault(FILE, None, "has no slot `{assignment}`, but there is an assignments.txt"));
            }
        };
        let task = self.task(task, FILE, &request)?;
        Ok(OptimizerTemplates { request, assignments, task })
    }

    fn judge(&self, task: Option<&str>) -> Result<JudgeTemplates, Vec<TemplateFault>> {
        const FILE: &str = "judge.txt";
        let request = RequestTemplate::parse(FILE, &self.text(FILE)?, JUDGE)?;
        let task = self.task(task, FILE, &request)?;
        Ok(JudgeTemplates { request, task })
    }

    /// Reads what the task preset says for the request of `file`; empty without a preset.
    fn task(&self, task: Option<&str>, file: &str, request: &RequestTemplate) -> Result<String, Vec<TemplateFault>> {
        let Some(name) = task else { return Ok(String::new()) };
        if !request.shows("task") {
            return Err(fault(file, None, "has no slot `{task}`, so that a task preset cannot be used with it"));
        }
        self.text(&format!("tasks/{name}/{file}"))
    }

    /// Reads a file that must be there, without byte-order marks and carriage returns. One line
    /// break at its end is not part of it.
    fn text(&self, file: &str) -> Result<String, Vec<TemplateFault>> {
        self.optional(file)?.ok_or_else(|| fault(file, None, "there is no such file"))
    }

    fn optional(&self, file: &str) -> Result<Option<String>, Vec<TemplateFault>> {
        let Some(bytes) = (self.read)(file).map_err(|problem| fault(file, None, &problem))? else { return Ok(None) };
        if bytes.len() > MAX_FILE_BYTES {
            let problem = format!("has {} bytes; at most {MAX_FILE_BYTES} are read", bytes.len());
            return Err(fault(file, None, &problem));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            fault(file, Some(line), "the line is not UTF-8")
        })?;
        let text = without_marks(&text);
        if text.trim().is_empty() {
            return Err(fault(file, None, "is empty"));
        }
        Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_string()))
    }
}

/// Reads one assignment a line: `name: instruction`.
fn assignments(file: &str, text: &str) -> Result<Vec<Assignment>, Vec<TemplateFault>> {
    let mut found: Vec<Assignment> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let refuse = |problem: &str| Err(fault(file, Some(index + 1), problem));
        let Some((name, instruction)) = line.split_once(':').map(|(name, text)| (name.trim(), text.trim())) else {
            return refuse("is not `name: instruction`");
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            return refuse("does not begin with a name of small letters and `-`, and a colon");
        }
        if instruction.is_empty() {
            return refuse("has no instruction behind its name");
        }
        if found.iter().any(|other| other.name == name) {
            return refuse(&format!("names the assignment `{name}` again"));
        }
        if found.len() == MAX_ASSIGNMENTS {
            return refuse(&format!("is one assignment too many; at most {MAX_ASSIGNMENTS} are read"));
        }
        found.push(Assignment { name: name.to_string(), instruction: instruction.to_string() });
    }
    Ok(found)
}

fn fault(file: &str, line: Option<usize>, problem: &str) -> Vec<TemplateFault> {
    vec![TemplateFault { file: file.to_string(), line, problem: problem.to_string() }]
}
