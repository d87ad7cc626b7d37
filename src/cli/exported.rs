//! Opens the team that is exported: that of a finished run, whose experiment file is read again for
//! its graph.

use super::CliError;
use super::show::journal_fault;
use crate::chat::ModelRole;
use crate::config::{ModelCheck, Settings};
use crate::export::Exported;
use crate::journal::{self, Record};
use crate::rollout::{AnswerRule, System};
use crate::search::SearchResult;
use clap::Parser;
use std::path::Path;

/// Returns the team that the finished run in `dir` ended with.
pub(super) fn open(dir: &Path) -> Result<Exported, CliError> {
    let fault = |problem: String| CliError::bad_input(format!("{}: {problem}", dir.display()));
    let record = journal::read(dir).map_err(|error| journal_fault(&error))?;
    let record = record.ok_or_else(|| fault("no run has begun there".to_string()))?;
    let result = SearchResult::from_events(&record.events).filter(|_| record.result.is_some());
    let result =
        result.ok_or_else(|| fault(format!("the run is not finished; go on with it:\n  {}", record.resume_command)))?;
    let settings = settings(&record).map_err(|error| error.of(&dir.display().to_string()))?;
    if settings.digest().to_string() != record.settings {
        return Err(fault(format!(
            "{} or its data have changed since the run, so its graph is not known any more",
            settings.file.display()
        )));
    }
    let system = match result.system {
        Some(system) => system,
        None => System::new(&settings.graph, &result.prompts, AnswerRule::Once),
    };
    Ok(Exported {
        name: settings.name.clone(),
        model: settings.model(ModelRole::Worker).name(),
        decoding: settings.model(ModelRole::Worker).decoding,
        system,
        summary_words: settings.options.rollout.summary_words,
        summary: settings.templates().summary.clone(),
    })
}

/// Reads the experiment of a run again, with the flags that it was started with.
fn settings(record: &Record) -> Result<Settings, CliError> {
    let arguments = std::iter::once("maspo".to_string()).chain(record.arguments.iter().cloned());
    let command = super::Args::try_parse_from(arguments).map(|args| args.command);
    match command {
        Ok(super::Command::Optimize(args)) => args.settings(ModelCheck::None),
        _ => Err(CliError::bad_input("it was made by another program than this `maspo optimize`")),
    }
}
