//! SPO (self-supervised prompt optimization, arXiv 2502.06855), adapted to a team: one agent after
//! the other, in topological order. In each round the optimizer model rewrites the agent's best
//! prompt after seeing its answers to a few questions, and the new prompt is kept if its answers
//! win. The agent is looked at alone, with what it reads: that is the local reward that MASPO's
//! joint one is compared with.

use super::AnswerSets;
use super::lab::{Lab, of_runner};
use crate::base::{AgentId, Stage};
use crate::chat::ChatError;
use crate::graph::{Agent, Edge, Graph};
use crate::judge::template::{Answer, Question};
use crate::judge::{Judge, JudgeOptions};
use crate::prompt::{Rejection, Template};
use crate::propose::{Draw, Proposal};
use crate::reward::{Reward, SampleReward, compare};
use crate::rollout::{Prompts, Runner, Trace};
use crate::search::{CandidateRecord, Counters, Event, Outcome, Proposed, Ranked, SearchError, Step, round_score};
use futures::future::try_join_all;
use std::sync::Arc;

/// Goes over the agents, as often as the options say.
pub(super) async fn run(lab: &mut Lab<'_>) -> Result<(), SearchError> {
    let agents = lab.agents();
    let mut states: Vec<State> = agents.iter().map(|id| State::new(lab.best.get(*id).clone())).collect();
    for sweep in 1..=lab.input.options.sweeps {
        for (id, state) in agents.iter().zip(&mut states) {
            let (team, before) = (Upstream::of(lab, *id), lab.aside);
            for round in 1..=lab.input.options.rounds {
                lab.input.search.proceed()?;
                step(lab, (&team, before), state, (sweep, round)).await?;
            }
        }
    }
    Ok(())
}

/// The best prompt of one agent.
struct State {
    best: Template,
    id: usize,
    /// The number of prompts that were evaluated, including the seed prompt.
    made: usize,
}

impl State {
    fn new(best: Template) -> Self {
        Self { best, id: 0, made: 1 }
    }
}

/// An agent with everything that it reads from, in which it is the terminal agent.
struct Upstream {
    /// The agent in the whole graph.
    agent: AgentId,
    graph: Arc<Graph>,
    runner: Runner,
    /// The agents of `graph` in the whole graph.
    original: Vec<AgentId>,
}

impl Upstream {
    fn of(lab: &Lab<'_>, agent: AgentId) -> Self {
        let (whole, search) = (lab.graph(), &lab.input.search);
        let reaches = |id: AgentId| id == agent || whole.descendants(id).contains(&agent);
        let original: Vec<AgentId> = (0..whole.agents().len()).map(AgentId).filter(|id| reaches(*id)).collect();
        let position = |id: AgentId| original.iter().position(|other| *other == id).map(AgentId);
        let edge = |edge: &Edge| Some(Edge { from: position(edge.from)?, to: position(edge.to)?, view: edge.view });
        let agents: Vec<Agent> = original.iter().map(|id| whole.agent(*id).clone()).collect();
        let edges = whole.edges().iter().filter_map(edge).collect();
        let graph = Graph::new(agents, edges, usize::MAX).expect("the part of a graph above an agent is a graph");
        let graph = Arc::new(graph);
        let summary = search.templates().summary.clone();
        let runner = Runner::new(graph.clone(), search.worker.clone(), search.options.rollout.clone(), summary);
        Self { agent, graph, runner, original }
    }

    fn prompts(&self, best: &Prompts) -> Prompts {
        let prompts = Prompts::seed(&self.graph);
        self.original
            .iter()
            .enumerate()
            .fold(prompts, |prompts, (at, id)| prompts.with(AgentId(at), best.get(*id).clone()))
    }

    fn terminal(&self) -> AgentId {
        self.graph.terminal()
    }
}

