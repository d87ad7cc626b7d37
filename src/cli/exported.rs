//! Opens the team that is exported: that of a finished run, of a bundle, or of a folder of
//! releases.

use super::CliError;
use super::team::bundle_error;
use crate::bundle::open_bundle;
use crate::export::Exported;
use crate::rollout::System;
use std::path::Path;

/// Returns the team that the run in the folder `path` ended with, or that the bundle `path` holds.
pub(super) fn open(path: &Path) -> Result<Exported, CliError> {
    let bundle = open_bundle(path).map_err(|error| bundle_error(&error))?;
    let fault = |problem: String| CliError::bad_input(format!("{}: {problem}", path.display()));
    let (graph, prompts) = bundle.graph_with_prompts().map_err(fault)?;
    let team = bundle.team;
    let summary = team.summary_request().map_err(fault)?;
    let model = team.model.identity.map(|identity| identity.name).or(team.model.source);
    Ok(Exported {
        name: team.name,
        model: model.unwrap_or_else(|| "the model".to_string()),
        decoding: team.model.decoding,
        system: System::new(&graph, &prompts, team.graph.rule),
        summary_words: team.summary.words,
        summary,
    })
}
