//! `maspo validate`: Check an experiment file and everything it names.

use super::output::{print, print_json};
use super::settings::ExperimentArgs;
use super::{CliError, Exit};
use crate::chat::ModelRole;
use crate::config::{Excluded, ModelCheck, Settings, TemplateNames};
use crate::graph::EdgeView;
use serde_json::json;

/// Check an experiment file and everything it names.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Print the experiment as one TOML file: merged with what it extends and with `--set`, its
    /// paths right for a file beside it.
    #[arg(long, conflicts_with = "json")]
    merged: bool,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::Files)?;
    if args.merged {
        print(args.experiment.merged()?)?;
    } else if args.experiment.json {
        print_json(&facts(&settings))?;
    } else {
        print(summary(&settings))?;
    }
    Ok(Exit::Ok)
}

fn facts(settings: &Settings) -> serde_json::Value {
    let graph = &settings.graph;
    let agents: Vec<_> =
        graph.agents().iter().map(|agent| json!({"name": agent.name, "optimize": agent.optimize})).collect();
    let edges: Vec<_> = edges(settings).map(|(from, to, view)| json!({"from": from, "to": to, "view": view})).collect();
    let models: serde_json::Map<_, _> = ModelRole::ALL
        .into_iter()
        .map(|role| (role.as_str().to_string(), settings.model(role).to_string().into()))
        .collect();
    let more_judges: Vec<_> = settings.more_judges().iter().map(ToString::to_string).collect();
    json!({
        "schema": 1,
        "command": "validate",
        "name": settings.name,
        "seed": settings.seed,
        "agents": agents,
        "edges": edges,
        "models": models,
        "more_judges": more_judges,
        "pool": settings.pool.len(),
        "train": settings.train.as_ref().map(Vec::len),
        "test": settings.test.as_ref().map(Vec::len),
        "excluded": {"train": settings.excluded.train, "test": settings.excluded.test},
        "private": settings.private,
        "templates": {
            "optimizer": settings.template_names.optimizer,
            "judge": settings.template_names.judge,
            "summary": settings.template_names.summary,
            "task": settings.template_names.task,
        },
        "scorer": settings.scorer,
        "digest": settings.digest(),
        "warnings": settings.warnings,
    })
}

fn edges(settings: &Settings) -> impl Iterator<Item = (&str, &str, EdgeView)> {
    let graph = &settings.graph;
    let name = |id| graph.agent(id).name.as_str();
    graph.edges().iter().map(move |edge| (name(edge.from), name(edge.to), edge.view))
}

fn summary(settings: &Settings) -> String {
    let mut text = format!("{}: sound\n\n", settings.file.display());
    let mut line = |what: &str, facts: String| text.push_str(&format!("{what:<9} {facts}\n"));
    line("name", format!("{} (seed {}, settings {})", settings.name, settings.seed.0, settings.digest().short()));
    for role in ModelRole::ALL {
        line(role.as_str(), settings.model(role).to_string());
    }
    for spec in settings.more_judges() {
        line("judge", spec.to_string());
    }
    let agent = |agent: &crate::graph::Agent| match agent.optimize {
        true => agent.name.clone(),
        false => format!("{} (not optimized)", agent.name),
    };
    let agents: Vec<_> = settings.graph.agents().iter().map(agent).collect();
    line("agents", agents.join(", "));
    let edge = |(from, to, view): (&str, &str, EdgeView)| match view {
        EdgeView::Raw => format!("{from} -> {to}"),
        EdgeView::Extracted => format!("{from} -> {to} (extracted)"),
        EdgeView::Summary => format!("{from} -> {to} (summary)"),
    };
    let edges: Vec<_> = edges(settings).map(edge).collect();
    line("edges", if edges.is_empty() { "none".to_string() } else { edges.join(", ") });
    line("pool", format!("{} queries", settings.pool.len()));
    let Excluded { train, test } = settings.excluded;
    for (what, cases, excluded) in [("train", &settings.train, train), ("test", &settings.test, test)] {
        let cases = cases.as_ref().map_or("none".to_string(), |cases| format!("{} labelled cases", cases.len()));
        let more = if excluded == 0 { String::new() } else { format!(" ({excluded} more are in the pool)") };
        line(what, format!("{cases}{more}"));
    }
    if settings.private {
        line("private", "yes: no row is printed or put into a report".to_string());
    }
    line("templates", templates(&settings.template_names));
    text
}

/// Returns the template sets in words: one, or one for each request.
fn templates(names: &TemplateNames) -> String {
    let TemplateNames { optimizer, judge, summary, task } = names;
    let sets = if optimizer == judge && judge == summary {
        optimizer.clone()
    } else {
        format!("{optimizer} (optimizer), {judge} (judge), {summary} (summary)")
    };
    match task {
        Some(task) => format!("{sets}, task {task}"),
        None => format!("{sets}, no task preset"),
    }
}
