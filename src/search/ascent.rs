//! Coordinate ascent: one loop, whose options are the ablations. It decides; [`Trial`] asks the models; every decision
//! leaves as an event before it is acted on.

use super::beam::{Node, agreement, child_score, improvement, ranks, rescore, round_score, select};
use super::copied;
use super::events::{
    Candidate, EVENTS_VERSION, Event, EventSink, FinalCheck, FinalVerdict, Finished, Models, Outcome, Proposed,
    Refreshed, Started, Step,
};
use super::input::{SearchError, SearchInput};
use super::plan::plan;
use super::result::SearchResult;
use super::schedule::{Visit, draw_batch, optimizable, visits};
use super::trial::{Litter, Trial, Tried, Turn};
use crate::base::{AgentId, Stage};
use crate::chat::ChatError;
use crate::graph::Graph;
use crate::misalignment::{Buffer, Case, is_misaligned};
use crate::prompt::{Rejection, Sanitized, Template};
use crate::rollout::Prompts;
use futures::future::try_join_all;

/// Optimizes the prompts of the input's graph.
///
/// # Errors
/// What is wrong with the input, a failed model, a failed sink, or a requested stop.
pub async fn optimize(input: SearchInput, sink: &mut dyn EventSink) -> Result<SearchResult, SearchError> {
    input.check()?;
    let mut ascent =
        Ascent { state: State::new(&input), trial: Trial::new(&input), input: &input, sink, events: vec![] };
    ascent.start().await?;
    for visit in visits(&input.graph, &input.options.search) {
        ascent.visit(visit).await?;
    }
    let check = ascent.final_check().await?;
    ascent.finish(check).await?;
    Ok(SearchResult::from_events(&ascent.events).expect("a run starts with its first event"))
}

/// What the search knows of one agent.
struct AgentState {
    /// The top K, best first (as of the last step or refresh).
    beam: Vec<Node>,
    /// best_i.
    best: usize,
    /// Prompts made so far, the seed prompt among them: the next one's id.
    made: usize,
    cases: Buffer,
}

struct State {
    agents: Vec<AgentState>,
    /// The best prompt of every agent.
    best: Prompts,
}

impl State {
    fn new(input: &SearchInput) -> Self {
        let best = Prompts::seed(&input.graph);
        let seed_node = |prompt| Node { id: 0, prompt, score: 0.0 };
        let agent = |(_, prompt): (AgentId, &Template)| AgentState {
            beam: vec![seed_node(prompt.clone())],
            best: 0,
            made: 1,
            cases: Buffer::new(input.options.misalignment.clone()),
        };
        Self { agents: best.iter().map(agent).collect(), best }
    }
}

struct Ascent<'a> {
    input: &'a SearchInput,
    trial: Trial<'a>,
    state: State,
    sink: &'a mut dyn EventSink,
    events: Vec<Event>,
}

/// A candidate that is tried, or the reason why not.
struct Draft<'a> {
    litter: &'a Litter,
    /// Its place among its parent's candidates.
    index: usize,
    usable: Result<(usize, &'a Sanitized), Rejection>,
}

