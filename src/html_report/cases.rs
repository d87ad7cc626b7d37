//! Held-out cases before and after: those that are wrong now and were right first, then those that
//! are right now, then a sample of the rest, each with what every agent wrote.

use super::input::Run;
use super::numbers::{counted, thousands};
use super::page::Links;
use super::visible::{TEXT, excerpt, name, visible};
use crate::base::AgentId;
use crate::eval::ItemResult;
use crate::rollout::Trace;
use crate::run::Evidence;
use minijinja::{Value, context};

/// The most cases of each kind on a page with one run: right before and wrong now, the reverse,
/// wrong twice, right twice.
const MOST: [usize; 4] = [80, 80, 12, 12];
/// The most cases of each kind on a page with many runs.
const FEW: usize = 4;

/// How a case changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Worse,
    Better,
    Wrong,
    Right,
}

impl Change {
    pub(super) const ALL: [Self; 4] = [Self::Worse, Self::Better, Self::Wrong, Self::Right];

    fn of(before: &ItemResult, after: &ItemResult) -> Self {
        match (before.is_correct(), after.is_correct()) {
            (true, false) => Self::Worse,
            (false, true) => Self::Better,
            (false, false) => Self::Wrong,
            (true, true) => Self::Right,
        }
    }

    fn class(self) -> &'static str {
        ["worse", "better", "wrong", "right"][self as usize]
    }

    /// The words and the shape on the page.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Worse => ("got worse", "▼"),
            Self::Better => ("got better", "▲"),
            Self::Wrong => ("wrong twice", "✗"),
            Self::Right => ("right twice", "✓"),
        }
    }
}

/// Returns the positions of the cases that changed in this way; none if there is nothing to
/// compare.
pub(super) fn positions(run: &Run<'_>, change: Change) -> Vec<usize> {
    let Some((seed, optimized)) = run.evaluations() else { return Vec::new() };
    let pairs = seed.items.iter().zip(&optimized.items).enumerate();
    pairs.filter(|(_, (before, after))| Change::of(before, after) == change).map(|(at, _)| at).collect()
}

/// The first case that got worse, in one line; `None` if none did.
pub(super) fn first_worse(run: &Run<'_>) -> Option<Value> {
    let at = *positions(run, Change::Worse).first()?;
    let item = &run.seed.as_ref()?.items[at];
    let case = run.evidence.and_then(|evidence| case_of(evidence, at, item));
    let question = case.map(|case| excerpt(&case.query.question));
    Some(context! { id => name(&item.id), anchor => run.anchor(&format!("case-{at}")), question => question })
}

/// The cases that the page shows, with the counts of all.
pub(super) fn view(run: &Run<'_>, links: &Links) -> Option<Value> {
    let (seed, optimized) = run.evaluations()?;
    let (mut shown, mut groups) = (Vec::new(), Vec::new());
    for change in Change::ALL {
        let all = positions(run, change);
        let chosen = spread(&all, run.scaled(MOST[change as usize], FEW));
        let (words, shape) = change.words();
        groups.push(context! {
            class => change.class(),
            words => words,
            shape => shape,
            count => thousands(all.len() as u64),
            note => (chosen.len() < all.len()).then(|| format!("{} shown", chosen.len())),
        });
        shown.extend(chosen.into_iter().map(|at| case(run, at, (&seed.items[at], &optimized.items[at]), false)));
    }
    Some(context! {
        groups => groups,
        cases => shown,
        total => counted(seed.items.len(), "held-out case", "held-out cases"),
        pages => links.trace_pages(run.number),
        name => run.anchor("show"),
        first => if positions(run, Change::Worse).is_empty() { "all" } else { Change::Worse.class() },
        why_not => run.why_not,
    })
}

/// Returns at most `most` of the positions, spread evenly.
fn spread(all: &[usize], most: usize) -> Vec<usize> {
    if all.len() <= most {
        return all.to_vec();
    }
    (0..most).map(|at| all[at * all.len() / most]).collect()
}

