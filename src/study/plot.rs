//! The plots of a study as SVG: accuracy per arm, accuracy against tokens, and a heat map where two
//! options are varied.

use super::tables::{ArmReport, ExperimentReport, SEED_ARM, StudyReport};
use std::collections::BTreeSet;
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 260.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 64.0;
const ROW: f64 = 36.0;
const DOT: f64 = 3.0;
/// The height within which the dots of one row are placed.
const BAND: f64 = 24.0;
const BASE_COLOR: &str = "#1b62b5";
const COLOR: &str = "#7d6b4f";
const UNRANKED_COLOR: &str = "#9a9a9a";

/// Returns all plots with their file names.
pub(super) fn all(report: &StudyReport) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for experiment in &report.experiments {
        let name = &experiment.experiment;
        plots.push((format!("{name}-accuracy.svg"), accuracy(experiment, &report.baseline)));
        plots.push((format!("{name}-tokens.svg"), tokens(experiment, &report.baseline)));
        plots.extend(heat(experiment).map(|svg| (format!("{name}-heat.svg"), svg)));
    }
    plots
}

/// An SVG that is being written.
struct Svg(String);

impl Svg {
    fn new(height: f64, title: &str, subtitle: &str) -> Self {
        let mut svg = Self(String::new());
        svg.line(format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" fill="#222">"##
        ));
        svg.line(r##"<rect width="100%" height="100%" fill="#fff"/>"##.to_string());
        svg.line(format!(r##"<text x="{LEFT}" y="26" font-size="15" font-weight="600">{}</text>"##, escaped(title)));
        svg.line(format!(r##"<text x="{LEFT}" y="46" fill="#666">{}</text>"##, escaped(subtitle)));
        svg
    }

    fn line(&mut self, text: String) {
        writeln!(self.0, "{text}").expect("writing to a string does not fail");
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, color: &str, text: &str) {
        self.line(format!(
            r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{color}">{}</text>"##,
            escaped(text)
        ));
    }

    fn end(mut self) -> String {
        self.line("</svg>".to_string());
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn color(arm: &ArmReport, baseline: &str) -> &'static str {
    match arm {
        arm if arm.unranked.is_some() => UNRANKED_COLOR,
        arm if arm.arm == baseline => BASE_COLOR,
        _ => COLOR,
    }
}

fn mean(arm: &ArmReport) -> f64 {
    arm.accuracy.map_or(0.0, |interval| interval.mean)
}

/// The interval over seeds or, for a single seed or equal runs, that of the cases.
fn interval(arm: &ArmReport) -> (f64, f64) {
    let over_seeds = arm.accuracy.filter(|interval| interval.ci95.0 < interval.ci95.1).map(|interval| interval.ci95);
    over_seeds.unwrap_or(arm.wilson)
}

fn accuracy(experiment: &ExperimentReport, baseline: &str) -> String {
    let bottom = TOP + ROW * experiment.arms.len() as f64;
    let x = |share: f64| LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0);
    let title = format!("Accuracy, {}", experiment.experiment);
    let mut svg = Svg::new(bottom + 48.0, &title, "a dot per seed; mean and 95 % interval; grey is not ranked");
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        svg.line(format!(r##"<path d="M{:.1} {TOP}V{bottom}" stroke="#e4e4e4"/>"##, x(share)));
        svg.text((x(share), bottom + 18.0), "middle", "#666", &format!("{share:.1}"));
    }
    for (at, arm) in experiment.arms.iter().enumerate() {
        let y = TOP + ROW * (at as f64 + 0.5);
        let color = color(arm, baseline);
        svg.text((LEFT - 14.0, y + 4.5), "end", "#222", &arm.arm);
        for (value, offset) in swarm(&arm.accuracies, x) {
            svg.line(format!(
                r##"<circle cx="{:.1}" cy="{:.1}" r="{DOT}" fill="{color}" fill-opacity="0.35"/>"##,
                x(value),
                y + offset
            ));
        }
        let (low, high) = interval(arm);
        svg.line(format!(r##"<path d="M{:.1} {y:.1}H{:.1}" stroke="{color}" stroke-width="2.5"/>"##, x(low), x(high)));
        let (from, to) = (y - BAND / 2.0 + 2.0, y + BAND / 2.0 - 2.0);
        svg.line(format!(
            r##"<path d="M{:.1} {from:.1}V{to:.1}" stroke="{color}" stroke-width="3.5"/>"##,
            x(mean(arm))
        ));
        let text = format!("{:.3} [{low:.2}, {high:.2}] n={}", mean(arm), arm.accuracies.len());
        svg.text((RIGHT + 14.0, y + 4.5), "start", "#222", &text);
    }
    svg.end()
}

/// Returns the values with vertical offsets at which no two dots overlap, as far as the band
/// allows.
fn swarm(values: &[f64], x: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut lanes: Vec<f64> = Vec::new();
    let mut placed = Vec::new();
    for value in sorted {
        let at = x(value);
        let free = lanes.iter().position(|last| at - last >= 2.0 * DOT);
        let lane = free.unwrap_or_else(|| {
            lanes.push(at);
            lanes.len() - 1
        });
        lanes[lane] = at;
        placed.push((value, lane));
    }
    let pitch = (2.0 * DOT).min(BAND / lanes.len().max(1) as f64);
    let offset = |lane: usize| {
        let steps = lane.div_ceil(2) as f64;
        if lane.is_multiple_of(2) { steps * pitch } else { -steps * pitch }
    };
    placed.into_iter().map(|(value, lane)| (value, offset(lane))).collect()
}

/// Accuracy against the tokens that a run takes before its evaluation, on a logarithmic axis. What
/// takes none is at the left end.
fn tokens(experiment: &ExperimentReport, baseline: &str) -> String {
    const BOTTOM: f64 = 420.0;
    let (left, right) = (90.0, 700.0);
    let taken = experiment.arms.iter().map(|arm| arm.tokens).filter(|tokens| *tokens > 0.0);
    let (least, most) = taken.fold((f64::INFINITY, 0.0_f64), |(low, high), tokens| (low.min(tokens), high.max(tokens)));
    let (first, last) = match most > 0.0 {
        true => ((least.log10() - 0.3).floor(), most.log10().ceil().max(least.log10().floor() + 1.0)),
        false => (0.0, 1.0),
    };
    let x = |tokens: f64| match tokens > 0.0 {
        true => left + 30.0 + (right - left - 30.0) * (tokens.log10() - first) / (last - first),
        false => left,
    };
    let y = |share: f64| BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0);
    let title = format!("Accuracy against tokens, {}", experiment.experiment);
    let mut svg = Svg::new(BOTTOM + 54.0, &title, "tokens of all roles before the evaluation; mean and 95 % interval");
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        svg.line(format!(r##"<path d="M{left} {:.1}H{right}" stroke="#e4e4e4"/>"##, y(share)));
        svg.text((left - 10.0, y(share) + 4.5), "end", "#666", &format!("{share:.1}"));
    }
    svg.text((left, BOTTOM + 20.0), "middle", "#666", "0");
    for power in first as i32..=last as i32 {
        let at = x(10_f64.powi(power));
        svg.line(format!(r##"<path d="M{at:.1} {TOP}V{BOTTOM}" stroke="#f0f0f0"/>"##));
        svg.text((at, BOTTOM + 20.0), "middle", "#666", &format!("1e{power}"));
    }
    for arm in &experiment.arms {
        let (color, at) = (color(arm, baseline), (x(arm.tokens), y(mean(arm))));
        let (low, high) = interval(arm);
        svg.line(format!(
            r##"<path d="M{:.1} {:.1}V{:.1}" stroke="{color}" stroke-width="1.5"/>"##,
            at.0,
            y(low),
            y(high)
        ));
        svg.line(format!(r##"<circle cx="{:.1}" cy="{:.1}" r="4.5" fill="{color}"/>"##, at.0, at.1));
        svg.text((at.0 + 8.0, at.1 - 6.0), "start", "#222", &arm.arm);
    }
    svg.end()
}

/// The mean accuracy over two varied options; `None` if not exactly two are varied.
fn heat(experiment: &ExperimentReport) -> Option<String> {
    const SIDE: f64 = 64.0;
    let arms: Vec<&ArmReport> =
        experiment.arms.iter().filter(|arm| arm.varied.len() == 2 && arm.arm != SEED_ARM).collect();
    let keys: Vec<&String> = arms.first()?.varied.keys().collect();
    let method = &arms[0].method;
    let same = |arm: &&ArmReport| arm.method == *method && arm.varied.keys().eq(keys.iter().copied());
    let arms: Vec<&ArmReport> = arms.iter().copied().filter(same).collect();
    let values = |key: &str| -> Vec<String> {
        let distinct: BTreeSet<String> = arms.iter().map(|arm| arm.varied[key].clone()).collect();
        let mut values: Vec<String> = distinct.into_iter().collect();
        let number = |text: &String| text.parse::<f64>().unwrap_or(f64::MAX);
        values.sort_by(|one, other| number(one).total_cmp(&number(other)));
        values
    };
    let (across, down) = (values(keys[0]), values(keys[1]));
    let means: Vec<f64> = arms.iter().map(|arm| mean(arm)).collect();
    let (low, high) = means.iter().fold((1.0_f64, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
    let title = format!("Accuracy of {method}, {}", experiment.experiment);
    let subtitle = format!("{} to the right, {} downwards; mean over seeds", keys[0], keys[1]);
    let height = TOP + 40.0 + SIDE * down.len() as f64;
    let mut svg = Svg::new(height, &title, &subtitle);
    for (column, value) in across.iter().enumerate() {
        svg.text((LEFT + SIDE * (column as f64 + 0.5), TOP + 14.0), "middle", "#666", value);
    }
    for (row, value) in down.iter().enumerate() {
        svg.text((LEFT - 10.0, TOP + 20.0 + SIDE * (row as f64 + 0.55)), "end", "#666", value);
    }
    for arm in arms {
        let place = |values: &[String], key: &String| values.iter().position(|value| *value == arm.varied[key]);
        let (column, row) = (place(&across, keys[0])? as f64, place(&down, keys[1])? as f64);
        let share = if high > low { (mean(arm) - low) / (high - low) } else { 0.5 };
        let (x, y) = (LEFT + SIDE * column, TOP + 20.0 + SIDE * row);
        // From a pale to a strong blue.
        let channel = |pale: f64, strong: f64| (pale + (strong - pale) * share).round();
        let (red, green, blue) = (channel(238.0, 27.0), channel(243.0, 98.0), channel(250.0, 181.0));
        svg.line(format!(
            r##"<rect x="{x:.1}" y="{y:.1}" width="{SIDE}" height="{SIDE}" fill="rgb({red},{green},{blue})" stroke="#fff"/>"##
        ));
        let ink = if share > 0.6 { "#fff" } else { "#222" };
        svg.text((x + SIDE / 2.0, y + SIDE / 2.0 + 4.5), "middle", ink, &format!("{:.3}", mean(arm)));
    }
    Some(svg.end())
}