impl Ascent<'_> {
    async fn emit(&mut self, event: Event) -> Result<(), SearchError> {
        self.sink.emit(&event).await?;
        self.events.push(event);
        Ok(())
    }

    fn stop_if_asked(&self) -> Result<(), SearchError> {
        if self.input.cancel.is_cancelled() { Err(SearchError::Cancelled) } else { Ok(()) }
    }

    async fn start(&mut self) -> Result<(), SearchError> {
        let SearchInput { graph, pool, worker, optimizer, judge, seed, options, .. } = self.input;
        let models = Models { worker: worker.identity(), optimizer: optimizer.identity(), judge: judge.identity() };
        let started = Started {
            version: EVENTS_VERSION,
            seed: *seed,
            models,
            agents: graph.agents().iter().map(|agent| agent.name.clone()).collect(),
            optimized: optimizable(graph),
            prompts: self.state.best.clone(),
            pool: pool.len(),
            batch: options.search.batch.min(pool.len()),
            plan: plan(graph, options, pool.len()),
        };
        self.emit(Event::Started(started)).await
    }

    async fn visit(&mut self, visit: Visit) -> Result<(), SearchError> {
        if visit.returns {
            self.stop_if_asked()?;
            self.refresh(visit).await?;
        }
        for step in 1..=self.input.options.search.steps {
            self.stop_if_asked()?;
            self.step(Turn { round: visit.round, agent: visit.agent, step }).await?;
        }
        Ok(())
    }

    /// Eq. 8. Measured also when it is switched off, and then not applied.
    async fn refresh(&mut self, visit: Visit) -> Result<(), SearchError> {
        let Visit { round, agent, .. } = visit;
        let search = &self.input.options.search;
        let before = self.state.agents[agent.0].beam.clone();
        let (batch, rewards) = if before.len() > 1 {
            let seed = self.input.seed.derive(Stage::Refresh, &[round as u64, agent.0 as u64]);
            let batch = draw_batch(self.input.pool.len(), search.batch, seed);
            let queries = self.trial.batch(&batch);
            let rewards = self.trial.refresh(round, agent, &self.state.best, &before, &queries).await?;
            (batch, rewards)
        } else {
            (Vec::new(), vec![None])
        };
        let after = rescore(&before, &rewards);
        let (tau, top1) = agreement(&before, &after);
        let event = Refreshed {
            round,
            agent,
            batch,
            before: ranks(&before),
            after: ranks(&after),
            tau,
            top1,
            applied: search.refresh,
            judge: self.trial.judge.stats(),
            avoided: self.trial.runner.avoided(),
            overflows: self.trial.runner.overflows(),
        };
        self.emit(Event::Refreshed(event)).await?;
        if search.refresh {
            self.state.agents[agent.0].beam = after;
        }
        Ok(())
    }

    async fn step(&mut self, turn: Turn) -> Result<(), SearchError> {
        let Turn { round, agent, step } = turn;
        let search = &self.input.options.search;
        let state = &self.state.agents[agent.0];
        let (parents, mut cases) = (state.beam.clone(), state.cases.clone());
        let (old, made) = (state.best, state.made);

        let seed = self.input.seed.derive(Stage::MiniBatch, &turn.path());
        let positions = draw_batch(self.input.pool.len(), search.batch, seed);
        let batch = self.trial.batch(&positions);
        let litters = self.trial.litters(turn, &self.state.best, &parents, &cases, &batch).await?;
        let drafts = admit(&parents, &litters, made);
        let usable = drafts.iter().filter(|draft| draft.usable.is_ok()).count();
        let rejected = drafts.len() - usable;
        self.emit(Event::Proposed(Proposed { round, agent, step, usable, rejected })).await?;

        let tried = try_all(&self.trial, &self.state.best, turn, &drafts).await?;
        let mut nodes = Vec::with_capacity(usable);
        let candidates: Vec<_> = drafts
            .iter()
            .zip(&tried)
            .map(|(draft, tried)| {
                let parent = &parents[draft.litter.parent];
                Candidate { parent: parent.id, outcome: outcome(draft, tried.as_ref(), parent, &mut nodes) }
            })
            .collect();
        let beam = select(&parents, &nodes, search.beam);
        let incumbent = parents.iter().find(|node| node.id == old);
        let incumbent = incumbent.expect("the best prompt leaves the beam only to a better one");
        let best = improvement(&beam, incumbent).map_or(old, |node| node.id);
        collect(&self.input.graph, agent, &tried, &mut cases);

        let event = Step {
            round,
            agent,
            step,
            batch: positions,
            parents: ranks(&parents),
            candidates,
            beam: ranks(&beam),
            best,
            improved: best != old,
            cases: cases.len(),
            judge: self.trial.judge.stats(),
            avoided: self.trial.runner.avoided(),
            overflows: self.trial.runner.overflows(),
        };
        self.emit(Event::Step(event)).await?;

        if let Some(node) = beam.iter().find(|node| node.id == best) {
            self.state.best = self.state.best.with(agent, node.prompt.clone());
        }
        self.state.agents[agent.0] = AgentState { beam, best, made: made + nodes.len(), cases };
        Ok(())
    }

    /// Seed against optimized on a fresh batch, by the system's answers. The seed wins below ½.
    async fn final_check(&mut self) -> Result<FinalCheck, SearchError> {
        self.stop_if_asked()?;
        let optimized = self.state.best.clone();
        let unchanged = optimized == Prompts::seed(&self.input.graph);
        let check = if unchanged {
            FinalCheck { batch: vec![], values: vec![], mean: None, verdict: FinalVerdict::Unchanged, optimized }
        } else {
            let seed = self.input.seed.derive(Stage::FinalCheck, &[]);
            let batch = draw_batch(self.input.pool.len(), self.input.options.search.final_check, seed);
            let values = self.trial.final_check(&optimized, &self.trial.batch(&batch)).await?;
            let mean = round_score(values.iter().sum::<f64>() / values.len() as f64);
            let verdict = match mean {
                mean if mean > 0.5 => FinalVerdict::Optimized,
                mean if mean < 0.5 => FinalVerdict::Seed,
                _ => FinalVerdict::Tie,
            };
            FinalCheck { batch, values, mean: Some(mean), verdict, optimized }
        };
        self.emit(Event::FinalCheck(check.clone())).await?;
        Ok(check)
    }

    async fn finish(&mut self, check: FinalCheck) -> Result<(), SearchError> {
        let seed = Prompts::seed(&self.input.graph);
        let kept_seed = check.verdict == FinalVerdict::Seed;
        let prompts = if kept_seed { seed.clone() } else { check.optimized };
        let finished = Finished {
            copied: copied::find(&seed, &prompts, &self.input.pool),
            prompts,
            kept_seed,
            judge: self.trial.judge.stats(),
            avoided: self.trial.runner.avoided(),
            overflows: self.trial.runner.overflows(),
        };
        self.emit(Event::Finished(finished)).await
    }
}