/// The view of one case. Its texts are shown if they fit onto the page, or always if it is `whole`.
pub(super) fn case(run: &Run<'_>, at: usize, (before, after): (&ItemResult, &ItemResult), whole: bool) -> Value {
    let change = Change::of(before, after);
    let (words, shape) = change.words();
    let known = run.evidence.and_then(|evidence| Some((evidence, case_of(evidence, at, before)?)));
    let question = known.map(|(_, case)| visible(&case.query.question, TEXT));
    let outputs = known.and_then(|(evidence, _)| outputs(run, evidence, at));
    let has_room = whole || {
        let texts = outputs.iter().flatten().flat_map(|output| [Some(&*output.before), output.after.as_deref()]);
        run.fits(texts.flatten().chain(question.as_deref()))
    };
    let missing = match (&known, &outputs) {
        (None, _) => Some(run.why_not.to_string()),
        (Some(_), None) => Some("What the agents wrote was not kept.".to_string()),
        (Some(_), Some(_)) if has_room => None,
        (Some(_), Some(_)) => Some("The texts are left out, because the page would be too large.".to_string()),
    };
    let outputs = outputs.filter(|_| has_room);
    context! {
        anchor => run.anchor(&format!("case-{at}")),
        id => name(&before.id),
        class => change.class(),
        words => words,
        shape => shape,
        gold => known.map(|(_, case)| excerpt(&case.answer)),
        before => answer(run, before),
        after => answer(run, after),
        excerpt => known.map(|(_, case)| excerpt(&case.query.question)),
        question => question.filter(|_| has_room),
        agents => outputs.map(|outputs| outputs.into_iter().map(Written::view).collect::<Vec<_>>()),
        missing => missing,
    }
}

fn case_of<'a>(evidence: &'a Evidence, at: usize, item: &ItemResult) -> Option<&'a crate::task::Case> {
    evidence.cases().get(at).filter(|case| case.query.id == item.id)
}

/// The answer of a case in words, with what kept it from being one.
fn answer(run: &Run<'_>, item: &ItemResult) -> Value {
    let text = match &item.answer {
        _ if run.record.private => if item.is_correct() { "right" } else { "wrong" }.to_string(),
        Some(answer) => excerpt(answer),
        None if item.overflow => "none: a prompt was too long".to_string(),
        None if item.cut_in_reasoning => "none: it ended in its reasoning".to_string(),
        None => "none".to_string(),
    };
    let outcome = item.outcome.name();
    context! { text => text, right => item.is_correct(), outcome => outcome }
}

/// What an agent wrote with the seed prompts and with the new ones.
struct Written {
    name: String,
    before: String,
    after: Option<String>,
}

impl Written {
    fn view(self) -> Value {
        let same = self.after.as_ref() == Some(&self.before);
        context! { name => self.name, same => same, before => self.before, after => self.after }
    }
}

/// What every agent wrote; `None` if it was not kept.
fn outputs(run: &Run<'_>, evidence: &Evidence, at: usize) -> Option<Vec<Written>> {
    let result = run.result.as_ref()?;
    let question = &evidence.cases().get(at)?.query.question;
    let before = evidence.trace(&result.seed_prompts, at, question)?;
    // A system of its own has no trace of the team.
    let after = evidence.trace(&result.prompts, at, question).filter(|_| result.system.is_none());
    let written = |id: &AgentId| Written {
        name: name(&result.agents[id.0]),
        before: output(&before, *id),
        after: after.as_ref().map(|after| output(after, *id)),
    };
    Some(evidence.settings().graph.order().iter().map(written).collect())
}

/// Returns what an agent wrote, or why it wrote nothing.
pub(super) fn output(trace: &Trace, id: AgentId) -> String {
    let run = trace.run(id);
    if run.overflow {
        return "[nothing: its prompt was too long for the model]".to_string();
    }
    if run.cut_in_reasoning {
        return "[nothing: it ended in its reasoning]".to_string();
    }
    if run.output.trim().is_empty() {
        return "[nothing]".to_string();
    }
    visible(&run.output, TEXT) + if run.truncated { " [ended at the limit of new tokens]" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_all() {
        assert_eq!(spread(&[1, 2, 3], 5), [1, 2, 3]);
        assert_eq!(spread(&(0..100).collect::<Vec<_>>(), 4), [0, 25, 50, 75]);
        assert!(spread(&[], 3).is_empty());
    }
}
