//! The view of one run: everything that the templates show of it, as plain values.

use super::input::Run;
use super::numbers::{counted, signed, signed_interval, thousands};
use super::page::Links;
use super::visible::{excerpt, name};
use super::{agents, cases, chart, curves, facts, gate, labels, lineage, misaligned, steps, team, verdict};
use crate::chat::ModelIdentity;
use minijinja::{Value, context};

/// The view of a run.
pub(super) fn view(run: &Run<'_>, links: &Links) -> Value {
    context! {
        number => run.number,
        alone => run.of == 1,
        label => if run.of == 1 { String::new() } else { format!(" of run {}", run.number) },
        top => run.anchor("top"),
        id => run.anchor(""),
        name => name(&run.record.name),
        subtitle => subtitle(run),
        finished => run.report.is_some(),
        begun => run.result.is_some(),
        resume => run.report.is_none().then(|| excerpt_command(&run.record.resume_command)),
        verdict => verdict::view(run),
        changed => changed(run),
        credit => credit(run),
        cost => facts::cost(run),
        worse => worse(run),
        warnings => facts::warnings(run),
        team => team::picture(run),
        agents => agents::view(run),
        system => agents::system(run),
        any_worth => agents::best(run).is_some(),
        gate => gate::view(run),
        verdicts => curves::view(run),
        trials => lineage::trials(run),
        charts => chart::view(run),
        legend => chart::legend(run),
        // What comes first gets the room.
        cases => cases::view(run, links),
        misaligned => misaligned::view(run),
        lineage => lineage::view(run),
        judge => steps::judge(run),
        steps => steps::view(run),
        labels => labels::view(run),
        bill => facts::bill(run),
        identity => facts::identity(run),
        why_not => run.why_not,
        hash => run.report.as_ref().map(|report| report.result_hash.to_string()),
    }
}

fn excerpt_command(command: &str) -> String {
    super::visible::visible(command, 2_000)
}

fn subtitle(run: &Run<'_>) -> String {
    let Some(result) = &run.result else { return String::new() };
    let method = result.method.as_deref().map_or("MASPO".to_string(), name);
    let model = |model: &ModelIdentity| format!("{} ({})", name(&model.name), model.digest.short());
    let models = &result.models;
    let models = if models.worker == models.optimizer && models.worker == models.judge {
        format!("{} in every role", model(&models.worker))
    } else {
        format!("{}, optimizer {}, judge {}", model(&models.worker), model(&models.optimizer), model(&models.judge))
    };
    format!("{method}, seed {}, {models}", result.seed.0)
}

/// What changed, in one or two sentences.
fn changed(run: &Run<'_>) -> String {
    let names: Vec<String> = run.changed().map(|line| name(&line.agent)).collect();
    let total = run.prompts.len();
    let mut text = match names.as_slice() {
        [] if run.result.is_none() => return "Nothing yet.".to_string(),
        [] => "No prompt changed.".to_string(),
        names => format!("{} of {}: {}.", names.len(), counted(total, "prompt", "prompts"), names.join(", ")),
    };
    if has_system(run) {
        text += " The method ended with a system of its own, which is below (system.json).";
    }
    text
}

fn has_system(run: &Run<'_>) -> bool {
    run.result.as_ref().is_some_and(|result| result.system.is_some())
}

/// Whose change did it, in one or two sentences.
fn credit(run: &Run<'_>) -> Vec<String> {
    let shown = gate::credit(run);
    if !shown.is_empty() && run.changed().next().is_none() {
        return shown;
    }
    [shown, by_judge(run)].concat()
}

/// Whose change did it, by what the search recorded.
fn by_judge(run: &Run<'_>) -> Vec<String> {
    let changed = run.changed().count();
    let Some((line, worth)) = agents::best(run) else {
        let words = if has_system(run) {
            "The system as a whole: it takes the place of the team."
        } else if changed == 0 {
            "There is no change to be credited."
        } else {
            "This run does not record what each change was worth."
        };
        return vec![words.to_string()];
    };
    let agent = name(&line.agent);
    let interval = worth.ci95.map_or(String::new(), |bounds| format!(", 95 % interval {}", signed_interval(bounds)));
    let value = format!(
        "worth {} in the search ({}{interval})",
        signed(worth.value),
        counted(worth.queries, "judged query", "judged queries")
    );
    match changed {
        1 => vec![format!("{agent}: it is the only change, so the whole difference is its own. It was {value}.")],
        _ => {
            let mut sentences =
                vec![format!("By the judge, {agent} most: its change was {value}, the most of {changed} changes.")];
            let measured = run.report.as_ref().is_some_and(|report| report.difference.is_some());
            let caveat = "That is the judge's preference on unlabelled queries; held-out cases measure all changes \
                          together.";
            sentences.extend(measured.then(|| caveat.to_string()));
            sentences
        }
    }
}

/// What got worse: the count and the first case.
fn worse(run: &Run<'_>) -> Value {
    let count = run.evaluations().map(|_| cases::positions(run, cases::Change::Worse).len());
    let total = run.seed.as_ref().map(|seed| seed.items.len());
    let words = match (count, total) {
        (None, _) | (_, None) => "Not measured: there are no held-out cases to compare.".to_string(),
        (Some(0), _) => "No held-out case that was right before is wrong now.".to_string(),
        (Some(count), Some(total)) => format!(
            "{} of {} right before and wrong now.",
            thousands(count as u64),
            counted(total, "held-out case", "held-out cases")
        ),
    };
    context! { words => words, first => cases::first_worse(run), anchor => run.anchor("cases") }
}

/// The title of the page.
pub(super) fn title(runs: &[Run<'_>]) -> String {
    match runs {
        [run] => format!("{}: {}", name(&run.record.name), verdict::Verdict::of(run).words()),
        runs => {
            let mut names: Vec<String> = runs.iter().map(|run| excerpt(&run.record.name)).collect();
            names.dedup();
            format!("{} runs: {}", runs.len(), names.iter().take(4).cloned().collect::<Vec<_>>().join(", "))
        }
    }
}
