//! What changed for each agent and what its change was worth in the search: the judge's preference
//! along the chain of prompts from the seed prompt to the best one.

use super::gate;
use super::input::Run;
use super::numbers::{counted, share, signed, signed_interval};
use super::visible::{PROMPT, name, visible};
use super::words::{left_out, pieces};
use crate::base::AgentId;
use crate::report::{LineageLine, PromptLine};
use crate::reward::SampleReward;
use crate::rollout::{AnswerRule, SystemAgent};
use crate::search::{Outcome, SearchResult};
use crate::stats::mean_proportion;
use minijinja::{Value, context};

/// The worth of an agent's change: the sum of R − ½ over the chain of candidates from the seed
/// prompt to the best one. 0 is no preference; ½ is what one candidate gains that always wins.
#[derive(Clone, Default)]
pub(super) struct Worth {
    /// The number of candidates in the chain.
    pub(super) links: usize,
    /// The number of judged queries.
    pub(super) queries: usize,
    /// The sum.
    pub(super) value: f64,
    /// Its 95 % interval: those of the candidates' means over their queries, combined by squares
    /// (MOVER), since the batches of steps are drawn independently.
    pub(super) ci95: Option<(f64, f64)>,
    /// The means of the terms local, lookahead and global over all queries of the chain.
    terms: [Option<f64>; 3],
}

/// Returns the worth of the change of the agent of that name; `None` if the chain is not recorded.
pub(super) fn worth(run: &Run<'_>, agent: &str) -> Option<Worth> {
    let result = run.result.as_ref()?;
    let id = AgentId(result.agents.iter().position(|other| other == agent)?);
    let own: Vec<&LineageLine> = run.lineage.iter().filter(|line| line.agent == agent).collect();
    let best = own.iter().find(|line| line.best)?;
    let mut worth = Worth::default();
    let (mut below, mut above, mut whole) = (0.0, 0.0, Vec::new());
    let mut at = best.id;
    // A parent is older than its child, so the chain ends.
    while at != 0 {
        let (parent, samples) = candidate(result, id, at)?;
        let joint: Vec<f64> = samples.iter().map(|sample| sample.joint).collect();
        if parent >= at || joint.iter().any(|value| !(0.0..=1.0).contains(value)) {
            return None;
        }
        let (mean, (low, high)) = mean_proportion(&joint, 1)?;
        below += (mean - low).powi(2);
        above += (high - mean).powi(2);
        worth.links += 1;
        worth.queries += joint.len();
        worth.value += mean - 0.5;
        whole.extend(samples);
        at = parent;
    }
    worth.ci95 = (worth.links > 0).then(|| (worth.value - below.sqrt(), worth.value + above.sqrt()));
    worth.terms = terms(&whole);
    Some(worth)
}

/// The means of the terms local, lookahead and global, each over the samples that have it.
pub(super) fn terms(samples: &[SampleReward]) -> [Option<f64>; 3] {
    let mean = |term: fn(&SampleReward) -> Option<f64>| {
        let values: Vec<f64> = samples.iter().filter_map(term).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    [mean(|sample| sample.local), mean(|sample| sample.lookahead), mean(|sample| sample.global)]
}

/// Returns a candidate's parent and its samples.
fn candidate(result: &SearchResult, agent: AgentId, wanted: usize) -> Option<(usize, Vec<SampleReward>)> {
    let steps = result.steps.iter().filter(|step| step.agent == agent);
    steps.flat_map(|step| &step.candidates).find_map(|candidate| match &candidate.outcome {
        Outcome::Scored { id, reward, .. } if *id == wanted => Some((candidate.parent, reward.samples.clone())),
        _ => None,
    })
}

/// The agents, in the order of the team, each with its diff and what its change was worth.
pub(super) fn view(run: &Run<'_>) -> Vec<Value> {
    let best_known = best(run).map(|(line, _)| line.agent.as_str());
    let of = |(at, line): (usize, &PromptLine)| {
        let changed = line.before != line.after;
        let fits = run.fits([line.before.text(), line.after.text()]);
        let pieces = if fits { pieces(line.before.text(), line.after.text()) } else { left_out() };
        let (gone, new) = changed_words(&pieces);
        context! {
            name => name(&line.agent),
            key => visible(&line.agent, 1_000),
            anchor => run.anchor(&format!("agent-{at}")),
            role => role(run, at),
            changed => changed,
            optimized => line.optimized,
            most => best_known == Some(line.agent.as_str()),
            pieces => pieces,
            summary => if changed { format!("{new} added, {gone} removed") } else { String::new() },
            worth => worth(run, &line.agent).map(|worth| worth_view(&worth)),
            gate => gate::of_agent(run, &line.agent),
            misaligned => misaligned(run, &line.agent),
        }
    };
    run.prompts.iter().enumerate().map(of).collect()
}

/// The agent among those that changed whose change was worth most.
pub(super) fn best<'a>(run: &'a Run<'_>) -> Option<(&'a PromptLine, Worth)> {
    let mut found: Vec<(&PromptLine, Worth)> =
        run.changed().filter_map(|line| Some((line, worth(run, &line.agent)?))).filter(|(_, w)| w.links > 0).collect();
    found.sort_by(|(_, one), (_, other)| other.value.total_cmp(&one.value));
    found.into_iter().next()
}

