//! The study's plot as SVG: one row per arm, one dot per seed, and the mean with its interval over
//! seeds.

use crate::arms::{ARMS, Arm, JOINT};
use crate::results::{Record, of_arm};
use maspo::stats::mean_ci;
use std::fmt::Write;

const WIDTH: f64 = 890.0;
/// The x coordinates of accuracy 0 and 1.
const LEFT: f64 = 200.0;
const RIGHT: f64 = 680.0;
const TOP: f64 = 64.0;
const ROW: f64 = 40.0;
/// The font of all texts.
const FONT: &str = r#"font-family="system-ui, sans-serif" font-size="13""#;
/// The height within which the dots of one row are placed.
const BAND: f64 = 26.0;
const DOT: f64 = 3.0;

/// Draws the plot of all runs.
pub(crate) fn svg(records: &[Record]) -> String {
    let rows: Vec<(Arm, Vec<f64>)> = ARMS
        .into_iter()
        .map(|arm| (arm, of_arm(records, arm.key).values().map(|record| record.accuracy()).collect::<Vec<_>>()))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    let bottom = TOP + ROW * rows.len() as f64;
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").expect("writing to a string does not fail");
    line(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT} fill="#222">"##,
        height = bottom + 48.0
    ));
    line(r##"<rect width="100%" height="100%" fill="#fff"/>"##.into());
    line(format!(
        r##"<text x="{LEFT}" y="26" font-size="15" font-weight="600">Held-out accuracy of the final prompts</text>"##
    ));
    line(format!(r##"<text x="{LEFT}" y="46" fill="#666">a dot per seed; mean and 95 % interval over seeds</text>"##));
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let at = x(share);
        line(format!(r##"<path d="M{at:.1} {TOP}V{bottom}" stroke="#e4e4e4"/>"##));
        line(format!(
            r##"<text x="{at:.1}" y="{:.1}" text-anchor="middle" fill="#666">{share:.1}</text>"##,
            bottom + 18.0
        ));
    }
    for (at, (arm, values)) in rows.iter().enumerate() {
        row(arm, values, TOP + ROW * (at as f64 + 0.5), &mut line);
    }
    line("</svg>".into());
    out
}

fn row(arm: &Arm, values: &[f64], y: f64, line: &mut impl FnMut(String)) {
    let color = match arm {
        arm if arm.key == JOINT.key => "#1b62b5",
        arm if arm.searches() => "#7d6b4f",
        _ => "#8a8a8a",
    };
    let weight = if arm.key == JOINT.key { "600" } else { "400" };
    let text_y = y + 4.5;
    line(format!(
        r##"<text x="{:.1}" y="{text_y:.1}" text-anchor="end" font-weight="{weight}">{}</text>"##,
        LEFT - 16.0,
        arm.title
    ));
    for (value, offset) in swarm(values) {
        line(format!(
            r##"<circle cx="{:.1}" cy="{:.1}" r="{DOT}" fill="{color}" fill-opacity="0.35"/>"##,
            x(value),
            y + offset
        ));
    }
    let Some(mean) = mean_ci(values) else { return };
    // Without a search there is no spread over seeds.
    let spread = arm.searches() && mean.n > 1;
    let (low, high) = (x(mean.ci95.0.clamp(0.0, 1.0)), x(mean.ci95.1.clamp(0.0, 1.0)));
    line(format!(r##"<path d="M{low:.1} {y:.1}H{high:.1}" stroke="{color}" stroke-width="2.5"/>"##));
    let at = x(mean.mean);
    line(format!(
        r##"<path d="M{at:.1} {:.1}V{:.1}" stroke="{color}" stroke-width="3.5"/>"##,
        y - BAND / 2.0 + 2.0,
        y + BAND / 2.0 - 2.0
    ));
    let interval = if spread { format!(" [{:.2}, {:.2}]", mean.ci95.0, mean.ci95.1) } else { String::new() };
    line(format!(
        r##"<text x="{:.1}" y="{text_y:.1}" font-weight="{weight}">{:.3}{interval} n={}</text>"##,
        RIGHT + 16.0,
        mean.mean,
        mean.n
    ));
}

fn x(share: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * share
}

/// Returns the values with vertical offsets at which no two dots overlap, as far as the band
/// allows.
fn swarm(values: &[f64]) -> Vec<(f64, f64)> {
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
