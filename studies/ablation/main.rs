//! The ablation study of the triage world: paired seeds, one model in all roles, and the held-out
//! accuracy of the prompts that each arm of the search ends with. `run` adds finished runs to a
//! results file, and `report` writes the table and the plot from it.
//!
//! `cargo run --release --example study -- run --seeds 1..20`

mod arms;
mod plot;
mod results;
mod run;
mod table;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail, ensure};
use arms::{ARMS, Arm};
use clap::{Parser, Subcommand};
use futures::executor::block_on;
use maspo::chat::{ChatModel, ModelRole};
use maspo::config::{ModelPlace, Settings};
use maspo::local::LocalModel;
use maspo::study::Memo;
use results::Results;
use run::Study;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ablation study of the triage world.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make every run that the results file lacks.
    Run {
        /// Seeds, first and last.
        #[arg(long, default_value = "1..20", value_parser = seeds)]
        seeds: RangeInclusive<u64>,
        /// Arms, separated by commas; all when absent.
        #[arg(long, value_delimiter = ',')]
        arms: Vec<Arm>,
        /// The experiment file.
        #[arg(long, default_value = "configs/triage.toml")]
        config: PathBuf,
        /// Change one setting for all arms; may be repeated.
        #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
        sets: Vec<String>,
        /// The ideal prompts, by agent.
        #[arg(long, default_value = "models/triage/ideal-prompts.json")]
        ideal: PathBuf,
        /// The results file: one JSON line per finished run; runs that it holds are not repeated.
        #[arg(long, default_value = "docs/ablation-triage.jsonl")]
        results: PathBuf,
        /// Runs in flight at once.
        #[arg(long, default_value_t = 4)]
        in_flight: usize,
    },
    /// Write the table into a Markdown file, and the plot beside it.
    Report {
        /// The results file.
        #[arg(long, default_value = "docs/ablation-triage.jsonl")]
        results: PathBuf,
        /// The Markdown file; text outside its table is kept.
        #[arg(long, default_value = "docs/ablation-triage.md")]
        out: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Run { seeds, arms, config, sets, ideal, results, in_flight } => {
            let settings = run::settings(&config, &sets)?;
            let memo = Arc::new(Memo::new(open(&settings)?));
            let study = Study { config, sets, ideal, memo, in_flight: in_flight.max(1) };
            let arms = if arms.is_empty() { ARMS.to_vec() } else { arms };
            let seeds: Vec<_> = seeds.collect();
            block_on(study.run(&seeds, &arms, &mut Results::open(&results)?, |line| eprintln!("{line}")))
        }
        Command::Report { results, out } => report(&Results::read(&results)?, &out),
    }
}

/// Opens the one model that plays every role.
fn open(settings: &Settings) -> anyhow::Result<Arc<dyn ChatModel>> {
    let spec = settings.model(ModelRole::Worker);
    ensure!(ModelRole::ALL.iter().all(|role| settings.model(*role) == spec), "the study has one model in all roles");
    let ModelPlace::Local(source) = &spec.place else { bail!("the study's model runs in this process") };
    Ok(Arc::new(LocalModel::open(source, &settings.engine, spec.dtype, spec.thinking)?))
}

/// Writes the Markdown file with its table, and the plot of the same name.
fn report(records: &[results::Record], out: &Path) -> anyhow::Result<()> {
    let plot = out.with_extension("svg");
    let name = plot.file_name().context("the note needs a file name")?.to_string_lossy().into_owned();
    let old = if out.exists() { std::fs::read_to_string(out)? } else { String::new() };
    std::fs::write(&plot, plot::svg(records))?;
    std::fs::write(out, table::into_note(&old, &table::markdown(records, &name)))?;
    eprintln!("{} and {} from {} runs", out.display(), plot.display(), records.len());
    Ok(())
}

/// Parses `FIRST..LAST`, both included, or one seed.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("`{text}`: {error}"));
    Ok(number(first)?..=number(last)?)
}
