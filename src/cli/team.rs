//! The team that a command runs: that of an experiment file with prompts, or that of a bundle, of a
//! finished run or of a folder of releases.

use super::output::print_message;
use super::settings::{ExperimentArgs, prompts};
use super::{CliError, Exit};
use crate::base::printable;
use crate::bundle::{Bundle, BundleError, Opened, open_bundle};
use crate::chat::ModelIdentity;
use crate::config::{ModelCheck, Settings, check_model};
use crate::engine::ModelSource;
use crate::rollout::{AnswerRule, Prompts};
use crate::run::TeamOf;
use std::io::Read;
use std::path::Path;

/// The team that was chosen.
pub(super) struct Chosen {
    pub(super) settings: Settings,
    prompts: Prompts,
    rule: AnswerRule,
    /// The model that the evidence of its bundle was measured on.
    measured_on: Option<ModelIdentity>,
}

impl Chosen {
    pub(super) fn team(&self) -> TeamOf<'_> {
        TeamOf { settings: &self.settings, prompts: self.prompts.clone(), rule: self.rule }
    }

    /// Compares the opened model with the one that the bundle's evidence was measured on.
    pub(super) fn check_model(&self, opened: &ModelIdentity, strictly: bool) -> Result<(), CliError> {
        let Some(measured) = self.measured_on.as_ref().filter(|measured| *measured != opened) else { return Ok(()) };
        let text = format!(
            "the bundle's evidence was measured on {} ({}), and this is {} ({}): its weights, their format or what \
             computes them differ",
            measured.name,
            measured.digest.short(),
            opened.name,
            opened.digest.short()
        );
        if strictly {
            return Err(CliError::bad_input(text));
        }
        print_message(format_args!("warning: {text}"));
        Ok(())
    }
}

/// Returns whether the path is meant to be a bundle, and not an experiment file.
pub(super) fn is_bundle(path: &Path) -> bool {
    if path.is_dir() {
        return true;
    }
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut head));
    read.is_ok() && head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// Loads the team that a command line names.
pub(super) fn choose(
    experiment: &ExperimentArgs,
    prompts_file: Option<&Path>,
    model: Option<&str>,
) -> Result<Chosen, CliError> {
    let path = &experiment.config;
    if is_bundle(path) {
        return of_bundle(experiment, prompts_file, model);
    }
    if model.is_some() {
        let message = "--model is for bundles; with an experiment file say `--set model.path=\"…\"`";
        return Err(CliError::bad_input(message));
    }
    let settings = experiment.load_team(ModelCheck::Files)?;
    let measured_on = match prompts_file {
        Some(file) if file != Path::new("seed") => match Opened::open(file) {
            Ok(Opened::Bundle(bundle)) => bundle.team.model.identity,
            // Faults are reported below.
            _ => None,
        },
        _ => None,
    };
    let prompts = prompts(&settings, prompts_file)?;
    Ok(Chosen { settings, prompts, rule: AnswerRule::Once, measured_on })
}

fn of_bundle(
    experiment: &ExperimentArgs,
    prompts_file: Option<&Path>,
    model: Option<&str>,
) -> Result<Chosen, CliError> {
    let path = &experiment.config;
    if prompts_file.is_some() || !experiment.set.is_empty() {
        let flag = if prompts_file.is_some() { "--prompts" } else { "--set" };
        let message = format!("{flag} belongs to an experiment file, and {} is a bundle", path.display());
        return Err(CliError::bad_input(message));
    }
    let bundle: Bundle = open_bundle(path).map_err(|error| bundle_error(&error))?;
    let Some(source) = model.or(bundle.team.model.source.as_deref()) else {
        return Err(CliError::bad_input(format!(
            "the model of {} is behind a server, which a bundle does not name: run it as `maspo run CONFIG --prompts \
             {}`, or give a local --model",
            path.display(),
            path.display()
        )));
    };
    let parsed = ModelSource::parse(source).map_err(CliError::bad_input)?;
    let whose = if model.is_some() { "--model" } else { "the model of the bundle" };
    let hint = if model.is_some() { "" } else { "; say where it is now with --model" };
    check_model(&parsed).map_err(|problem| CliError::bad_input(format!("{whose} {problem}{hint}")))?;
    let (_, prompts) = bundle.graph_with_prompts().map_err(CliError::bad_input)?;
    let settings = Settings::of_bundle(&bundle, path, parsed)
        .map_err(|problem| CliError::bad_input(format!("{}: {problem}", path.display())))?;
    let settings = experiment.applied(settings);
    Ok(Chosen { settings, prompts, rule: bundle.team.graph.rule, measured_on: bundle.team.model.identity })
}

/// Gives the error of a bundle its exit code. A bundle comes from others, so what the error repeats
/// of it is escaped.
pub(super) fn bundle_error(error: &BundleError) -> CliError {
    let exit = if error.is_environment() { Exit::Environment } else { Exit::BadInput };
    CliError::new(exit, printable(&error.to_string()))
}
