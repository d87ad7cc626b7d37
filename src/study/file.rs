//! The file of a study: TOML, checked before anything runs.

use crate::method::MethodKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of the format that this program reads.
const SCHEMA: u32 = 1;
/// The most seeds of an experiment.
const MAX_SEEDS: u64 = 10_000;

/// Why a study cannot be run or reported.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file is not a study.
    #[error("{}:{problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, and what is wrong there.
        problem: String,
    },
    /// Something in the file does not fit together.
    #[error("{}: {problem}", file.display())]
    Faulty {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A run of the study is of another setup than the study asks for.
    #[error(
        "{} holds a run of another model, other settings or other data; remove it, or choose another folder with --out",
        .0.display()
    )]
    OtherSetup(PathBuf),
    /// A folder holds no finished run of the study.
    #[error("{} holds no finished run", .0.display())]
    Empty(PathBuf),
    /// A file of the study's folder cannot be written or read.
    #[error("{}: {reason}", path.display())]
    Files {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Model-written programs cannot be judged on this machine.
    #[error("{0}")]
    Sandbox(String),
    /// The settings of a run have faults.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<crate::config::ConfigError>),
    /// A run failed.
    #[error("{label}: {error}")]
    Run {
        /// Which run.
        label: String,
        /// What went wrong.
        #[source]
        error: Box<crate::run::RunError>,
    },
}

/// A study.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// The version of the format, which is 1.
    pub schema: u32,
    /// The study's name, which names its folder.
    pub name: String,
    /// A sentence on what the study asks, for the report.
    #[serde(default)]
    pub question: String,
    /// The arm that all others are compared with; by default the first.
    #[serde(default)]
    pub baseline: Option<String>,
    /// The number of runs in flight at once.
    #[serde(default = "four")]
    pub in_flight: usize,
    /// Whether the journals of finished runs are kept. They hold every call, and take most of the
    /// space.
    #[serde(default)]
    pub keep_journals: bool,
    /// Arms that are reported and not ranked, with the reason.
    #[serde(default)]
    pub unranked: BTreeMap<String, String>,
    /// The experiments.
    pub experiment: Vec<ExperimentSpec>,
    /// Figures of others, which stand beside ours and are marked as theirs.
    #[serde(default)]
    pub reference: Vec<Reference>,
}

/// One experiment of a study.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSpec {
    /// The experiment file, relative to the study's file.
    pub config: PathBuf,
    /// The experiment's name in tables; by default that of its file.
    #[serde(default)]
    pub name: Option<String>,
    /// The seeds: a list, or `"1..20"` with both ends.
    pub seeds: Seeds,
    /// The methods. `spo@maspo` is SPO with what MASPO's run of the same seed took as its budget.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Values that hold for every run, by key.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
    /// The values of options that are varied, by key; every combination is run.
    #[serde(default)]
    pub vary: BTreeMap<String, Vec<toml::Value>>,
    /// Arms with a name of their own.
    #[serde(default)]
    pub arm: Vec<ArmSpec>,
}

/// An arm with a name of its own.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// Its name in tables.
    pub name: String,
    /// Its method.
    #[serde(default)]
    pub method: Option<String>,
    /// The values that it sets, by key.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
    /// Prompts that are scored without a search, relative to the study's file.
    #[serde(default)]
    pub prompts: Option<PathBuf>,
    /// The experiment whose final prompts are scored here, run by the arm's method there.
    #[serde(default)]
    pub prompts_of: Option<String>,
}

/// A figure of others.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The arm that it is a figure of.
    pub arm: String,
    /// The experiments that it stands beside, by name, where one `*` stands for anything; by
    /// default all.
    #[serde(default)]
    pub experiments: Option<String>,
    /// The accuracy, from 0 to 1.
    pub accuracy: f64,
    /// Whose figure it is and what it was measured on.
    pub source: String,
}

/// The seeds of an experiment.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    /// A list.
    List(Vec<u64>),
    /// The first and the last, as `"1..20"`.
    Range(String),
}

fn four() -> usize {
    4
}

impl Reference {
    /// Whether it stands beside an experiment of this name.
    pub fn is_beside(&self, experiment: &str) -> bool {
        self.experiments.as_ref().is_none_or(|pattern| match pattern.split_once('*') {
            None => pattern == experiment,
            Some((start, end)) => experiment.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        })
    }
}

