//! The team as a picture: agents from the top down, edges between them, and what each change was
//! worth.

use super::agents::worth;
use super::input::Run;
use super::numbers::signed;
use super::svg::Svg;
use super::visible::name;
use crate::base::AgentId;
use crate::graph::{EdgeView, Graph};
use minijinja::Value;

const BOX: (f64, f64) = (150.0, 48.0);
const GAP: (f64, f64) = (20.0, 44.0);
/// The most characters of a name in a box.
const LETTERS: usize = 18;

/// Returns the picture, or nothing if the edges are not known.
pub(super) fn picture(run: &Run<'_>) -> Value {
    let Some(graph) = &run.graph else { return Value::from(()) };
    let layers = layers(graph);
    let widest = layers.iter().map(Vec::len).max().unwrap_or(1) as f64;
    let width = widest * (BOX.0 + GAP.0) + GAP.0;
    let height = layers.len() as f64 * (BOX.1 + GAP.1) + 8.0;
    let mut places = vec![(0.0, 0.0); graph.agents().len()];
    for (depth, layer) in layers.iter().enumerate() {
        let span = layer.len() as f64 * (BOX.0 + GAP.0) - GAP.0;
        for (at, id) in layer.iter().enumerate() {
            places[id.0] = ((width - span) / 2.0 + at as f64 * (BOX.0 + GAP.0), 8.0 + depth as f64 * (BOX.1 + GAP.1));
        }
    }
    let names: Vec<String> = graph.agents().iter().map(|agent| name(&agent.name)).collect();
    let edges: Vec<String> =
        graph.edges().iter().map(|edge| format!("{} to {}", names[edge.from.0], names[edge.to.0])).collect();
    let label = format!("The team: {}. Edges: {}.", names.join(", "), edges.join(", "));
    let mut svg = Svg::new((width, height), "team", &label);
    for edge in graph.edges() {
        let (from, to) = (places[edge.from.0], places[edge.to.0]);
        let (x1, y1, x2, y2) = (from.0 + BOX.0 / 2.0, from.1 + BOX.1, to.0 + BOX.0 / 2.0, to.1 - 6.0);
        let middle = (y1 + y2) / 2.0;
        svg.path("edge", &format!("M{x1:.1} {y1:.1}C{x1:.1} {middle:.1} {x2:.1} {middle:.1} {x2:.1} {y2:.1}"));
        svg.path("arrow", &format!("M{:.1} {:.1}h8l-4 6z", x2 - 4.0, y2));
        let view = match edge.view {
            EdgeView::Raw => "whole text",
            EdgeView::Extracted => "answer only",
            EdgeView::Summary => "summary",
        };
        svg.text("axis", ((x1 + x2) / 2.0 + 8.0, middle + 3.0), "start", view);
    }
    for (at, (x, y)) in places.iter().enumerate() {
        let line = run.prompts.get(at);
        let changed = line.is_some_and(|line| line.before != line.after);
        svg.rect(if changed { "node changed" } else { "node" }, (*x, *y), BOX);
        let short: String = names[at].chars().take(LETTERS).collect();
        svg.text("name", (x + BOX.0 / 2.0, y + 20.0), "middle", &short);
        let worth = line.filter(|_| changed).and_then(|line| worth(run, &line.agent)).filter(|worth| worth.links > 0);
        let state = match (changed, worth) {
            (true, Some(worth)) => format!("changed, worth {}", signed(worth.value)),
            (true, None) => "changed".to_string(),
            (false, _) => "unchanged".to_string(),
        };
        svg.text("state", (x + BOX.0 / 2.0, y + 37.0), "middle", &state);
    }
    svg.end()
}

/// The agents by the length of the longest path that leads to them.
fn layers(graph: &Graph) -> Vec<Vec<AgentId>> {
    let mut depth = vec![0; graph.agents().len()];
    let mut layers: Vec<Vec<AgentId>> = Vec::new();
    for id in graph.order() {
        depth[id.0] = graph.incoming(*id).map(|edge| depth[edge.from.0] + 1).max().unwrap_or(0);
        if layers.len() <= depth[id.0] {
            layers.resize(depth[id.0] + 1, Vec::new());
        }
        layers[depth[id.0]].push(*id);
    }
    layers
}