async fn step(
    lab: &mut Lab<'_>,
    (team, earlier): (&Upstream, Counters),
    state: &mut State,
    (sweep, round): (usize, usize),
) -> Result<(), SearchError> {
    let path = [sweep as u64, team.agent.0 as u64, round as u64];
    let positions = lab.draw(lab.input.options.questions, lab.seed().derive(Stage::MiniBatch, &path));
    let prompts = team.prompts(&lab.best);
    let before = team.runner.run(&prompts, &lab.batch(&positions)).await?;
    let draw = [path[0], path[1], path[2], 0, 0];
    let turn = (sweep - 1) * lab.input.options.rounds + round - 1;
    let draw = Draw { path: &draw, turn };
    let Proposal { prompt, assignment, change } =
        lab.propose((&team.graph, team.terminal()), &state.best, (&before, &[]), draw).await?;
    let prompt = match prompt {
        Ok(sanitized) if sanitized.prompt.text().trim() == state.best.text().trim() => {
            Err((Rejection::Duplicate, Some(sanitized.prompt.text().to_string())))
        }
        Ok(sanitized) => Ok(sanitized),
        Err(rejected) => Err((rejected.reason, rejected.text)),
    };
    let usable = usize::from(prompt.is_ok());
    let (round_of, agent) = (sweep, team.agent);
    lab.emit(Event::Proposed(Proposed { round: sweep, agent, step: round, usable, rejected: 1 - usable })).await?;

    let parents = vec![Ranked { id: state.id, score: 0.0 }];
    let parent = state.id;
    let mut improved = false;
    let outcome = match prompt {
        Err((reason, text)) => Outcome::Rejected { reason, text },
        Ok(sanitized) => {
            let changed = prompts.with(team.terminal(), sanitized.prompt.clone());
            let after = team.runner.rerun_all(&before, team.terminal(), &changed).await?;
            let values = votes(lab, team, (&before, &after), &path).await?;
            let mean = round_score(values.iter().sum::<f64>() / values.len() as f64);
            let id = state.made;
            state.made += 1;
            improved = mean > 0.5;
            if improved {
                (state.best, state.id) = (sanitized.prompt.clone(), id);
                lab.best = lab.best.with(team.agent, sanitized.prompt.clone());
            }
            // With a vote on the whole set, every question has the verdict on the set.
            let value = |at: usize| values.get(at).copied().filter(|_| values.len() == after.len()).unwrap_or(mean);
            let sample = |(at, trace): (usize, &Trace)| {
                let local = value(at);
                SampleReward { item: trace.item, local: Some(local), lookahead: None, global: None, joint: local }
            };
            let samples: Vec<_> = after.iter().enumerate().map(sample).collect();
            let local_better = samples.iter().filter(|sample| sample.local == Some(1.0)).count();
            Outcome::Scored {
                id,
                prompt: sanitized.prompt,
                repaired: sanitized.repaired,
                reward: Reward { mean, samples },
                score: round_score(mean - 0.5),
                local_better,
                misaligned: 0,
                dropped_after: None,
            }
        }
    };
    let score = match &outcome {
        Outcome::Scored { score, .. } if improved => *score,
        _ => 0.0,
    };
    lab.aside = earlier.plus(of_runner(&team.runner));
    let Counters { judge, avoided, overflows, cut_in_reasoning } = lab.counters();
    let event = Step {
        round: round_of,
        agent,
        step: round,
        batch: positions,
        parents,
        candidates: vec![CandidateRecord { parent, assignment, change, outcome }],
        beam: vec![Ranked { id: state.id, score }],
        best: state.id,
        improved,
        cases: 0,
        judge,
        avoided,
        overflows,
        cut_in_reasoning,
    };
    lab.emit(Event::Step(event)).await
}

/// Returns 1 for every vote that the new answers win, 0 for every vote that they lose, ½ for a tie.
async fn votes(
    lab: &Lab<'_>,
    team: &Upstream,
    (before, after): (&[Trace], &[Trace]),
    path: &[u64],
) -> Result<Vec<f64>, ChatError> {
    let id = team.terminal();
    if lab.input.options.compare == AnswerSets::Items {
        let one = |(base, new)| compare(&lab.judge, &team.graph, id, true, base, new, path);
        return try_join_all(before.iter().zip(after).map(one)).await;
    }
    let search = &lab.input.search;
    let (asked, old, new) = (questions(before, id), answers(before, id), answers(after, id));
    let agent = team.graph.agent(id);
    let question = Question { role: &agent.role, question: &asked, context: None, frozen: &agent.frozen };
    // Each vote sees one order, which a coin decides.
    let options = JudgeOptions { both_orders: false, ..search.options.judge.clone() };
    let judge = Judge::new(search.judge.clone(), options, search.seed, search.templates().judge.clone());
    let [old, new] = [&old, &new].map(|text| Answer { text, truncated: false });
    let vote = async |vote: usize| {
        let draw: Vec<u64> = path.iter().copied().chain([vote as u64]).collect();
        let swapped = search.seed.derive(Stage::Method, &draw).0 & 1 == 1;
        let (first, second) = if swapped { (old, new) } else { (new, old) };
        let value = judge.compare(&question, first, second, &draw).await?.value;
        Ok::<f64, ChatError>(if swapped { 1.0 - value } else { value })
    };
    let values = try_join_all((0..lab.input.options.votes).map(vote)).await?;
    lab.judge.add(&judge.stats());
    Ok(values)
}

/// The questions of a set with what the agent reads, numbered.
fn questions(traces: &[Trace], id: AgentId) -> String {
    let one = |(at, trace): (usize, &Trace)| match &*trace.run(id).context {
        "" => format!("Question {}:\n{}", at + 1, trace.question),
        context => format!("Question {}:\n{}\nMaterial:\n{context}", at + 1, trace.question),
    };
    traces.iter().enumerate().map(one).collect::<Vec<_>>().join("\n\n")
}

/// The answers of a set, numbered.
fn answers(traces: &[Trace], id: AgentId) -> String {
    let one = |(at, trace): (usize, &Trace)| format!("Answer {}:\n{}", at + 1, trace.output(id));
    traces.iter().enumerate().map(one).collect::<Vec<_>>().join("\n\n")
}
