//! The verdicts on labels: the ROC curve, precision over recall, the threshold, and what abstention
//! buys.

use super::input::Run;
use super::numbers::{counted, interval, share};
use super::svg::Svg;
use super::visible::name;
use crate::eval::{Covered, Rates, Roc, ThresholdReport, Verdicts};
use crate::report::{Estimate, VerdictFigures, VerdictThreshold};
use minijinja::{Value, context};

/// The most points of a drawn curve.
const MOST_POINTS: usize = 2_000;
/// The least distance of two drawn points, in pixels.
const APART: f64 = 0.5;
/// The most pieces that stand for a bent stretch of precision over recall.
const MOST_PIECES: usize = 64;

const SIZE: (f64, f64) = (360.0, 300.0);
const LEFT: f64 = 44.0;
const RIGHT: f64 = 348.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 258.0;

/// The verdicts' part of the page; `None` for a run without verdicts.
pub(super) fn view(run: &Run<'_>) -> Option<Value> {
    let figures = run.report.as_ref()?.verdicts.as_ref()?;
    let recorded = run.verdicts.as_ref();
    let threshold = recorded.and_then(|verdicts| verdicts.threshold.as_ref());
    Some(context! {
        rows => rows(figures, recorded),
        different => threshold.and_then(different),
        charts => recorded.map(charts),
        coverage => recorded.map(coverage),
        recorded => recorded.is_some(),
    })
}

fn estimate(estimate: &Estimate) -> String {
    format!("{} (95 % interval {})", share(estimate.value), interval(estimate.ci95))
}

fn rows(figures: &VerdictFigures, recorded: Option<&Verdicts>) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    let mut add = |title: &str, value: Option<String>| {
        rows.extend(value.map(|value| context! { name => title, value => value }));
    };
    let labels: Vec<String> = figures.positive.iter().map(|label| name(label)).collect();
    add("positive labels", (!labels.is_empty()).then(|| labels.join(", ")));
    let likeliest = |verdicts: &Verdicts| {
        let (right, of) = (share(verdicts.accuracy), interval(verdicts.ci95));
        format!("{right} (95 % interval {of}; {} of {})", verdicts.correct, counted(verdicts.n, "case", "cases"))
    };
    add("likeliest label right", recorded.map(likeliest));
    let kinds = recorded
        .and_then(|verdicts| verdicts.roc.as_ref())
        .map_or(String::new(), |roc| format!("; {} positive and {} negative cases", roc.positives, roc.negatives));
    add("area under the ROC curve", figures.roc_area.as_ref().map(|area| estimate(area) + &kinds));
    add("average precision", figures.average_precision.as_ref().map(estimate));
    add("threshold", figures.threshold.as_ref().map(VerdictThreshold::words));
    if let Some(threshold) = recorded.and_then(|verdicts| verdicts.threshold.as_ref()) {
        let chosen = threshold.above.is_some().then_some(&threshold.chosen);
        add("as a probability", threshold.above_probability.map(|probability| format!("above {probability:.4}")));
        add("on the cases that it was chosen on", chosen.map(rates));
        add("on the held-out cases", threshold.checked.as_ref().map(rates));
    }
    add("log loss", figures.log_loss.map(share));
    add("expected calibration error", figures.calibration_error.map(share));
    let area = recorded.and_then(|verdicts| verdicts.coverage.risk_area);
    add("area under risk over coverage", area.map(share));
    let forced = recorded.map_or(0, |verdicts| verdicts.forced);
    add("without a whole answer", (forced > 0).then(|| counted(forced, "case", "cases")));
    add("not scored", (figures.unread > 0).then(|| counted(figures.unread, "case", "cases")));
    rows
}

fn rates(rates: &Rates) -> String {
    let Rates { negatives, false_positives, fpr, fpr_bounds95: (_, upper), .. } = rates;
    let Rates { positives, true_positives, recall, recall_ci95, .. } = rates;
    format!(
        "{} false positives ({false_positives} of {negatives}, at most {} with 95 % confidence); finds {} \
         ({true_positives} of {positives}, 95 % interval {})",
        share(*fpr),
        share(*upper),
        share(*recall),
        interval(*recall_ci95)
    )
}

