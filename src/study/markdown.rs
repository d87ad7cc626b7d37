//! The report of a study in Markdown.

use super::compare::Comparison;
use super::tables::{ArmReport, ExperimentReport, StudyReport};
use crate::stats::MeanInterval;

/// Returns the whole report.
pub(super) fn text(report: &StudyReport) -> String {
    let mut text = format!("# Study `{}`\n\n", report.study);
    if !report.question.is_empty() {
        text += &format!("{}\n\n", report.question.trim());
    }
    text += &format!("{} runs", report.runs);
    if report.missing > 0 {
        text += &format!(", and {} are missing", report.missing);
    }
    text += &format!(
        ". Arms are compared with `{}` on the same seeds and items.\n\
         The first interval of an accuracy is Wilson's for the cases of one run, the second Student's over\n\
         seeds. The interval of a difference is from a bootstrap over seeds and items together; p is\n\
         McNemar's exact test (over several seeds, the exact sign test of the items' mean differences) after\n\
         Holm's correction for all comparisons on this page. A difference is within noise if its interval\n\
         holds 0 or p is 0.05 or more.\n\n",
        report.baseline
    );
    for experiment in &report.experiments {
        text += &of_experiment(experiment, &report.baseline);
    }
    text += &overall(report);
    text += &references(report);
    text
}

fn of_experiment(experiment: &ExperimentReport, baseline: &str) -> String {
    let ExperimentReport { experiment: name, models, seeds, arms } = experiment;
    let cases = arms.first().map_or(0, |arm| arm.cases);
    let mut text = format!(
        "## {name}\n\n{} seeds, {cases} test cases, {}.\n\n![Accuracy](plots/{name}-accuracy.svg)\n\n\
         ![Accuracy against tokens](plots/{name}-tokens.svg)\n\n",
        seeds.len(),
        models.iter().map(|model| format!("`{model}`")).collect::<Vec<_>>().join(", ")
    );
    let (ranked, unranked): (Vec<&ArmReport>, Vec<&ArmReport>) = arms.iter().partition(|arm| arm.unranked.is_none());
    text += &format!(
        "| arm | seeds | accuracy | Wilson 95 % | 95 % over seeds | − `{baseline}` | 95 % | p | \
         wins / ties / losses | |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
    );
    for arm in &ranked {
        text += &row(arm);
    }
    text += "\n";
    if !unranked.is_empty() {
        text += "Not ranked:\n\n| arm | seeds | accuracy | Wilson 95 % | 95 % over seeds | why |\n\
                 | --- | ---: | ---: | ---: | ---: | --- |\n";
        for arm in &unranked {
            let why = arm.unranked.as_deref().unwrap_or_default();
            text += &format!("{}{why} |\n", head(arm));
        }
        text += "\n";
    }
    text + &costs(arms)
}

/// The first cells of an arm's row.
fn head(arm: &ArmReport) -> String {
    let (low, high) = arm.wilson;
    format!(
        "| {} | {} | {} | {low:.3} … {high:.3} | {} | ",
        arm.arm,
        arm.accuracies.len(),
        arm.accuracy.map_or("–".to_string(), |interval| format!("{:.3}", interval.mean)),
        over_seeds(arm.accuracy)
    )
}

fn row(arm: &ArmReport) -> String {
    format!("{}{} |\n", head(arm), arm.difference.as_ref().map_or("– | – | – | – | ".to_string(), difference))
}

fn difference(comparison: &Comparison) -> String {
    let Comparison { value, ci95: (low, high), p_holm, wins_ties_losses: [wins, ties, losses], .. } = comparison;
    let p = if *p_holm < 0.0001 { "< 0.0001".to_string() } else { format!("{p_holm:.4}") };
    format!("{value:+.3} | {low:+.3} … {high:+.3} | {p} | {wins} / {ties} / {losses} | {}", comparison.verdict())
}

/// A single seed has no interval.
fn over_seeds(interval: Option<MeanInterval>) -> String {
    let known = interval.filter(|interval| interval.n > 1);
    known.map_or("–".to_string(), |MeanInterval { ci95: (low, high), .. }| format!("{low:.3} … {high:.3}"))
}

fn costs(arms: &[ArmReport]) -> String {
    let mut text = String::from(
        "Cost of a run before its evaluation, in the mean, cached answers included; and of one answer of the\n\
         system that it ends with.\n\n\
         | arm | worker calls | optimizer calls | judge calls | thousand tokens | tokens per point gained | \
         tokens per answer | judge consistent | back to the seed | stopped |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for arm in arms {
        let [worker, optimizer, judge] = arm.spent;
        let stopped = match (arm.budget_limited, arm.clock_limited) {
            (0, 0) => String::new(),
            (budget, 0) => format!("{budget} by the budget"),
            (0, clock) => format!("{clock} by the clock"),
            (budget, clock) => format!("{budget} by the budget, {clock} by the clock"),
        };
        text += &format!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.1} | {} | {:.0} | {} | {} | {stopped} |\n",
            arm.arm,
            worker.calls,
            optimizer.calls,
            judge.calls,
            arm.tokens / 1e3,
            arm.tokens_per_point.map_or("–".to_string(), |tokens| format!("{tokens:.0}")),
            arm.answer_tokens,
            arm.judge_consistency.map_or("–".to_string(), |share| format!("{share:.3}")),
            arm.kept_seed,
        );
    }
    text + "\n"
}

fn overall(report: &StudyReport) -> String {
    if report.overall.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "## All experiments\n\nThe mean over experiments, each with its own items; the bootstrap draws seeds and\n\
         items within each.\n\n\
         | arm | experiments | accuracy | − `{}` | 95 % | p | wins / ties / losses | |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
        report.baseline
    );
    for arm in &report.overall {
        let difference = arm.difference.as_ref().map_or("– | – | – | – | ".to_string(), difference);
        text += &format!("| {} | {} | {:.3} | {difference} |\n", arm.arm, arm.experiments, arm.accuracy);
    }
    text + "\n"
}

fn references(report: &StudyReport) -> String {
    if report.references.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "## Figures of others\n\nThey were measured by others, on other models and items: they are no comparison.\n\n\
         | arm | here | theirs | source |\n| --- | ---: | ---: | --- |\n",
    );
    for reference in &report.references {
        let ours = reference.here.map_or("–".to_string(), |accuracy| format!("{accuracy:.3}"));
        text += &format!("| {} | {ours} | {:.4} | {} |\n", reference.arm, reference.accuracy, reference.source);
    }
    text + "\n"
}
