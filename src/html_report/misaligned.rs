//! Misalignment cases in full: the question, what the agent wrote before and with the candidate's
//! prompt, and what its successors made of it.

use super::cases::output;
use super::input::Run;
use super::visible::{TEXT, name, visible};
use crate::base::AgentId;
use crate::run::{Evidence, MisalignedSample};
use minijinja::{Value, context};

const LEFT_OUT: &str = "[left out, because the page would be too large]";

/// The most cases on a page; its runs share them.
const MOST: usize = 24;

/// The cases with the number of all; `None` if none was found or nothing was judged.
pub(super) fn view(run: &Run<'_>) -> Option<Value> {
    let result = run.result.as_ref()?;
    let total: usize = result.misalignment.iter().map(|line| line.misaligned).sum();
    if total == 0 {
        return None;
    }
    let most = (MOST / run.of.max(1)).max(3);
    let cases = run.evidence.map(|evidence| {
        let samples = evidence.misaligned(result, most);
        samples.iter().map(|sample| case(run, evidence, sample)).collect::<Vec<_>>()
    });
    Some(context! {
        total => total,
        shown => cases.as_ref().map_or(0, Vec::len),
        cases => cases.unwrap_or_default(),
        why_not => run.why_not,
    })
}

fn case(run: &Run<'_>, evidence: &Evidence, sample: &MisalignedSample) -> Value {
    let graph = &evidence.settings().graph;
    let question = evidence.settings().pool.get(sample.reward.item).map(|query| visible(&query.question, TEXT));
    let traces = sample.before.as_ref().zip(sample.after.as_ref());
    let mut shown = vec![sample.agent];
    shown.extend(graph.descendants(sample.agent));
    let agents = traces.map(|(before, after)| {
        let agent = |id: &AgentId| {
            let (mut before, mut after) = (output(before, *id), output(after, *id));
            let same = before == after;
            if !run.fits([&*before, &*after]) {
                (before, after) = (LEFT_OUT.to_string(), LEFT_OUT.to_string());
            }
            context! {
                name => name(&graph.agent(*id).name),
                own => *id == sample.agent,
                last => *id == graph.terminal(),
                before => before,
                after => after,
                same => same,
            }
        };
        shown.iter().map(agent).collect::<Vec<_>>()
    });
    let missing = agents.is_none().then_some("The traces of this case were not kept.");
    context! {
        agent => run.result.as_ref().map(|result| name(&result.agents[sample.agent.0])),
        place => format!("round {}, step {}", sample.round, sample.step),
        candidate => sample.candidate,
        parent => sample.parent,
        query => sample.reward.item,
        verdicts => verdicts(sample),
        question => question,
        agents => agents,
        missing => missing,
    }
}

/// The judge's verdicts on the three terms in words.
fn verdicts(sample: &MisalignedSample) -> Vec<Value> {
    let terms = [
        ("for the agent itself", sample.reward.local),
        ("for its successors", sample.reward.lookahead),
        ("for the final answer", sample.reward.global),
    ];
    let verdict = |(term, value): (&str, Option<f64>)| {
        let value = value?;
        let (words, class, shape) = match value {
            v if v > 0.5 => ("better", "better", "▲"),
            v if v < 0.5 => ("worse", "worse", "▼"),
            _ => ("equal", "same", "◆"),
        };
        Some(context! { term => term, words => words, class => class, shape => shape })
    };
    terms.into_iter().filter_map(verdict).collect()
}