/// Whether the held-out cases contradict the threshold.
fn different(threshold: &ThresholdReport) -> Option<String> {
    let (lower, _) = threshold.checked?.fpr_bounds95;
    (lower > threshold.max_fpr).then(|| {
        format!(
            "There are more false positives than {}: the held-out cases are not like those that the threshold was \
             chosen on.",
            threshold.max_fpr
        )
    })
}

fn charts(verdicts: &Verdicts) -> Vec<Value> {
    let chart = |title: &str, (picture, says): (Value, String)| {
        context! { title => title, picture => picture, says => says }
    };
    let threshold = verdicts.threshold.as_ref();
    let mut charts = Vec::new();
    if let Some(roc) = &verdicts.roc {
        charts.push(chart("ROC curve", roc_picture(roc, threshold)));
        let area = verdicts.precision_recall.map(|of| Estimate { value: of.average_precision, ci95: of.ci95 });
        charts.push(chart("Precision over recall", precision_picture(roc, area, threshold)));
    }
    charts.extend(risk_picture(verdicts).map(|picture| chart("Risk over coverage", picture)));
    charts
}

fn x(share: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)
}

fn y(share: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0)
}

/// Begins a picture of two shares; the second one reaches up to `most`.
fn axes(label: &str, (across, up): (&str, &str), most: f64) -> Svg {
    let mut svg = Svg::new(SIZE, "chart", label);
    svg.text("title", (LEFT, 10.0), "start", up);
    for tick in 0..=4 {
        let part = f64::from(tick) / 4.0;
        svg.line("grid", (LEFT, y(part)), (RIGHT, y(part)));
        svg.line("grid", (x(part), TOP), (x(part), BOTTOM));
        svg.text("axis", (LEFT - 5.0, y(part) + 3.5), "end", &format!("{:.2}", part * most));
        svg.text("axis", (x(part), BOTTOM + 15.0), "middle", &format!("{part:.2}"));
    }
    svg.text("axis", (RIGHT, BOTTOM + 32.0), "end", across);
    svg
}

/// Marks what the threshold does to the held-out cases. Its name stands where the curve seldom is:
/// below, and left of the mark if `left`.
fn mark(svg: &mut Svg, at: (f64, f64), left: bool) {
    svg.mark(1, at);
    // The name takes some 60 pixels.
    let left = if left { at.0 > LEFT + 70.0 } else { at.0 > RIGHT - 70.0 };
    let (anchor, shift) = if left { ("end", -8.0) } else { ("start", 8.0) };
    svg.text("value", (at.0 + shift, (at.1 + 16.0).min(BOTTOM - 4.0)), anchor, "threshold");
}

fn roc_picture(roc: &Roc, threshold: Option<&ThresholdReport>) -> (Value, String) {
    let area = estimate(&Estimate { value: roc.auc, ci95: roc.ci95 });
    let label = format!("ROC curve: share of positive cases found over the rate of false positives, area {area}");
    let mut svg = axes(&label, ("rate of false positives", "share of positive cases found"), 1.0);
    svg.line("between", (x(0.0), y(0.0)), (x(1.0), y(1.0)));
    let mut says = format!("Area {area}. The dashed line is chance.");
    if let Some(threshold) = threshold {
        svg.line("zero", (x(threshold.max_fpr), TOP), (x(threshold.max_fpr), BOTTOM));
        says += &format!(" The upright line is the rate asked for, {}.", threshold.max_fpr);
    }
    let points = roc.points.iter().map(|point| (x(point.fpr), y(point.tpr)));
    svg.path("curve s0", &path([(x(0.0), y(0.0))].into_iter().chain(points)));
    if let Some(checked) = threshold.and_then(|threshold| threshold.checked) {
        mark(&mut svg, (x(checked.fpr), y(checked.recall)), false);
    }
    (svg.end(), says)
}