impl StudyFile {
    /// Reads the study at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is no study, or does not fit together.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let file = || path.to_path_buf();
        let text = std::fs::read_to_string(path)
            .map_err(|error| StudyError::Unreadable { file: file(), reason: error.to_string() })?;
        let study: Self = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text[..text.floor_char_boundary(at)].matches('\n').count() + 1;
            StudyError::Malformed { file: file(), problem: format!("{line}: {}", error.message()) }
        })?;
        match study.fault() {
            Some(problem) => Err(StudyError::Faulty { file: file(), problem }),
            None => Ok(study),
        }
    }

    /// Gives every experiment other seeds.
    ///
    /// # Errors
    /// The text is no range.
    pub fn use_seeds(&mut self, seeds: &str) -> Result<(), String> {
        for experiment in &mut self.experiment {
            experiment.seeds = Seeds::Range(seeds.to_string());
            experiment.seed_list()?;
        }
        Ok(())
    }

    /// Keeps only the experiments of these names.
    ///
    /// # Errors
    /// There is no experiment of a name.
    pub fn keep_only(&mut self, names: &[String]) -> Result<(), String> {
        let known: Vec<String> = self.experiment.iter().map(ExperimentSpec::name).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            return Err(format!("there is no experiment `{unknown}`; there are {}", known.join(", ")));
        }
        self.experiment.retain(|experiment| names.contains(&experiment.name()));
        self.fault().map_or(Ok(()), Err)
    }

    fn fault(&self) -> Option<String> {
        if self.schema != SCHEMA {
            return Some(format!("the study has schema {}, and this program reads schema {SCHEMA}", self.schema));
        }
        let plain = |name: &str| {
            !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
        };
        if !plain(&self.name) {
            return Some(format!("`name` is {:?}; it names a folder: letters, digits, `-`, `_` and `.`", self.name));
        }
        if self.in_flight == 0 {
            return Some("`in_flight` is 0; it must be 1 or more".to_string());
        }
        if self.experiment.is_empty() {
            return Some("there is no [[experiment]]".to_string());
        }
        let mut names: Vec<String> = Vec::new();
        for experiment in &self.experiment {
            let name = experiment.name();
            if !plain(&name) {
                return Some(format!("the experiment name {name:?} names a folder: letters, digits, `-`, `_` and `.`"));
            }
            if names.contains(&name) {
                return Some(format!("two experiments are named `{name}`; give them a `name`"));
            }
            names.push(name);
            if let Some(fault) = experiment.fault() {
                return Some(fault);
            }
        }
        let unknown = |arm: &&ArmSpec| arm.prompts_of.as_ref().is_some_and(|of| !names.contains(of));
        let arm = self.experiment.iter().flat_map(|experiment| &experiment.arm).find(unknown)?;
        Some(format!("the arm `{}` takes the prompts of an experiment that there is not", arm.name))
    }
}

impl ExperimentSpec {
    /// The experiment's name in tables.
    pub fn name(&self) -> String {
        let stem = || self.config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.name.clone().unwrap_or_else(stem)
    }

    /// The seeds as a list.
    ///
    /// # Errors
    /// The text is no range, or has too many seeds.
    pub fn seed_list(&self) -> Result<Vec<u64>, String> {
        match &self.seeds {
            Seeds::List(seeds) => Ok(seeds.clone()),
            Seeds::Range(text) => {
                let (first, last) = text.split_once("..").unwrap_or((text, text));
                let number = |text: &str| text.trim().trim_start_matches('=').parse::<u64>();
                match (number(first), number(last)) {
                    (Ok(first), Ok(last)) if last >= first && last - first < MAX_SEEDS => Ok((first..=last).collect()),
                    _ => Err(format!("`seeds` is {text:?}; a list is needed, or first and last as \"1..20\"")),
                }
            }
        }
    }

    fn fault(&self) -> Option<String> {
        let name = self.name();
        match self.seed_list() {
            Err(fault) => return Some(format!("experiment `{name}`: {fault}")),
            Ok(seeds) if seeds.is_empty() => return Some(format!("experiment `{name}` has no seeds")),
            Ok(_) => {}
        }
        if self.methods.is_empty() && self.arm.is_empty() {
            return Some(format!("experiment `{name}` has neither `methods` nor an [[experiment.arm]]"));
        }
        let named = self.methods.iter().chain(self.arm.iter().filter_map(|arm| arm.method.as_ref()));
        for method in named {
            let (kind, budget) = method.split_once('@').map_or((&**method, None), |(kind, of)| (kind, Some(of)));
            let known = || MethodKind::ALL.map(MethodKind::name).join(", ");
            if MethodKind::find(kind).is_none() || budget.is_some_and(|of| MethodKind::find(of).is_none()) {
                return Some(format!("experiment `{name}`: there is no method `{method}`; there are {}", known()));
            }
            if let Some(of) = budget
                && !self.methods.iter().any(|other| other == of)
            {
                return Some(format!("experiment `{name}`: `{method}` needs `{of}` among the methods"));
            }
        }
        let both = self.arm.iter().find(|arm| arm.prompts.is_some() && arm.prompts_of.is_some());
        both.map(|arm| format!("the arm `{}` has both `prompts` and `prompts_of`", arm.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let shown = match StudyFile::read(&path) {
            Ok(study) => format!("{} of {} experiments", study.name, study.experiment.len()),
            Err(error) => error.to_string().replace(&dir.path().display().to_string(), "DIR"),
        };
        expected.assert_eq(&shown);
    }

    const GOOD: &str = "schema = 1\nname = \"s\"\n[[experiment]]\nconfig = \"a.toml\"\nseeds = \"1..3\"\n\
                        methods = [\"maspo\", \"spo@maspo\"]\n";

    #[test]
    fn faults_name_the_file_and_what_to_do() {
        check(GOOD, expect!["s of 1 experiments"]);
        check(
            &GOOD.replace("seeds", "seed"),
            expect![
                r#"DIR/s.toml:5: unknown field `seed`, expected one of `config`, `name`, `seeds`, `methods`, `set`, `vary`, `arm`"#
            ],
        );
        check(
            &GOOD.replace("1..3", "3..1"),
            expect![[
                r#"DIR/s.toml: experiment `a`: `seeds` is "3..1"; a list is needed, or first and last as "1..20""#
            ]],
        );
        check(
            &GOOD.replace("\"maspo\", ", ""),
            expect!["DIR/s.toml: experiment `a`: `spo@maspo` needs `maspo` among the methods"],
        );
        check(
            &GOOD.replace("\"maspo\", ", "\"mapso\", "),
            expect![
                r#"DIR/s.toml: experiment `a`: there is no method `mapso`; there are maspo, vanilla, cot, sc, self-refine, agentdropout, tpe, spo, gepa, random"#
            ],
        );
        check(
            &GOOD.replace("schema = 1", "schema = 2"),
            expect!["DIR/s.toml: the study has schema 2, and this program reads schema 1"],
        );
    }
}
