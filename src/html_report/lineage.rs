//! The lineage of every candidate as a tree that is flattened to rows with a depth, so that no
//! depth of a tree is too much for the page.

use super::input::Run;
use super::numbers::{counted, share, signed};
use super::visible::{TEXT, excerpt, name, visible};
use super::words::{left_out, pieces};
use crate::prompt::Rejection;
use crate::report::{CandidateLine, LineageLine, StepLine};
use crate::search::Trial;
use minijinja::{Value, context};
use std::collections::HashMap;

/// The most rows of one agent, and the most whole teams, on a page with one run.
const MAX_ROWS: usize = 600;
/// The most rows of one agent on a page with many runs.
const FEW_ROWS: usize = 40;
/// The depth from which rows are no longer indented further.
const MAX_INDENT: usize = 10;

/// The trees of all optimized agents.
pub(super) fn view(run: &Run<'_>) -> Vec<Value> {
    let mut agents: Vec<&str> = Vec::new();
    for line in &run.lineage {
        if !agents.contains(&line.agent.as_str()) {
            agents.push(&line.agent);
        }
    }
    agents.into_iter().map(|agent| tree(run, agent)).collect()
}

fn tree(run: &Run<'_>, agent: &str) -> Value {
    let nodes: Vec<&LineageLine> = run.lineage.iter().filter(|line| line.agent == agent).collect();
    let steps: Vec<&StepLine> = run.steps.iter().filter(|step| step.agent == agent).collect();
    let by_id: HashMap<usize, &LineageLine> = nodes.iter().map(|node| (node.id, *node)).collect();
    let rewards: HashMap<usize, f64> = steps
        .iter()
        .flat_map(|step| &step.candidates)
        .filter_map(|candidate| Some((candidate.id?, candidate.reward?)))
        .collect();
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    for node in &nodes {
        if let Some(parent) = node.parent.filter(|parent| *parent < node.id) {
            children.entry(parent).or_default().push(node.id);
        }
    }
    let mut rejected: HashMap<usize, Vec<(&StepLine, &CandidateLine)>> = HashMap::new();
    for step in &steps {
        for candidate in step.candidates.iter().filter(|candidate| candidate.id.is_none()) {
            rejected.entry(candidate.parent).or_default().push((step, candidate));
        }
    }
    // The chain from the best prompt back to the seed prompt.
    let mut way = Vec::new();
    let mut at = nodes.iter().find(|node| node.best).map(|node| node.id);
    while let Some(id) = at {
        way.push(id);
        at = by_id.get(&id).and_then(|node| node.parent.filter(|parent| *parent < id));
    }
    let most = run.scaled(MAX_ROWS, FEW_ROWS);
    let (mut rows, mut total) = (Vec::new(), 0);
    let mut open = vec![(0, 0)];
    while let Some((id, depth)) = open.pop() {
        let Some(node) = by_id.get(&id) else { continue };
        let refused = rejected.remove(&id).unwrap_or_default();
        total += 1 + refused.len();
        if rows.len() < most {
            let parent = node.parent.and_then(|parent| by_id.get(&parent));
            rows.push(evaluated(run, node, parent.copied(), rewards.get(&id).copied(), (depth, way.contains(&id))));
            let room = most - rows.len();
            rows.extend(refused.iter().take(room).map(|(step, candidate)| refusal(run, step, candidate, depth + 1)));
        }
        // The oldest child comes first, so it goes onto the stack last.
        open.extend(children.remove(&id).unwrap_or_default().into_iter().rev().map(|child| (child, depth + 1)));
    }
    let left_out = total - rows.len();
    context! {
        agent => name(agent),
        count => counted(total, "prompt", "prompts"),
        rows => rows,
        left_out => left_out,
    }
}

fn evaluated(
    run: &Run<'_>,
    node: &LineageLine,
    parent: Option<&LineageLine>,
    reward: Option<f64>,
    (depth, on_the_way): (usize, bool),
) -> Value {
    let (state, class) = match (node.id, node.best, node.in_beam) {
        (0, true, _) => ("seed prompt, still the best", "best"),
        (0, false, _) => ("seed prompt", "seed"),
        (_, true, _) => ("best at the end", "best"),
        (_, false, true) => ("kept in the beam", "kept"),
        (_, false, false) => ("not in the beam at the end", "dropped"),
    };
    let class = if on_the_way && !node.best { "way" } else { class };
    let before = parent.map_or(node.prompt.text(), |parent| parent.prompt.text());
    let fits = run.fits([before, node.prompt.text()]);
    let pieces = if fits { pieces(before, node.prompt.text()) } else { left_out() };
    context! {
        title => if node.id == 0 { "Seed prompt".to_string() } else { format!("Prompt {}", node.id) },
        origin => node.parent.map(|parent| format!("from {parent}, round {}, step {}", node.round, node.step)),
        reward => reward.map(share),
        score => signed(node.score),
        state => state,
        class => class,
        depth => depth.min(MAX_INDENT),
        assignment => node.assignment.as_deref().map(name),
        change => node.change.as_deref().map(excerpt),
        way => class == "way",
        pieces => pieces,
    }
}

fn refusal(run: &Run<'_>, step: &StepLine, candidate: &CandidateLine, depth: usize) -> Value {
    let text = candidate.text.as_deref().map(|text| visible(text, TEXT));
    let pieces = match text {
        Some(text) if run.fits([&*text]) => vec![context! { kind => "same", text => text }],
        Some(_) => left_out(),
        None => Vec::new(),
    };
    context! {
        title => "Not tried",
        origin => format!("from {}, round {}, step {}", candidate.parent, step.round, step.step),
        state => format!("rejected: {}", candidate.rejected.map_or("no reason recorded".into(), |reason| why(&reason))),
        class => "rejected",
        depth => depth.min(MAX_INDENT),
        assignment => candidate.assignment.as_deref().map(name),
        change => candidate.change.as_deref().map(excerpt),
        pieces => pieces,
    }
}

/// Returns a reason for a rejection in words.
fn why(reason: &Rejection) -> String {
    let name = serde_json::to_value(reason).ok().and_then(|value| Some(value.as_str()?.to_string()));
    name.unwrap_or_default().replace('-', " ")
}

/// The whole teams that a method tried.
pub(super) fn trials(run: &Run<'_>) -> Option<Value> {
    let trials: &[Trial] = match (&run.report, &run.result) {
        (Some(report), _) => &report.trials,
        (None, Some(result)) => &result.trials,
        (None, None) => return None,
    };
    let leader = trials.last()?.leader;
    let row = |trial: &Trial| {
        context! {
            number => trial.number,
            parent => trial.parent,
            other => trial.other,
            agent => trial.agent.and_then(|id| Some(name(&run.prompts.get(id.0)?.agent))),
            score => share(trial.score),
            items => trial.values.len(),
            state => match (&trial.rejected, trial.number == leader, trial.kept) {
                (Some(reason), _, _) => format!("rejected: {}", why(reason)),
                (None, true, _) => "best".to_string(),
                (None, false, true) => "kept".to_string(),
                (None, false, false) => "dropped".to_string(),
            },
            best => trial.number == leader,
        }
    };
    let most = run.scaled(MAX_ROWS, FEW_ROWS);
    Some(context! {
        rows => trials.iter().take(most).map(row).collect::<Vec<_>>(),
        left_out => trials.len().saturating_sub(most),
    })
}
