//! The exact agents: from a prompt's set of clauses and an input to the output, as a value and as
//! text. The model is trained to do the same from the texts alone.

use crate::clauses::{Clause, Prompt, Role};
use crate::world::{Fact, Label, Session, Signal, alert, leader};

/// A finding: the label that a fact points to, or an alert.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Finding {
    /// The signal of the fact; `None` for an alert.
    pub(crate) signal: Option<Signal>,
    pub(crate) label: Label,
}

/// An agent's answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Output {
    Facts { facts: Vec<Fact>, brief: bool },
    Findings { findings: Vec<Finding>, brief: bool },
    Verdict { tally: Option<[usize; 4]>, alert: Option<Label>, label: Label },
}

impl Output {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Facts { facts, brief } => list(facts.iter().map(|fact| fact.text()), *brief),
            Self::Findings { findings, brief } => list(
                findings.iter().map(|finding| {
                    format!("{} {}", finding.signal.map_or("alert", Signal::name), finding.label.name())
                }),
                *brief,
            ),
            Self::Verdict { tally, alert, label } => {
                let mut text = String::new();
                if let Some(tally) = tally {
                    let counts = Label::ALL.map(|label| format!("{} {}", label.name(), tally[label as usize]));
                    text = counts.join(", ");
                    text.push('\n');
                }
                if let Some(label) = alert {
                    text.push_str(&format!("alert {}\n", label.name()));
                }
                text.push_str(&format!("<answer>{}</answer>", label.name()));
                text
            }
        }
    }

    /// The findings that a successor reads, as values.
    pub(crate) fn findings(&self) -> &[Finding] {
        if let Self::Findings { findings, .. } = self { findings } else { &[] }
    }
}

fn list(items: impl Iterator<Item = String>, brief: bool) -> String {
    let items: Vec<_> = items.collect();
    let text = if items.is_empty() { "nothing".to_string() } else { items.join(", ") };
    if brief { format!("In short: {text}") } else { text }
}

/// Runs an extractor or a specialist.
pub(crate) fn read_session(prompt: &Prompt, session: &Session) -> Output {
    let facts: Vec<_> = Signal::ALL
        .into_iter()
        .filter(|signal| prompt.has(Clause::Report(*signal)))
        .map(|signal| session.fact(signal))
        .collect();
    let brief = prompt.has(Clause::Brief);
    if prompt.has(Clause::Point) {
        return point(prompt, &facts, |_| true);
    }
    let kept = if brief { 2 } else { 6 };
    Output::Facts { facts: facts.into_iter().take(kept).collect(), brief }
}

/// Runs the assessor.
pub(crate) fn assess(prompt: &Prompt, facts: &[Fact]) -> Output {
    point(prompt, facts, |signal| match signal {
        Signal::Agent | Signal::Cookies => prompt.has(Clause::WeighClient),
        Signal::Rate | Signal::Path => prompt.has(Clause::WeighTraffic),
        Signal::Referrer | Signal::Zone => prompt.has(Clause::WeighOrigin),
    })
}

fn point(prompt: &Prompt, facts: &[Fact], weighed: impl Fn(Signal) -> bool) -> Output {
    let mut findings: Vec<_> = facts
        .iter()
        .filter(|fact| weighed(fact.signal))
        .map(|fact| Finding { signal: Some(fact.signal), label: fact.value.label })
        .collect();
    let raised = alert(|signal| facts.iter().find(|fact| fact.signal == signal).map(|fact| fact.value.label));
    let wanted = |label| match label {
        Label::Stuffing => prompt.has(Clause::LoginAlert),
        Label::Scalper => prompt.has(Clause::CartAlert),
        _ => false,
    };
    findings.extend(raised.filter(|label| wanted(*label)).map(|label| Finding { signal: None, label }));
    let brief = prompt.has(Clause::Brief);
    if brief {
        findings.truncate(2);
    }
    Output::Findings { findings, brief }
}

/// Runs the terminal agent of either team.
pub(crate) fn verdict(prompt: &Prompt, findings: &[Finding]) -> Output {
    let raised = findings.iter().find(|finding| finding.signal.is_none()).map(|finding| finding.label);
    let alert = raised.filter(|_| prompt.has(Clause::AlertDecides));
    let counts = prompt.has(Clause::Count) && !prompt.has(Clause::AtOnce);
    if !counts {
        let first = findings.first().map_or(Label::Human, |finding| finding.label);
        return Output::Verdict { tally: None, alert, label: alert.unwrap_or(first) };
    }
    let mut tally = [0; 4];
    // An alert that does not decide is one finding among others.
    findings
        .iter()
        .filter(|finding| finding.signal.is_some() || alert.is_none())
        .for_each(|finding| tally[finding.label as usize] += 1);
    let label = alert.unwrap_or_else(|| leader(&tally, prompt.has(Clause::LateTie)));
    Output::Verdict { tally: Some(tally), alert, label }
}

/// Runs a team and returns the outputs in the order of its agents; `prompts` are in that order too.
pub(crate) fn run(prompts: &[Prompt], session: &Session) -> Vec<Output> {
    let mut outputs: Vec<Output> = Vec::new();
    for prompt in prompts {
        let output = match (prompt.role, outputs.last()) {
            (Role::Assess, Some(Output::Facts { facts, .. })) => assess(prompt, facts),
            (Role::Assess, _) => assess(prompt, &[]),
            (Role::Verdict, _) => {
                let findings: Vec<_> = outputs.iter().flat_map(|output| output.findings().to_vec()).collect();
                verdict(prompt, &findings)
            }
            _ => read_session(prompt, session),
        };
        outputs.push(output);
    }
    outputs
}
