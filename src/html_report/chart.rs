//! The search over tokens and time: the best score of every agent, and the accuracy at both ends.

use super::input::Run;
use super::numbers::{share, short, signed};
use super::svg::{SERIES, Svg};
use super::visible::name;
use crate::search::{Event, Ranked};
use minijinja::{Value, context};

const LEFT: f64 = 44.0;
const RIGHT: f64 = 348.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 150.0;
/// The panel of the accuracies.
const LOWER: (f64, f64) = (196.0, 266.0);

/// The best score J of an agent after an event.
struct Point {
    x: f64,
    agent: usize,
    score: f64,
}

/// The charts that the run allows, each with a title.
pub(super) fn view(run: &Run<'_>) -> Vec<Value> {
    let has_spent = !run.record.spent.is_empty();
    let axes: &[(&str, &str, Axis)] = if has_spent {
        &[("Over tokens", "tokens of all roles", Axis::Tokens), ("Over time", "seconds", Axis::Seconds)]
    } else {
        &[("Over steps", "events of the search", Axis::Steps)]
    };
    let chart = |(title, unit, axis): &(&str, &str, Axis)| {
        Some(context! { title => *title, picture => picture(run, unit, *axis)? })
    };
    axes.iter().filter_map(chart).collect()
}

/// The names of the series, in the order of their marks.
pub(super) fn legend(run: &Run<'_>) -> Vec<Value> {
    let Some(result) = &run.result else { return Vec::new() };
    let entry = |(at, agent): (usize, &crate::base::AgentId)| {
        let mut svg = Svg::new((28.0, 12.0), "swatch", "");
        svg.line(&format!("curve s{}", at % SERIES), (1.0, 6.0), (27.0, 6.0));
        svg.mark(at, (14.0, 6.0));
        context! { name => name(&result.agents[agent.0]), swatch => svg.end() }
    };
    result.optimized.iter().enumerate().map(entry).collect()
}

#[derive(Clone, Copy)]
enum Axis {
    Tokens,
    Seconds,
    Steps,
}

fn points(run: &Run<'_>, axis: Axis) -> Vec<Point> {
    let Some(result) = &run.result else { return Vec::new() };
    let mut x = 0.0;
    let begin = run.record.events.iter().rposition(|event| matches!(event, Event::Started(_))).unwrap_or(0);
    let mut points: Vec<Point> =
        result.optimized.iter().map(|agent| Point { x: 0.0, agent: agent.0, score: 0.0 }).collect();
    for (number, event) in run.record.events.iter().enumerate().skip(begin) {
        let spent = run.record.spent.get(&(number as u64));
        x = match (axis, spent) {
            (Axis::Tokens, Some(spent)) => spent.tokens.iter().sum::<u64>() as f64,
            (Axis::Seconds, Some(spent)) => spent.seconds,
            (Axis::Steps, _) => (number - begin) as f64,
            (_, None) => x,
        };
        let first = |beam: &[Ranked]| beam.first().map(|ranked| ranked.score);
        let (agent, score) = match event {
            Event::Step(step) => (step.agent, first(&step.beam)),
            Event::Refreshed(refreshed) if refreshed.applied => (refreshed.agent, first(&refreshed.after)),
            _ => continue,
        };
        points.extend(score.filter(|score| score.is_finite()).map(|score| Point { x, agent: agent.0, score }));
    }
    points
}

fn picture(run: &Run<'_>, unit: &str, axis: Axis) -> Option<Value> {
    let result = run.result.as_ref()?;
    let points = points(run, axis);
    let most = points.iter().map(|point| point.x).fold(0.0_f64, f64::max);
    if points.len() <= result.optimized.len() || most <= 0.0 {
        return None;
    }
    let scores = points.iter().map(|point| point.score);
    let (low, high) = scores.fold((0.0_f64, 0.25_f64), |(low, high), score| (low.min(score), high.max(score)));
    let x = |value: f64| LEFT + (RIGHT - LEFT) * value / most;
    let y = |score: f64| BOTTOM - (BOTTOM - TOP) * (score - low) / (high - low);
    let accuracies = run.report.as_ref().and_then(|report| Some((report.seed_accuracy?, report.optimized_accuracy?)));
    let height = if accuracies.is_some() { 306.0 } else { 190.0 };
    let label = format!("The best score of every agent over {unit}, up to {}", short(most));
    let mut svg = Svg::new((360.0, height), "chart", &label);
    svg.text("title", (LEFT, 10.0), "start", "best score J");
    for tick in 0..=3 {
        let score = low + (high - low) * f64::from(tick) / 3.0;
        svg.line("grid", (LEFT, y(score)), (RIGHT, y(score)));
        svg.text("axis", (LEFT - 5.0, y(score) + 3.5), "end", &signed(score)[..5]);
    }
    ticks(&mut svg, BOTTOM, most, x);
    for (at, agent) in result.optimized.iter().enumerate() {
        let own: Vec<&Point> = points.iter().filter(|point| point.agent == agent.0).collect();
        let mut data = String::new();
        for point in &own {
            let (px, py) = (x(point.x), y(point.score));
            // A score holds until the next event of the agent.
            data += &if data.is_empty() { format!("M{px:.1} {py:.1}") } else { format!("H{px:.1}V{py:.1}") };
        }
        data += &format!("H{RIGHT:.1}");
        svg.path(&format!("curve s{}", at % SERIES), &data);
        own.iter().skip(1).for_each(|point| svg.mark(at, (x(point.x), y(point.score))));
    }
    let Some((seed, optimized)) = accuracies else {
        svg.text("axis", (RIGHT, BOTTOM + 32.0), "end", unit);
        return Some(svg.end());
    };
    let y = |share: f64| LOWER.1 - (LOWER.1 - LOWER.0) * share.clamp(0.0, 1.0);
    svg.text("title", (LEFT, LOWER.0 - 6.0), "start", "held-out accuracy, with 95 % intervals");
    for share in [0.0, 0.5, 1.0] {
        svg.line("grid", (LEFT, y(share)), (RIGHT, y(share)));
        svg.text("axis", (LEFT - 5.0, y(share) + 3.5), "end", &format!("{share:.1}"));
    }
    ticks(&mut svg, LOWER.1, most, x);
    svg.line("between", (LEFT, y(seed.accuracy)), (RIGHT, y(optimized.accuracy)));
    for (at, accuracy, anchor, shift) in [(LEFT, seed, "start", 7.0), (RIGHT, optimized, "end", -7.0)] {
        svg.line("range s0", (at, y(accuracy.ci95.0)), (at, y(accuracy.ci95.1)));
        svg.mark(0, (at, y(accuracy.accuracy)));
        svg.text("value", (at + shift, y(accuracy.accuracy) - 6.0), anchor, &share(accuracy.accuracy));
    }
    svg.text("axis", (RIGHT, LOWER.1 + 32.0), "end", unit);
    Some(svg.end())
}

fn ticks(svg: &mut Svg, bottom: f64, most: f64, x: impl Fn(f64) -> f64) {
    for tick in 0..=3 {
        let value = most * f64::from(tick) / 3.0;
        let anchor = ["start", "middle", "middle", "end"][tick as usize];
        svg.text("axis", (x(value), bottom + 15.0), anchor, &short(value.round()));
    }
}