/// The system that a method ended with, if it is not the team with these prompts: its rule in
/// words, and its agents.
pub(super) fn system(run: &Run<'_>) -> Option<Value> {
    let private = run.record.private;
    let system = run.result.as_ref()?.system.as_ref()?;
    let rule = match system.rule {
        AnswerRule::Once => "run once".to_string(),
        AnswerRule::Vote { samples, temperature } => format!("{samples} runs at temperature {temperature}, which vote"),
        AnswerRule::Refine { rounds } => {
            format!("a draft, and at most {}", counted(rounds, "revision", "revisions"))
        }
    };
    let agent = |agent: &SystemAgent| {
        let prompt = if private { HIDDEN.to_string() } else { visible(agent.prompt.text(), PROMPT) };
        let prompt = if run.fits([&*prompt]) { pieces(&prompt, &prompt) } else { left_out() };
        context! { name => name(&agent.name), role => visible(&agent.role, 300), pieces => prompt }
    };
    let names: Vec<String> = system.agents.iter().map(|agent| name(&agent.name)).collect();
    Some(context! {
        rule => rule,
        names => names.join(", "),
        agents => system.agents.iter().map(agent).collect::<Vec<_>>(),
    })
}

/// What stands for a prompt that may hold words of private data.
const HIDDEN: &str = "[not shown: the data is private]";

fn worth_view(worth: &Worth) -> Value {
    let [local, lookahead, global] = worth.terms.map(|term| term.map(share));
    context! {
        links => worth.links,
        value => signed(worth.value),
        interval => worth.ci95.map(signed_interval),
        queries => counted(worth.queries, "query", "queries"),
        chain => counted(worth.links, "candidate", "candidates"),
        local => local,
        lookahead => lookahead,
        global => global,
    }
}

fn role(run: &Run<'_>, at: usize) -> Option<String> {
    let graph = run.graph.as_ref()?;
    Some(visible(&graph.agents().get(at)?.role, 300))
}

fn misaligned(run: &Run<'_>, agent: &str) -> Option<String> {
    let result = run.result.as_ref()?;
    let line = result.misalignment.iter().find(|line| result.agents[line.agent.0] == agent)?;
    (line.misaligned > 0).then(|| {
        format!(
            "{} of the {} that were better for it alone were worse for the team ({})",
            line.misaligned,
            counted(line.local_better, "answer", "answers"),
            share(line.rate.unwrap_or(0.0))
        )
    })
}

/// The numbers of words that a change removed and added.
fn changed_words(pieces: &[Value]) -> (String, String) {
    let (mut gone, mut new) = (0, 0);
    for piece in pieces {
        let text = piece.get_attr("text").ok().map_or(0, |text| text.to_string().split_whitespace().count());
        match piece.get_attr("kind").ok().map(|kind| kind.to_string()).as_deref() {
            Some("gone") => gone += text,
            Some("new") => new += text,
            _ => {}
        }
    }
    (counted(gone, "word", "words"), counted(new, "word", "words"))
}
