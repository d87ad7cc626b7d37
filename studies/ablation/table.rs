//! The study's tables in Markdown, and their place in the document. It does not know how runs are
//! made.

use crate::arms::{ARMS, Arm, JOINT, Source};
use crate::results::{Bill, Record, Search, of_arm};
use maspo::judge::JudgeStats;
use maspo::search::FinalVerdict;
use maspo::stats::{MeanInterval, mean_ci};
use std::collections::{BTreeMap, BTreeSet};

const BEGIN: &str = "<!-- study: written by `cargo run --release --example study -- report` -->";
const END: &str = "<!-- study: end -->";

/// Returns `note` with its tables replaced by `tables`; a new document if it has none.
pub(crate) fn into_note(note: &str, tables: &str) -> String {
    let tables = format!("{BEGIN}\n{tables}{END}");
    match (note.find(BEGIN), note.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{tables}{}", &note[..begin], &note[end + END.len()..])
        }
        _ if note.trim().is_empty() => format!("# Ablations on the triage world\n\n{tables}\n"),
        _ => format!("{}\n\n{tables}\n", note.trim_end()),
    }
}

/// Returns all tables. `plot` is the file name of the plot.
pub(crate) fn markdown(records: &[Record], plot: &str) -> String {
    let arms: Vec<_> = ARMS.into_iter().filter(|arm| records.iter().any(|record| record.arm == arm.key)).collect();
    let mut text = format!("{}\n\n![Held-out accuracy per arm]({plot})\n\n", basis(records));
    text.push_str(&accuracy_table(records, &arms));
    text.push_str(&goals_table(records));
    if arms.iter().any(|arm| arm.searches()) {
        text.push_str(&search_table(records, &arms));
        text.push_str(&cost_table(records, &arms));
        text.push_str(&values_list(&arms));
    }
    text
}

/// Describes the data behind the figures.
fn basis(records: &[Record]) -> String {
    let distinct = |value: fn(&Record) -> String| {
        let values: BTreeSet<String> = records.iter().map(value).collect();
        values.into_iter().collect::<Vec<_>>().join(", ")
    };
    let seeds: BTreeSet<u64> = records.iter().map(|record| record.seed).collect();
    format!(
        "Runs: {}. Seeds: {} ({} to {}). Model: {}. Held-out cases per run: {}.\n\
         A seed decides the mini-batches and the optimizer's sampling; pool, test set and model are the\n\
         same for all, so the seed prompts and the ideal prompts have no spread. Intervals are Student's\n\
         95 % over seeds; differences are paired by seed.",
        records.len(),
        seeds.len(),
        seeds.first().copied().unwrap_or_default(),
        seeds.last().copied().unwrap_or_default(),
        distinct(|record| format!("`{}`", record.model)),
        distinct(|record| record.cases.to_string()),
    )
}

fn accuracy_table(records: &[Record], arms: &[Arm]) -> String {
    let mut text = String::from(
        "| arm | seeds | accuracy | 95 % | joint − arm | 95 % | joint wins / ties / losses |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for arm in arms {
        let accuracy = mean_of(records, arm.key, Record::accuracy);
        let (difference, score) = match paired(records, arm.key) {
            differences if arm.key == JOINT.key || differences.is_empty() => (None, "–".to_string()),
            differences => {
                let count = |wanted: fn(f64) -> bool| differences.iter().filter(|d| wanted(**d)).count();
                let score = format!("{} / {} / {}", count(|d| d > 0.0), count(|d| d == 0.0), count(|d| d < 0.0));
                (mean_ci(&differences), score)
            }
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {score} |\n",
            arm.title,
            accuracy.map_or(0, |interval| interval.n),
            mean(accuracy),
            interval(accuracy.filter(|_| arm.searches())),
            signed(difference),
            interval(difference),
        ));
    }
    text + "\n"
}

/// Compares the results with the goals that were set before the study.
fn goals_table(records: &[Record]) -> String {
    let mean = |arm| mean_of(records, arm, Record::accuracy).map(|interval| interval.mean);
    // A single pair has no bound.
    let low = |arm| mean_ci(&paired(records, arm)).filter(|interval| interval.n > 1).map(|interval| interval.ci95.0);
    let row = |name, value: Option<f64>, met: fn(f64) -> bool, goal, aim| {
        let answer = value.map_or("–", |value| if met(value) { "yes" } else { "no" });
        format!("| {name} | {} | {goal} | {aim} | {answer} |\n", number(value, 3))
    };
    let mut text = String::from("| goal | measured | needed | aimed at | met |\n| --- | ---: | ---: | ---: | --- |\n");
    text.push_str(&row("ideal prompts, mean", mean("ideal"), |value| value >= 0.95, "≥ 0.95", ""));
    text.push_str(&row("seed prompts, mean", mean("seed"), |value| value <= 0.60, "≤ 0.60", ""));
    text.push_str(&row("joint − seed prompts, lower bound", low("seed"), |value| value >= 0.25, "≥ 0.25", "0.40"));
    text.push_str(&row("joint − coin, lower bound", low("coin"), |value| value >= 0.10, "≥ 0.10", "0.25"));
    text.push_str(&row("joint − local only, lower bound", low("local-only"), |value| value > 0.0, "> 0", "0.20"));
    text + "\n"
}

