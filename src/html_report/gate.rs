//! What the gate found (`search.gate = "anytime"`): its tests, whose change helps, and what was
//! taken back.

use super::input::Run;
use super::numbers::{counted, share};
use super::visible::name;
use crate::report::{ChangeLine, GateLine, GateReport};
use crate::search::FinalVerdict;
use minijinja::{Value, context};

/// The gate's part of the page; `None` for a run without a gate.
pub(super) fn view(run: &Run<'_>) -> Option<Value> {
    let (gate, verdict) = of(run)?;
    let row = |test: &GateLine| {
        let count = |value: f64| test.values.iter().filter(|other| **other == value).count();
        let (won, lost) = (count(1.0), count(0.0));
        let (evidence, needed) = test.evidence_of_needed();
        let (class, shape) = mark(test.shown);
        context! {
            what => test.what(name),
            class => class,
            shape => shape,
            says => test.why(),
            queries => test.values.len(),
            won => won,
            lost => lost,
            tied => test.values.len() - won - lost,
            mean => test.mean.map(share),
            at_least => test.mean.map(|_| share(test.at_least)),
            evidence => evidence,
            needed => needed,
        }
    };
    let change = |change: &ChangeLine| {
        let (class, shape) = mark(change.helps);
        context! { agent => name(&change.agent), class => class, shape => shape, says => change.words(verdict) }
    };
    Some(context! {
        held_back => counted(gate.held_back, "query was", "queries were"),
        error => error(gate),
        rows => gate.tests.iter().map(row).collect::<Vec<_>>(),
        changes => gate.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

/// What the gate says of the change of an agent; `None` if it says nothing.
pub(super) fn of_agent(run: &Run<'_>, agent: &str) -> Option<&'static str> {
    let (gate, verdict) = of(run)?;
    gate.changes.iter().find(|change| change.agent == agent).map(|change| change.words(verdict))
}

/// Whose change it was by the gate, in sentences; empty for a run without a gate.
pub(super) fn credit(run: &Run<'_>) -> Vec<String> {
    let Some((gate, verdict)) = of(run) else { return Vec::new() };
    let names = |test: &dyn Fn(&ChangeLine) -> bool| -> Vec<String> {
        gate.changes.iter().filter(|change| test(change)).map(|change| name(&change.agent)).collect()
    };
    if verdict == Some(FinalVerdict::Unproven) {
        return vec!["The gate did not show the new prompts to be better, so all changes are taken back.".to_string()];
    }
    let helping = names(&|change| change.helps);
    let mut sentences = vec![match (helping.as_slice(), gate.changes.len()) {
        ([], _) => "The gate shows that the whole team is better, but of no change that it helps alone.".to_string(),
        ([only], 1) => format!("The gate shows that it helps: the team with {only}'s new prompt is better."),
        (helping, _) => format!("The gate shows that the team is worse without the change of {}.", any_of(helping)),
    }];
    let kept = names(&|change| !change.helps && change.kept);
    if !kept.is_empty() && !helping.is_empty() {
        sentences.push(format!("Not shown to help alone, but kept with the team: {}.", kept.join(", ")));
    }
    let back = names(&|change| !change.helps && !change.kept);
    if !back.is_empty() {
        sentences.push(format!("Not shown to help, and taken back: {}.", back.join(", ")));
    }
    sentences
}

fn of<'a>(run: &'a Run<'_>) -> Option<(&'a GateReport, Option<FinalVerdict>)> {
    let report = run.report.as_ref()?;
    Some((report.gate.as_ref()?, report.final_check.as_ref().map(|check| check.verdict)))
}

/// The error of all claims together, which is that of the first test.
fn error(gate: &GateReport) -> Option<String> {
    let needed = gate.tests.first()?.needed;
    (needed >= 1.0).then(|| ((1e6 / needed).round() / 1e6).to_string())
}

fn mark(shown: bool) -> (&'static str, &'static str) {
    if shown { ("better", "▲") } else { ("same", "◆") }
}

fn any_of(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        names => format!("any one of {}", names.join(", ")),
    }
}
