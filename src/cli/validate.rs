//! `maspo validate`: Check an experiment file and everything it names.

use super::output::{print, print_json};
use super::settings::ExperimentArgs;
use super::{CliError, Exit};
use crate::chat::ModelRole;
use crate::config::{ModelCheck, Settings};
use crate::graph::EdgeView;
use serde_json::json;

/// Check an experiment file and everything it names.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::Files)?;
    if args.experiment.json {
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
        .map(|role| (role.as_str().to_string(), settings.model(role).source.to_string().into()))
        .collect();
    json!({
        "schema": 1,
        "command": "validate",
        "name": settings.name,
        "seed": settings.seed,
        "agents": agents,
        "edges": edges,
        "models": models,
        "pool": settings.pool.len(),
        "train": settings.train.as_ref().map(Vec::len),
        "test": settings.test.as_ref().map(Vec::len),
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
        line(role.as_str(), settings.model(role).source.to_string());
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
    for (what, cases) in [("train", &settings.train), ("test", &settings.test)] {
        line(what, cases.as_ref().map_or("none".to_string(), |cases| format!("{} labelled cases", cases.len())));
    }
    text
}
