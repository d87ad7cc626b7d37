//! The matrix of a study as a list of runs.

use super::file::{ArmSpec, ExperimentSpec, StudyFile};
use crate::method::MethodKind;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the system of a run comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    /// A method finds it.
    Method {
        /// The method.
        kind: MethodKind,
        /// The method whose run of the same seed and options gives the budget.
        budget_of: Option<MethodKind>,
    },
    /// It is in a prompts file.
    File(PathBuf),
    /// It is what a run of another experiment ended with.
    PromptsOf {
        /// The experiment.
        experiment: String,
        /// The arm there.
        arm: String,
    },
}

/// One run of a study.
#[derive(Clone, PartialEq, Debug)]
pub struct Cell {
    /// The experiment's name.
    pub experiment: String,
    /// The experiment file, relative to the study's.
    pub config: PathBuf,
    /// The arm's name: the method, and the values of varied options.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// Where its system comes from.
    pub source: Source,
    /// The settings that it changes, as `--set` takes them.
    pub sets: Vec<String>,
    /// The values of varied options, by key, for heat maps.
    pub varied: BTreeMap<String, String>,
}

impl Cell {
    /// The folder of the run below the study's folder. Two arms never share one, because what a
    /// file name cannot hold is written as its code.
    pub fn folder(&self) -> PathBuf {
        let arm: String = self
            .arm
            .chars()
            .map(|c| match c {
                c if c.is_ascii_alphanumeric() || "-_.".contains(c) => c.to_string(),
                ' ' => "_".to_string(),
                c => format!("%{:x}", u32::from(c)),
            })
            .collect();
        ["cells", &self.experiment, &arm, &self.seed.to_string()].iter().collect()
    }

    /// The run's name in messages.
    pub fn label(&self) -> String {
        format!("{}, {}, seed {}", self.experiment, self.arm, self.seed)
    }

    /// Whether another run has to be finished first.
    pub fn waits(&self) -> bool {
        matches!(self.source, Source::PromptsOf { .. } | Source::Method { budget_of: Some(_), .. })
    }

    /// The arm whose run of the same experiment gives the budget.
    pub fn budget_arm(&self) -> Option<String> {
        let Source::Method { kind, budget_of: Some(of) } = &self.source else { return None };
        Some(self.arm.replacen(&format!("{}@{}", kind.name(), of.name()), of.name(), 1))
    }
}

/// Returns all runs of a study, experiment by experiment and seed by seed.
pub fn cells(study: &StudyFile) -> Vec<Cell> {
    study.experiment.iter().flat_map(of_experiment).collect()
}

fn of_experiment(experiment: &ExperimentSpec) -> Vec<Cell> {
    let seeds = experiment.seed_list().unwrap_or_default();
    let mut cells = Vec::new();
    for seed in seeds {
        let set = |sets: &mut Vec<String>, values: &BTreeMap<String, toml::Value>| {
            sets.extend(values.iter().map(|(key, value)| format!("{key}={value}")));
        };
        let base = || {
            let mut sets = Vec::new();
            set(&mut sets, &experiment.set);
            sets.push(format!("seed={seed}"));
            sets
        };
        let cell = |arm: String, source, sets, varied| Cell {
            experiment: experiment.name(),
            config: experiment.config.clone(),
            arm,
            seed,
            source,
            sets,
            varied,
        };
        for method in &experiment.methods {
            for varied in combinations(&experiment.vary) {
                let (source, more) = source(method);
                let mut sets = base();
                sets.extend(more);
                sets.extend(varied.iter().map(|(key, value)| format!("{key}={value}")));
                let shown: Vec<_> = varied.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let arm = [&[method.clone()][..], &shown].concat().join(" ");
                cells.push(cell(arm, source, sets, varied));
            }
        }
        for arm in &experiment.arm {
            let ArmSpec { name, method, set: values, prompts, prompts_of } = arm;
            let method = method.as_deref().unwrap_or("maspo");
            let (mut source, more) = source(method);
            let mut sets = base();
            sets.extend(more);
            set(&mut sets, values);
            if let Some(file) = prompts {
                source = Source::File(file.clone());
            }
            if let Some(other) = prompts_of {
                source = Source::PromptsOf { experiment: other.clone(), arm: method.to_string() };
            }
            cells.push(cell(name.clone(), source, sets, BTreeMap::new()));
        }
    }
    cells
}

/// Returns where the system of a method's run comes from, and the settings that say so.
fn source(method: &str) -> (Source, Vec<String>) {
    let (kind, of) = method.split_once('@').map_or((method, None), |(kind, of)| (kind, Some(of)));
    let kind = MethodKind::find(kind).expect("the methods of a study are checked when it is read");
    let budget_of = of.and_then(MethodKind::find);
    let mut sets = vec![format!("method=\"{}\"", kind.name())];
    if budget_of.is_some() {
        // As much as the budget allows.
        sets.extend(["methods.sweeps=10000", "methods.trials=10000"].map(str::to_string));
    }
    (Source::Method { kind, budget_of }, sets)
}

/// Returns every combination of the values, by key; one without values if nothing varies.
fn combinations(vary: &BTreeMap<String, Vec<toml::Value>>) -> Vec<BTreeMap<String, String>> {
    let mut all = vec![BTreeMap::new()];
    for (key, values) in vary {
        let with = |known: &BTreeMap<String, String>| -> Vec<BTreeMap<String, String>> {
            let one = |value: &toml::Value| {
                let mut known = known.clone();
                known.insert(key.clone(), value.to_string());
                known
            };
            values.iter().map(one).collect()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_written_out() {
        let text = r#"
            schema = 1
            name = "s"
            [[experiment]]
            config = "a.toml"
            seeds = [4]
            methods = ["maspo", "spo@maspo"]
            set = { "search.batch" = 2 }
            vary = { "search.beam" = [1, 2] }
            [[experiment.arm]]
            name = "local only"
            set = { "reward.global" = 0.0 }
            [[experiment.arm]]
            name = "ideal"
            prompts = "ideal.json"
        "#;
        let cells = cells(&toml::from_str(text).unwrap());
        let arms: Vec<&str> = cells.iter().map(|cell| cell.arm.as_str()).collect();
        assert_eq!(
            arms,
            [
                "maspo search.beam=1",
                "maspo search.beam=2",
                "spo@maspo search.beam=1",
                "spo@maspo search.beam=2",
                "local only",
                "ideal",
            ]
        );
        assert_eq!(cells[1].sets, ["search.batch=2", "seed=4", "method=\"maspo\"", "search.beam=2"]);
        assert_eq!(cells[3].budget_arm().as_deref(), Some("maspo search.beam=2"));
        assert!(cells[3].waits() && !cells[5].waits());
        assert_eq!(cells[1].folder(), ["cells", "a", "maspo_search.beam%3d2", "4"].iter().collect::<PathBuf>());
        assert!(cells[4].sets.contains(&"reward.global=0.0".to_string()), "{:?}", cells[4].sets);
        assert_eq!(cells[5].source, Source::File("ideal.json".into()));
    }
}