fn precision_picture(roc: &Roc, area: Option<Estimate>, threshold: Option<&ThresholdReport>) -> (Value, String) {
    let area = area.as_ref().map_or("not known".to_string(), estimate);
    let label = format!("Precision over recall, average precision {area}");
    let mut svg = axes(&label, ("recall: share of positive cases found", "precision"), 1.0);
    let all = roc.positives as f64 / (roc.positives + roc.negatives).max(1) as f64;
    svg.line("between", (x(0.0), y(all)), (x(1.0), y(all)));
    let points = precision_over_recall(roc);
    svg.path("curve s0", &path(points.into_iter().map(|(recall, precision)| (x(recall), y(precision)))));
    if let Some(Rates { true_positives, false_positives, recall, .. }) = threshold.and_then(|of| of.checked) {
        let called = true_positives + false_positives;
        if called > 0 {
            mark(&mut svg, (x(recall), y(true_positives as f64 / called as f64)), true);
        }
    }
    (svg.end(), format!("Average precision {area}. The dashed line is the share of positive cases."))
}

/// The points of precision over recall. Between two corners of the ROC curve both counts grow
/// evenly, so that precision bends.
fn precision_over_recall(roc: &Roc) -> Vec<(f64, f64)> {
    let (positives, negatives) = (roc.positives as f64, roc.negatives as f64);
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut last = (0.0, 0.0);
    for corner in &roc.points {
        let next = (corner.tpr.clamp(0.0, 1.0) * positives, corner.fpr.clamp(0.0, 1.0) * negatives);
        let found = (next.0 - last.0).abs();
        let pieces = (found.round() as usize).clamp(1, MOST_PIECES);
        for piece in 1..=pieces {
            let part = piece as f64 / pieces as f64;
            let (hits, misses) = (last.0 + part * (next.0 - last.0), last.1 + part * (next.1 - last.1));
            if hits + misses > 0.0 && positives > 0.0 {
                points.push((hits / positives, hits / (hits + misses)));
            }
        }
        last = next;
    }
    // The curve begins with no recall.
    let first = points.first().map(|(_, precision)| (0.0, *precision));
    first.into_iter().chain(points).collect()
}

fn risk_picture(verdicts: &Verdicts) -> Option<(Value, String)> {
    let points = &verdicts.coverage.points;
    let all = points.first()?;
    let label = format!(
        "The share of decided cases that are wrong, over the share that is decided: {} of all cases, {} at {} decided",
        share(all.risk),
        share(points.last()?.risk),
        share(points.last()?.coverage)
    );
    let own = verdicts.coverage.unsure_below.as_ref();
    let ends = points.iter().chain(own).map(|point| point.risk_ci95.1.clamp(0.0, 1.0));
    // One of a few round scales.
    let highest = ends.fold(0.0_f64, f64::max);
    let most = [0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0].into_iter().find(|most| highest <= *most).unwrap_or(1.0);
    let mut svg = axes(&label, ("coverage: share of cases that are decided", "risk: share of these wrong"), most);
    let place = |point: &Covered| (x(point.coverage), y(point.risk / most));
    svg.path("between", &path(points.iter().map(place)));
    for (series, point) in points.iter().map(|point| (0, point)).chain(own.map(|point| (1, point))) {
        let across = x(point.coverage);
        let (low, high) = point.risk_ci95;
        svg.line(&format!("range s{series}"), (across, y(low / most)), (across, y(high / most)));
        svg.mark(series, place(point));
    }
    let mut says = "The share of decided cases that are wrong, with 95 % intervals, if those with the smallest lead \
                    are left undecided."
        .to_string();
    if let Some(own) = own {
        says += &format!(" The square is the experiment's lead of {:.2} nats.", own.margin);
    }
    Some((svg.end(), says))
}

/// The rows of the table of what abstention buys.
fn coverage(verdicts: &Verdicts) -> Vec<Value> {
    let row = |(point, own): (&Covered, bool)| {
        context! {
            margin => format!("{:.2}", point.margin),
            covered => point.covered,
            coverage => share(point.coverage),
            wrong => point.wrong,
            risk => share(point.risk),
            interval => interval(point.risk_ci95),
            own => own,
        }
    };
    let coverage = &verdicts.coverage;
    let points = coverage.points.iter().map(|point| (point, false));
    points.chain(coverage.unsure_below.as_ref().map(|point| (point, true))).map(row).collect()
}

