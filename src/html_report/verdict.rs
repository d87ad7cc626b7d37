//! The verdict on a run: what its held-out cases allow to say, in words of one size.

use super::input::Run;
use super::numbers::{counted, interval, p_value, share, signed, signed_interval};
use super::svg::Svg;
use crate::report::{Accuracy, Difference};
use crate::search::{FinalCheck, FinalVerdict, GateTest};
use crate::stats::mcnemar_exact;
use minijinja::{Value, context};

/// The p-value below which the exact test confirms what the interval says.
const SIGNIFICANT: f64 = 0.05;

/// What is shown of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Better,
    Same,
    Worse,
    Unmeasured,
    Unfinished,
}

impl Verdict {
    /// The verdict of a run.
    pub(super) fn of(run: &Run<'_>) -> Self {
        let Some(report) = &run.report else { return Self::Unfinished };
        match &report.difference {
            None => Self::Unmeasured,
            Some(Difference { ci95: (low, _), .. }) if *low > 0.0 => Self::Better,
            Some(Difference { ci95: (_, high), .. }) if *high < 0.0 => Self::Worse,
            Some(_) => Self::Same,
        }
    }

    /// The words on the page.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Better => "Better",
            Self::Same => "No difference shown",
            Self::Worse => "Worse",
            Self::Unmeasured => "Not measured",
            Self::Unfinished => "Unfinished",
        }
    }

    /// A shape that tells the verdict without colours.
    pub(super) fn shape(self) -> &'static str {
        match self {
            Self::Better => "▲",
            Self::Same => "◆",
            Self::Worse => "▼",
            Self::Unmeasured | Self::Unfinished => "○",
        }
    }

    /// The class in the page's style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
            Self::Unmeasured | Self::Unfinished => "open",
        }
    }
}

/// The view of a verdict: words, sentences, and a picture of the accuracies.
pub(super) fn view(run: &Run<'_>) -> Value {
    let verdict = Verdict::of(run);
    context! {
        words => verdict.words(),
        shape => verdict.shape(),
        class => verdict.class(),
        sentences => sentences(run, verdict),
        picture => picture(run),
    }
}

fn sentences(run: &Run<'_>, verdict: Verdict) -> Vec<String> {
    let mut sentences = Vec::new();
    match (&run.report, verdict) {
        (None, _) => sentences.push(unfinished(run)),
        (Some(report), Verdict::Unmeasured) => {
            let accuracy = match (&report.seed_accuracy, &report.optimized_accuracy) {
                (Some(_), Some(_)) => "The two accuracies were not compared.",
                _ => "The run has no labelled test cases, so no accuracy was measured.",
            };
            sentences.push(accuracy.to_string());
        }
        (Some(report), _) => {
            if let (Some(seed), Some(optimized), Some(difference)) =
                (&report.seed_accuracy, &report.optimized_accuracy, &report.difference)
            {
                sentences.extend(measured(seed, optimized, difference));
                if verdict != Verdict::Same && difference.mcnemar_p >= SIGNIFICANT {
                    sentences.push(
                        "The exact test does not confirm it at 5 %, so it may be noise: more held-out cases would tell."
                            .to_string(),
                    );
                }
            }
        }
    }
    let check = run.result.as_ref().and_then(|result| result.final_check.as_ref());
    let gate = run.result.as_ref().and_then(|result| result.gate.first());
    sentences.extend(check.and_then(|check| checked(check, gate)));
    if run.report.as_ref().is_some_and(|report| report.kept_seed) {
        let why = match check.map(|check| check.verdict) {
            Some(FinalVerdict::Unproven) => "The new prompts were not shown to be better, so the seed prompts",
            _ => "The seed prompts won that comparison, so they",
        };
        sentences.push(format!("{why} are kept: nothing changes."));
    }
    sentences
}

fn unfinished(run: &Run<'_>) -> String {
    match &run.result {
        None => "The search has not begun.".to_string(),
        Some(result) if result.finished => {
            "The search is done, but not yet measured on the held-out cases. What is shown is final but for that."
                .to_string()
        }
        Some(result) => format!(
            "{} of {} steps are done. What is shown is the state so far, and nothing is measured yet.",
            result.steps.len() + result.trials.len() + result.learned.len(),
            result.plan.steps
        ),
    }
}

fn measured(seed: &Accuracy, optimized: &Accuracy, difference: &Difference) -> Vec<String> {
    vec![
        format!(
            "{} of {} right, before {}: accuracy {} → {}.",
            optimized.correct,
            counted(optimized.n, "held-out case", "held-out cases"),
            seed.correct,
            share(seed.accuracy),
            share(optimized.accuracy)
        ),
        format!(
            "Difference {}, 95 % interval {}, McNemar {}.",
            signed(difference.value),
            signed_interval(difference.ci95),
            p_value(difference.mcnemar_p)
        ),
    ]
}

/// The closing comparison on unlabelled queries, by the judge; with a gate, its first test.
fn checked(check: &FinalCheck, gate: Option<&GateTest>) -> Option<String> {
    let mean = check.mean?;
    let count = |value: f64| check.values.iter().filter(|other| **other == value).count();
    let (won, lost) = (count(1.0), count(0.0));
    let ties = check.values.len() - won - lost;
    let says = match check.verdict {
        FinalVerdict::Optimized => "preferred the new prompts",
        FinalVerdict::Seed => "preferred the seed prompts",
        FinalVerdict::Tie => "saw a tie",
        FinalVerdict::Unproven => "was not sure enough that the new prompts are better",
        FinalVerdict::Unchanged | FinalVerdict::Unchecked => return None,
    };
    let known = match gate {
        // A gate stops when it has seen enough, after which no sign test holds.
        Some(test) => format!("at least {:.2} whenever it stopped", test.at_least),
        None => format!("sign test {}", p_value(mcnemar_exact(won, lost))),
    };
    Some(format!(
        "On {}, the judge {says}: {won} won, {lost} lost, {ties} tied (mean {mean:.2}, ½ is a tie; {known}). \
         A judge's preference is no accuracy.",
        counted(check.values.len(), "other query without a label", "other queries without labels")
    ))
}

/// The accuracies before and after with their intervals.
fn picture(run: &Run<'_>) -> Value {
    let Some(report) = &run.report else { return Value::from(()) };
    let (Some(seed), Some(optimized)) = (&report.seed_accuracy, &report.optimized_accuracy) else {
        return Value::from(());
    };
    const LEFT: f64 = 52.0;
    const RIGHT: f64 = 330.0;
    let x = |share: f64| LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0);
    let label = format!(
        "Accuracy before {} (95 % interval {}), after {} ({})",
        share(seed.accuracy),
        interval(seed.ci95),
        share(optimized.accuracy),
        interval(optimized.ci95)
    );
    let mut svg = Svg::new((360.0, 96.0), "accuracy", &label);
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        svg.line("grid", (x(share), 8.0), (x(share), 72.0));
        svg.text("axis", (x(share), 88.0), "middle", &format!("{share:.2}"));
    }
    for (row, (name, accuracy)) in [("before", seed), ("after", optimized)].into_iter().enumerate() {
        let y = 24.0 + 32.0 * row as f64;
        let class = if row == 0 { "s1" } else { "s0" };
        svg.text("label", (LEFT - 8.0, y + 4.0), "end", name);
        svg.line(&format!("range {class}"), (x(accuracy.ci95.0), y), (x(accuracy.ci95.1), y));
        svg.mark(1 - row, (x(accuracy.accuracy), y));
        svg.text("value", (x(accuracy.accuracy), y - 8.0), "middle", &share(accuracy.accuracy));
    }
    svg.end()
}