/// Describes the searches, and the effect of the final check.
fn search_table(records: &[Record], arms: &[Arm]) -> String {
    let mut text = String::from(
        "How the searches went: the accuracy of the optimized prompts before the final check, which may send\n\
         a run back to the seed prompts; how often it did; how many runs ended with a trap clause in the\n\
         optimized prompts; and the judge.\n\n\
         | arm | runs | before the check | 95 % | back to the seed | trapped | \
         judge consistent in both orders | ties | unparsable |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (arm, searches) in searches(records, arms) {
        let before = mean_of(records, arm.key, Record::accuracy_before_check);
        let back = searches.iter().filter(|search| search.verdict == FinalVerdict::Seed).count();
        let trapped = searches.iter().filter(|search| !search.trapped.is_empty()).count();
        let judge = |rate: fn(&JudgeStats) -> Option<f64>| {
            let rates: Vec<_> = searches.iter().filter_map(|search| rate(&search.judge)).collect();
            number(mean_ci(&rates).map(|interval| interval.mean), 3)
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {back} | {trapped} | {} | {} | {} |\n",
            arm.title,
            searches.len(),
            mean(before),
            interval(before),
            judge(JudgeStats::position_consistency),
            judge(JudgeStats::tie_rate),
            judge(JudgeStats::unparsable_rate),
        ));
    }
    text + "\n"
}

fn cost_table(records: &[Record], arms: &[Arm]) -> String {
    let mut text = String::from(
        "What a search costs, in the mean, when no answer is remembered: calls per role, and thousands of\n\
         tokens of all roles. Evaluation on the test set is not in it.\n\n\
         | arm | worker calls | optimizer calls | judge calls | thousand tokens read | written |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (arm, searches) in searches(records, arms) {
        let mean = |value: &dyn Fn(&Search) -> u64| {
            searches.iter().map(|search| value(search)).sum::<u64>() as f64 / searches.len() as f64
        };
        let tokens = |of: fn(&Bill) -> u64| {
            mean(&|search: &Search| [&search.worker, &search.optimizer, &search.judging].into_iter().map(of).sum())
                / 1e3
        };
        text.push_str(&format!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |\n",
            arm.title,
            mean(&|search| search.worker.calls),
            mean(&|search| search.optimizer.calls),
            mean(&|search| search.judging.calls),
            tokens(|bill| bill.tokens_read),
            tokens(|bill| bill.tokens_written),
        ));
    }
    text + "\n"
}

fn values_list(arms: &[Arm]) -> String {
    let mut text =
        String::from("What each searching arm changes in the experiment file:\n\n| arm | change |\n| --- | --- |\n");
    for arm in arms {
        if let Source::Search(values) = arm.prompts {
            let values: Vec<_> = values.iter().map(|value| format!("`--set {value}`")).collect();
            let values = if values.is_empty() { "nothing".to_string() } else { values.join(" ") };
            text.push_str(&format!("| {} | {values} |\n", arm.title));
        }
    }
    text
}

/// Returns the arms that search, with their searches.
fn searches<'a>(records: &'a [Record], arms: &[Arm]) -> Vec<(Arm, Vec<&'a Search>)> {
    let of = |arm: Arm| of_arm(records, arm.key).values().filter_map(|record| record.search.as_ref()).collect();
    arms.iter().filter(|arm| arm.searches()).map(|arm| (*arm, of(*arm))).collect()
}

fn mean_of(records: &[Record], arm: &str, value: impl Fn(&Record) -> f64) -> Option<MeanInterval> {
    mean_ci(&of_arm(records, arm).values().map(|record| value(record)).collect::<Vec<_>>())
}

/// Returns the accuracy of the joint arm minus that of `arm`, for every seed that both have.
fn paired(records: &[Record], arm: &str) -> Vec<f64> {
    let joint: BTreeMap<u64, &Record> = of_arm(records, JOINT.key);
    let others = of_arm(records, arm);
    let both = others.iter().filter_map(|(seed, other)| Some((joint.get(seed)?, other)));
    both.map(|(joint, other)| joint.accuracy() - other.accuracy()).collect()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_string(), |value| format!("{value:.digits$}"))
}

fn mean(value: Option<MeanInterval>) -> String {
    number(value.map(|interval| interval.mean), 3)
}

fn signed(value: Option<MeanInterval>) -> String {
    value.map_or("–".to_string(), |interval| format!("{:+.3}", interval.mean))
}

/// A single seed has no interval.
fn interval(value: Option<MeanInterval>) -> String {
    let known = value.filter(|interval| interval.n > 1);
    known.map_or("–".to_string(), |MeanInterval { ci95: (low, high), .. }| format!("{low:.3} … {high:.3}"))
}