/// Returns the path through points, without those that lie on each other.
fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut points = points.peekable();
    let mut drawn: Vec<(f64, f64)> = Vec::new();
    while let Some(point) = points.next() {
        let far = drawn.last().is_none_or(|last| (point.0 - last.0).abs().max((point.1 - last.1).abs()) >= APART);
        if far || points.peek().is_none() {
            drawn.push(point);
        }
    }
    let stride = drawn.len().div_ceil(MOST_POINTS - 1).max(1);
    let last = drawn.len().saturating_sub(1);
    let shown = drawn.iter().enumerate().filter(|(at, _)| at % stride == 0 || *at == last);
    shown.map(|(at, (x, y))| format!("{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Seed;
    use crate::eval::{LabelScores, VerdictCase, VerdictInput, VerdictOptions};

    /// Verdicts of two labels, of which `bot` is positive: each case is its score and its kind.
    fn verdicts(cases: &[(f64, bool)], max_fpr: Option<f64>) -> Verdicts {
        let labels = ["human", "bot"].map(String::from);
        let options =
            VerdictOptions { labels: labels.to_vec(), positive: vec!["bot".into()], max_fpr, unsure_below: Some(1.0) };
        let case = |(at, (score, positive)): (usize, &(f64, bool))| VerdictCase {
            id: at.to_string(),
            gold: labels[usize::from(*positive)].clone(),
            written: None,
            scores: Some(LabelScores { logprobs: vec![0.0, *score], forced: false }),
        };
        let cases: Vec<VerdictCase> = cases.iter().enumerate().map(case).collect();
        Verdicts::new(&options, &VerdictInput { split: "test", cases: &cases, train: Some(&cases), seed: Seed(1) })
    }

    #[test]
    fn precision_over_recall_agrees_with_values_worked_by_hand() {
        // In the order of scores: a positive, a negative, then two positives and a negative that
        // tie.
        let cases = [(3.0, true), (2.0, false), (1.0, true), (1.0, true), (1.0, false)];
        let points = precision_over_recall(verdicts(&cases, None).roc.as_ref().unwrap());
        let third = 1.0 / 3.0;
        let expected = [(0.0, 1.0), (third, 1.0), (third, 0.5), (2.0 * third, 2.0 / (2.0 + 1.5)), (1.0, 3.0 / 5.0)];
        assert_eq!(points.len(), expected.len(), "{points:?}");
        for ((recall, precision), wanted) in points.iter().zip(expected) {
            assert!((recall - wanted.0).abs() < 1e-9 && (precision - wanted.1).abs() < 1e-9, "{points:?}");
        }
    }

    #[test]
    fn curves_stay_small_and_keep_their_ends() {
        let many = (0..1_000_000).map(|at| (f64::from(at) / 1e6, f64::from(at % 2)));
        let drawn = path(many);
        assert!(
            drawn.matches('L').count() < MOST_POINTS && drawn.starts_with("M0.0 0.0") && drawn.ends_with("1.0 1.0")
        );
        assert_eq!(path([(1.0, 1.0), (1.1, 1.1), (5.0, 1.0)].into_iter()), "M1.0 1.0L5.0 1.0");
        assert_eq!(path(std::iter::empty()), "");
    }

    #[test]
    fn pictures_name_their_areas_and_the_threshold() {
        let cases: Vec<(f64, bool)> = (0..60).map(|at| (f64::from(at % 17) / 4.0 - 2.0, at % 3 > 0)).collect();
        let with = verdicts(&cases, Some(0.3));
        let titles: Vec<String> =
            charts(&with).iter().map(|chart| chart.get_attr("title").unwrap().to_string()).collect();
        assert_eq!(titles, ["ROC curve", "Precision over recall", "Risk over coverage"]);
        let roc = with.roc.as_ref().unwrap();
        let (picture, says) = roc_picture(roc, with.threshold.as_ref());
        assert!(says.contains(&share(roc.auc)) && says.contains("the rate asked for, 0.3"), "{says}");
        assert!(picture.to_string().contains(">threshold<"), "{picture}");
        // Without positive or negative cases there is nothing to tell apart.
        let alike = charts(&verdicts(&[(1.0, true), (2.0, true)], None));
        assert_eq!(alike.len(), 1);
        assert!(charts(&verdicts(&[], None)).is_empty());
    }
}
