//! Runs the study: every (seed, arm) that the results file lacks, seed by seed, several at once on
//! one model, and then the held-out accuracy of the final prompts. Only final prompts are scored on
//! the test set. This file knows no tables.

use crate::arms::{Arm, Source};
use crate::results::{Record, Results, Search, VERSION};
use anyhow::{Context, anyhow};
use futures::stream::{self, StreamExt};
use maspo::base::{Hasher, Stopwatch};
use maspo::chat::{ChatModel, ModelRole};
use maspo::config::{ModelCheck, Settings, load};
use maspo::graph::Graph;
use maspo::prompt::Template;
use maspo::rollout::Prompts;
use maspo::run::{Ignored, Optimizer, score};
use maspo::study::Memo;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The wordings of the trap clauses (`Clause::Brief` and `Clause::AtOnce` of
/// `models/triage/tools`).
const TRAPS: [&str; 6] =
    ["Be brief.", "Keep it short.", "Give only the gist.", "Answer at once.", "Answer right away.", "Skip the count."];

/// The inputs that all runs share.
pub(crate) struct Study {
    /// The experiment file.
    pub(crate) config: PathBuf,
    /// Settings changed for all arms.
    pub(crate) sets: Vec<String>,
    /// The ideal prompts, by agent.
    pub(crate) ideal: PathBuf,
    /// Worker, optimizer and judge.
    pub(crate) memo: Arc<Memo>,
    /// The number of runs in flight at once.
    pub(crate) in_flight: usize,
}

/// A run that has not been made yet.
struct Cell {
    seed: u64,
    arm: Arm,
    settings: Settings,
    /// The prompts, if the arm does not search.
    fixed: Option<Prompts>,
    record: Record,
}

/// Returns the settings of the experiment file with `sets`, or all of their faults.
pub(crate) fn settings(config: &std::path::Path, sets: &[String]) -> anyhow::Result<Settings> {
    load(config, sets, false, ModelCheck::None)
        .map_err(|errors| anyhow!(errors.iter().map(|error| format!("{error}\n")).collect::<String>()))
}

impl Study {
    /// Makes every run that `results` lacks. `note` is called with one line per finished run.
    pub(crate) async fn run(
        &self,
        seeds: &[u64],
        arms: &[Arm],
        results: &mut Results,
        note: impl Fn(&str),
    ) -> anyhow::Result<()> {
        let mut cells = Vec::new();
        for seed in seeds {
            for arm in arms {
                let cell = self.cell(*seed, *arm)?;
                if !results.has(*seed, *arm, cell.record.setup)? {
                    cells.push(cell);
                }
            }
        }
        let (all, present) = (seeds.len() * arms.len(), seeds.len() * arms.len() - cells.len());
        note(&format!("{present} of {all} runs are in the results file"));
        let mut searches = cells.iter().filter(|cell| cell.arm.searches()).count();
        let (watch, mut made, mut searched) = (Stopwatch::start(), present, 0);
        let mut runs = stream::iter(cells).map(|cell| self.make(cell)).buffer_unordered(self.in_flight);
        while let Some(record) = runs.next().await {
            let record = record?;
            made += 1;
            if record.search.is_some() {
                (searched, searches) = (searched + 1, searches - 1);
            }
            let left = watch.seconds() / f64::from(searched.max(1)) * searches as f64;
            let (asked, computed) = self.memo.counts();
            note(&format!(
                "{made}/{all} seed {} {}: {:.3}; {:.0} s, {asked} calls of which {computed} computed; {:.0} min left",
                record.seed,
                record.arm,
                record.accuracy(),
                watch.seconds(),
                left / 60.0,
            ));
            results.push(record)?;
        }
        Ok(())
    }

    /// Prepares one run.
    fn cell(&self, seed: u64, arm: Arm) -> anyhow::Result<Cell> {
        let mut sets = self.sets.clone();
        sets.push(format!("seed={seed}"));
        if let Source::Search(values) = arm.prompts {
            sets.extend(values.iter().map(|value| value.to_string()));
        }
        let settings = settings(&self.config, &sets)?;
        let fixed = match arm.prompts {
            Source::Seed => Some(Prompts::seed(&settings.graph)),
            Source::Ideal => Some(self.ideal_prompts(&settings.graph)?),
            Source::Search(_) => None,
        };
        let prompts = fixed.as_ref().map_or_else(BTreeMap::new, |prompts| by_name(&settings.graph, prompts));
        let identity = self.memo.identity();
        let mut hasher = Hasher::new("study");
        hasher.field(&identity.digest.0).field(&settings.digest().0);
        prompts.iter().for_each(|(name, text)| {
            hasher.field(name.as_bytes()).field(text.as_bytes());
        });
        let record = Record {
            version: VERSION,
            seed,
            arm: arm.key.to_string(),
            model: identity.name,
            setup: hasher.finish(),
            cases: settings.test.as_ref().map_or(0, Vec::len),
            correct: 0,
            search: None,
            prompts,
        };
        Ok(Cell { seed, arm, settings, fixed, record })
    }

    async fn make(&self, cell: Cell) -> anyhow::Result<Record> {
        let Cell { seed, arm, settings, fixed, mut record } = cell;
        let during = || format!("seed {seed} of `{}`", arm.key);
        let prompts = match fixed {
            Some(prompts) => prompts,
            None => {
                let (prompts, search) = self.search(&settings).await.with_context(during)?;
                record.search = Some(search);
                prompts
            }
        };
        record.correct = self.correct(&settings, &prompts).await.with_context(during)?;
        record.prompts = by_name(&settings.graph, &prompts);
        Ok(record)
    }

    async fn search(&self, settings: &Settings) -> anyhow::Result<(Prompts, Search)> {
        let watch = Stopwatch::start();
        let optimizer = Optimizer::of_settings(settings, ModelRole::ALL.map(|_| self.model()));
        let result = optimizer.search(&mut Ignored).await?;
        let seconds = watch.seconds();
        let check = result.final_check.context("a finished search has its final check")?;
        let bill = |role| optimizer.ledger().line(role).into();
        let search = Search {
            verdict: check.verdict,
            correct_before_check: self.correct(settings, &check.optimized).await?,
            trapped: trapped(&settings.graph, &check.optimized),
            judge: result.judge,
            worker: bill(ModelRole::Worker),
            optimizer: bill(ModelRole::Optimizer),
            judging: bill(ModelRole::Judge),
            seconds,
        };
        Ok((result.prompts, search))
    }

    /// Returns the number of test cases that `prompts` get right.
    async fn correct(&self, settings: &Settings, prompts: &Prompts) -> anyhow::Result<usize> {
        let cases = settings.test.as_deref().context("the experiment file names no test set")?;
        let scorer = settings.scorer.as_ref().context("the experiment file names no scorer")?;
        Ok(score(settings, self.model(), prompts, (cases, scorer)).await?.accuracy.correct)
    }

    /// Returns the one model, for any role.
    fn model(&self) -> Arc<dyn ChatModel> {
        self.memo.clone()
    }

    fn ideal_prompts(&self, graph: &Graph) -> anyhow::Result<Prompts> {
        let file = self.ideal.display().to_string();
        let text = std::fs::read_to_string(&self.ideal).with_context(|| file.clone())?;
        let texts: BTreeMap<String, String> = serde_json::from_str(&text).with_context(|| file.clone())?;
        let mut prompts = Prompts::seed(graph);
        for (id, _) in Prompts::seed(graph).iter() {
            let name = &graph.agent(id).name;
            let text = texts.get(name).with_context(|| format!("{file}: no prompt for the agent `{name}`"))?;
            prompts = prompts.with(id, Template::new(text));
        }
        Ok(prompts)
    }
}

fn by_name(graph: &Graph, prompts: &Prompts) -> BTreeMap<String, String> {
    prompts.iter().map(|(id, prompt)| (graph.agent(id).name.clone(), prompt.text().to_string())).collect()
}

fn trapped(graph: &Graph, prompts: &Prompts) -> Vec<String> {
    let caught = |text: &str| TRAPS.iter().any(|trap| text.contains(trap));
    let caught = prompts.iter().filter(|(_, prompt)| caught(prompt.text()));
    caught.map(|(id, _)| graph.agent(id).name.clone()).collect()
}