/// Gives ids to the proposals that may be tried, from `made` on in the order of creation. A text that stands in the beam or
/// was proposed before in this step is a duplicate.
fn admit<'a>(parents: &[Node], litters: &'a [Litter], made: usize) -> Vec<Draft<'a>> {
    let mut known: Vec<&str> = parents.iter().map(|node| node.prompt.text().trim()).collect();
    let mut next = made;
    let mut drafts = Vec::new();
    for litter in litters {
        for (index, proposal) in litter.proposals.iter().enumerate() {
            let usable = match proposal {
                Err(reason) => Err(*reason),
                Ok(candidate) if known.contains(&candidate.prompt.text().trim()) => Err(Rejection::Duplicate),
                Ok(candidate) => {
                    known.push(candidate.prompt.text().trim());
                    next += 1;
                    Ok((next - 1, candidate))
                }
            };
            drafts.push(Draft { litter, index, usable });
        }
    }
    drafts
}

/// All usable candidates of a step at once, in the order of `drafts`.
async fn try_all(
    trial: &Trial<'_>,
    best: &Prompts,
    turn: Turn,
    drafts: &[Draft<'_>],
) -> Result<Vec<Option<Tried>>, ChatError> {
    let one = async |draft: &Draft<'_>| match &draft.usable {
        Err(_) => Ok(None),
        Ok((_, candidate)) => {
            let place = [draft.litter.parent, draft.index];
            trial.candidate(turn, best, &draft.litter.traces, &candidate.prompt, place).await.map(Some)
        }
    };
    try_join_all(drafts.iter().map(one)).await
}

/// What became of a draft; a candidate that was tried joins `nodes` with J(c) = J(p) + R − ½.
fn outcome(draft: &Draft<'_>, tried: Option<&Tried>, parent: &Node, nodes: &mut Vec<Node>) -> Outcome {
    match (&draft.usable, tried) {
        (Err(reason), _) => Outcome::Rejected { reason: *reason },
        (Ok(_), None) => unreachable!("every usable draft is tried"),
        (Ok((id, candidate)), Some(tried)) => {
            let score = child_score(parent.score, tried.reward.mean);
            nodes.push(Node { id: *id, prompt: candidate.prompt.clone(), score });
            let samples = &tried.reward.samples;
            Outcome::Scored {
                id: *id,
                prompt: candidate.prompt.clone(),
                repaired: candidate.repaired,
                reward: tried.reward.clone(),
                score,
                local_better: samples.iter().filter(|sample| sample.local == Some(1.0)).count(),
                misaligned: samples.iter().filter(|sample| is_misaligned(sample)).count(),
            }
        }
    }
}

/// Offers every sample of every candidate to the agent's own buffer, in index order (Eq. 6).
fn collect(graph: &Graph, agent: AgentId, tried: &[Option<Tried>], cases: &mut Buffer) {
    for tried in tried.iter().flatten() {
        for (sample, trace) in tried.reward.samples.iter().zip(&tried.traces) {
            if cases.wants(sample) {
                cases.push(Case::of(graph, agent, trace));
            }
        }
    }
}
