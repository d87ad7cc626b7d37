//! The confusion matrix of tasks with labels, and the recall and precision of every label with
//! their intervals.

use super::input::Run;
use super::numbers::{interval, share};
use super::visible::name;
use crate::eval::Evaluation;
use crate::stats::wilson;
use crate::task::Case;
use minijinja::{Value, context};
use std::collections::{BTreeMap, BTreeSet};

/// The most labels of a matrix.
const MOST: usize = 20;
/// The scorers whose answers are one of a few labels.
const SCORERS: [&str; 2] = ["label", "letter"];

/// The matrices before and after; `None` if the task has no labels, or its gold answers are not at
/// hand.
pub(super) fn view(run: &Run<'_>) -> Option<Vec<Value>> {
    let evidence = run.evidence?;
    let scorer = run.report.as_ref()?.scored_by.as_ref()?;
    if !SCORERS.contains(&scorer.scorer.as_str()) {
        return None;
    }
    let (seed, optimized) = run.evaluations()?;
    let cases = evidence.cases();
    let same = |evaluation: &Evaluation| {
        evaluation.items.len() == cases.len()
            && evaluation.items.iter().zip(cases).all(|(item, case)| item.id == case.query.id)
    };
    let labels: BTreeSet<&str> = cases.iter().map(|case| &*case.answer).collect();
    if !same(seed) || labels.len() > MOST {
        return None;
    }
    let labels: Vec<&str> = labels.into_iter().collect();
    Some(vec![matrix("Seed prompts", &labels, cases, seed), matrix("New prompts", &labels, cases, optimized)])
}

fn matrix(title: &str, labels: &[&str], cases: &[Case], evaluation: &Evaluation) -> Value {
    let place = |text: &str| labels.iter().position(|label| *label == text);
    // The last column holds what is none of the labels.
    let mut counts = vec![vec![0usize; labels.len() + 1]; labels.len()];
    for (case, item) in cases.iter().zip(&evaluation.items) {
        let Some(row) = place(&case.answer) else { continue };
        let column = match &item.answer {
            // The scorer has its own rules for what equals a label.
            _ if item.is_correct() => row,
            Some(answer) => nearest(labels, answer).unwrap_or(labels.len()),
            None => labels.len(),
        };
        counts[row][column] += 1;
    }
    let row = |(at, label): (usize, &&str)| {
        let total: usize = counts[at].iter().sum();
        let predicted: usize = counts.iter().map(|row| row[at]).sum();
        let cell = |(column, count): (usize, &usize)| {
            let shade = (4 * count).div_ceil(total.max(1));
            context! { count => *count, shade => shade, right => column == at }
        };
        let rate = |n: usize| {
            let right = counts[at][at];
            (n > 0).then(|| format!("{} ({})", share(right as f64 / n as f64), interval(wilson(right, n))))
        };
        context! {
            label => name(label),
            cells => counts[at].iter().enumerate().map(cell).collect::<Vec<_>>(),
            total => total,
            recall => rate(total),
            precision => rate(predicted),
        }
    };
    context! {
        title => title,
        labels => labels.iter().map(|label| name(label)).collect::<Vec<_>>(),
        rows => labels.iter().enumerate().map(row).collect::<Vec<_>>(),
    }
}

/// The label that an answer is, whatever its case.
fn nearest(labels: &[&str], answer: &str) -> Option<usize> {
    let by_text: BTreeMap<String, usize> =
        labels.iter().enumerate().map(|(at, label)| (label.to_lowercase(), at)).collect();
    by_text.get(&answer.trim().to_lowercase()).copied()
}
