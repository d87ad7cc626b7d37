//! The lines of `maspo eval` about verdicts.

use super::settings::estimate_line;
use crate::eval::{Covered, Rates, ThresholdReport, Verdicts};

/// Returns the lines, after that of the accuracy. `split` names the cases.
pub(super) fn verdicts_text(verdicts: &Verdicts, split: &str) -> String {
    let Verdicts { n, unread, forced, as_written, accuracy, ci95, .. } = verdicts;
    let mut text = line("verdicts", &estimate_line(*accuracy, *n, *ci95));
    text += &line("", &format!("the likeliest label is the one written in {as_written} of {n} cases"));
    if *forced > 0 {
        text += &line("", &format!("{forced} outputs held no answer: labels were scored at their end"));
    }
    if *unread > 0 {
        text += &line("", &format!("{unread} cases could not be scored"));
    }
    if let (Some(loss), Some(error)) = (verdicts.log_loss, verdicts.calibration_error) {
        text += &line("calibration", &format!("log loss {loss:.3}, expected calibration error {error:.3}"));
    }
    if !verdicts.positive.is_empty() {
        text += &line("positive", &verdicts.positive.join(", "));
    }
    if let Some(roc) = &verdicts.roc {
        let counts = format!("{} positive, {} negative", roc.positives, roc.negatives);
        text += &line("ROC area", &format!("{:.3} ({counts}, {})", roc.auc, interval(roc.ci95)));
    }
    if let Some(curve) = &verdicts.precision_recall {
        text += &line("precision", &format!("{:.3} on average ({})", curve.average_precision, interval(curve.ci95)));
    }
    if let Some(threshold) = &verdicts.threshold {
        text += &threshold_text(threshold, split);
    }
    text + &coverage_text(verdicts)
}

fn line(name: &str, facts: &str) -> String {
    // Names of more than ten letters push their line.
    format!("{name:<10} {facts}\n")
}

fn interval((low, high): (f64, f64)) -> String {
    format!("95 % interval {low:.3} to {high:.3}")
}

fn threshold_text(threshold: &ThresholdReport, split: &str) -> String {
    let ThresholdReport { max_fpr, chosen_on, above, above_probability, needed_negatives, chosen, checked } = threshold;
    let (Some(above), Some(probability)) = (above, above_probability) else {
        let found = chosen.negatives;
        return line(
            "threshold",
            &format!(
                "none: {found} negative cases in `{chosen_on}` cannot show a rate of false positives of at most \
                 {max_fpr}; {needed_negatives} are needed"
            ),
        );
    };
    let mut text = line(
        "threshold",
        &format!(
            "score above {above:+.3}, or probability above {probability:.4}, for at most {max_fpr} false positives"
        ),
    );
    text += &line("", &format!("chosen on `{chosen_on}`: {}", rates(chosen)));
    match checked {
        Some(checked) => {
            text += &line("", &format!("checked on `{split}`: {}", rates(checked)));
            if checked.fpr_bounds95.0 > *max_fpr {
                text += &line("", &format!("MORE false positives than {max_fpr}: `{split}` is not like `{chosen_on}`"));
            }
        }
        None => text += &line("", "not checked: these are the cases that it was chosen on"),
    }
    text
}

fn rates(rates: &Rates) -> String {
    let Rates { negatives, false_positives, fpr, fpr_bounds95: (_, upper), .. } = rates;
    let Rates { positives, true_positives, recall, recall_ci95, .. } = rates;
    format!(
        "{fpr:.3} false positives ({false_positives} of {negatives}, at most {upper:.3}); finds {recall:.3} \
         ({true_positives} of {positives}, {})",
        interval(*recall_ci95)
    )
}

fn coverage_text(verdicts: &Verdicts) -> String {
    let covered = |covered: &Covered| {
        let Covered { margin, coverage, wrong, covered, risk, risk_ci95, .. } = covered;
        format!(
            "lead of {margin:.2} nats: {coverage:.3} decided, {risk:.3} of these wrong ({wrong} of {covered}, {})",
            interval(*risk_ci95)
        )
    };
    let mut text = String::new();
    for (at, point) in verdicts.coverage.points.iter().enumerate() {
        text += &line(if at == 0 { "coverage" } else { "" }, &covered(point));
    }
    if let Some(point) = &verdicts.coverage.unsure_below {
        text += &line("unsure", &format!("{} cases, below a {}", verdicts.n - point.covered, covered(point)));
    }
    text
}
