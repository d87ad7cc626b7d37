//! Coordinate ascent: one loop over the agents, whose options are the ablations. This file decides;
//! [`Evaluator`] calls the models. Every decision is emitted as an event before it takes effect.

use super::beam::{Node, improvement, rank_correlation, ranks, rescore, round_score, select};
use super::candidates::{Field, deduplicate, outcome};
use super::copied;
use super::evaluator::{Evaluated, Evaluator, StepId};
use super::events::{
    CandidateRecord, Counters, EVENTS_VERSION, Event, EventSink, FinalCheck, FinalVerdict, Finished, Models, Proposed,
    Refreshed, Started, Step, Stopped,
};
use super::input::{SearchError, SearchInput};
use super::options::GateMode;
use super::plan::plan;
use super::result::SearchResult;
use super::schedule::{Visit, draw_batch, optimizable, visits};
use crate::base::{AgentId, Stage};
use crate::chat::ChatError;
use crate::graph::Graph;
use crate::misalignment::{Buffer, Case};
use crate::prompt::Template;
use crate::propose::{Attempts, Proposal};
use crate::rollout::Prompts;

/// Optimizes the prompts of the input's graph.
///
/// # Errors
/// Returns an error if the input is invalid, a model or the sink fails, or the search is cancelled.
pub async fn optimize(input: SearchInput, sink: &mut dyn EventSink) -> Result<SearchResult, SearchError> {
    input.check()?;
    let mut ascent = CoordinateAscent {
        state: State::new(&input),
        evaluator: Evaluator::new(&input),
        input: &input,
        sink,
        events: vec![],
        complete: Counters::default(),
        earlier: Counters::default(),
    };
    ascent.start().await?;
    let stopped = match ascent.ascend().await {
        Ok(()) => None,
        Err(SearchError::Limit(stopped)) => {
            ascent.forget_incomplete();
            Some(stopped)
        }
        Err(error) => return Err(error),
    };
    let check = ascent.final_check().await?;
    ascent.finish(check, stopped).await?;
    Ok(SearchResult::from_events(&ascent.events).expect("a run starts with its first event"))
}

/// The queries of the final check that are compared at once where there is a budget.
pub(super) const CHECKED_AT_ONCE: usize = 4;

/// The search state of one agent.
struct AgentState {
    /// The top K prompts, best first, as of the last step or refresh.
    beam: Vec<Node>,
    /// The id of best_i, the agent's best prompt.
    best: usize,
    /// The number of prompts created so far, including the seed prompt; also the next prompt's id.
    made: usize,
    /// The misalignment cases that the agent's next proposals show.
    cases: Buffer,
    /// What was tried and lost, which they show too.
    attempts: Attempts,
}

/// The search state of all agents.
struct State {
    agents: Vec<AgentState>,
    /// The best prompt of every agent.
    best: Prompts,
}

impl State {
    fn new(input: &SearchInput) -> Self {
        let best = Prompts::seed(&input.graph);
        let seed_node = |prompt| Node { id: 0, prompt, score: 0.0, verdicts: Vec::new() };
        let agent = |(_, prompt): (AgentId, &Template)| AgentState {
            beam: vec![seed_node(prompt.clone())],
            best: 0,
            made: 1,
            cases: Buffer::new(input.options.misalignment.clone()),
            attempts: Attempts::default(),
        };
        Self { agents: best.iter().map(agent).collect(), best }
    }
}

/// A running search.
pub(super) struct CoordinateAscent<'a> {
    pub(super) input: &'a SearchInput,
    pub(super) evaluator: Evaluator<'a>,
    state: State,
    sink: &'a mut dyn EventSink,
    events: Vec<Event>,
    /// The counters of all that is complete. A step that a limit cut off does not count, because
    /// how far it got depends on the order of its calls.
    pub(super) complete: Counters,
    /// The counters of all that was complete when a limit cut a step off.
    earlier: Counters,
}

impl CoordinateAscent<'_> {
    pub(super) async fn emit(&mut self, event: Event) -> Result<(), SearchError> {
        // Whatever an event reports is complete, so no call is in flight.
        self.input.budget.settle();
        self.complete = self.counters();
        self.sink.emit(&event).await?;
        self.events.push(event);
        Ok(())
    }

    pub(super) fn counters(&self) -> Counters {
        self.earlier.plus(self.evaluator.counters())
    }

    /// Goes on as if what a limit cut off had not begun.
    pub(super) fn forget_incomplete(&mut self) {
        (self.earlier, self.evaluator) = (self.complete, Evaluator::new(self.input));
    }

    /// Visits the agents in turn, to the end or to a limit.
    async fn ascend(&mut self) -> Result<(), SearchError> {
        for visit in visits(&self.input.graph, &self.input.options.search) {
            self.visit(visit).await?;
        }
        Ok(())
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
            method: self.input.method.map(str::to_string),
            labelled: 0,
            pool: pool.len(),
            held_back: options.search.held_back(pool.len()),
            batch: options.search.batch.min(pool.len() - options.search.held_back(pool.len())),
            plan: plan(graph, options, pool.len()),
        };
        self.emit(Event::Started(started)).await
    }

    async fn visit(&mut self, visit: Visit) -> Result<(), SearchError> {
        if visit.returns {
            self.input.proceed()?;
            self.refresh(visit).await?;
        }
        for step in 1..=self.input.options.search.steps {
            self.input.proceed()?;
            self.step(StepId { round: visit.round, agent: visit.agent, step }).await?;
        }
        Ok(())
    }

    /// Re-scores the beam of an agent that the search returns to (Eq. 8). With `search.refresh =
    /// false` the new scores are measured and reported, but not used.
    async fn refresh(&mut self, visit: Visit) -> Result<(), SearchError> {
        let Visit { round, agent, .. } = visit;
        let search = &self.input.options.search;
        let before = self.state.agents[agent.0].beam.clone();
        let (batch, rewards) = if before.len() > 1 {
            let seed = self.input.seed.derive(Stage::Refresh, &[round as u64, agent.0 as u64]);
            let batch = self.input.draw(seed);
            let queries = self.evaluator.batch(&batch);
            let rewards = self.evaluator.refresh(round, agent, &self.state.best, &before, &queries).await?;
            (batch, rewards)
        } else {
            (Vec::new(), vec![None])
        };
        let after = rescore(&before, &rewards);
        let (tau, top1) = rank_correlation(&before, &after);
        let event = Refreshed {
            round,
            agent,
            batch,
            before: ranks(&before),
            after: ranks(&after),
            tau,
            top1,
            applied: search.refresh,
            judge: self.evaluator.judge.stats(),
            avoided: self.evaluator.runner.avoided(),
            overflows: self.evaluator.runner.overflows(),
            cut_in_reasoning: self.evaluator.runner.cut_in_reasoning(),
        };
        self.emit(Event::Refreshed(event)).await?;
        if search.refresh {
            self.state.agents[agent.0].beam = after;
        }
        Ok(())
    }

    async fn step(&mut self, step_id: StepId) -> Result<(), SearchError> {
        let StepId { round, agent, step } = step_id;
        let search = &self.input.options.search;
        let state = &self.state.agents[agent.0];
        let (parents, mut cases, mut attempts) = (state.beam.clone(), state.cases.clone(), state.attempts.clone());
        let (old, made) = (state.best, state.made);

        let seed = self.input.seed.derive(Stage::MiniBatch, &step_id.path());
        let positions = self.input.draw(seed);
        let batch = self.evaluator.batch(&positions);
        let shown = (&cases, &*attempts.list());
        let proposals = self.evaluator.propose(step_id, &self.state.best, &parents, shown, &batch).await?;
        let candidates = deduplicate(&parents, &proposals, made);
        let usable = candidates.iter().filter(|candidate| candidate.usable.is_ok()).count();
        let rejected = candidates.len() - usable;
        self.emit(Event::Proposed(Proposed { round, agent, step, usable, rejected })).await?;

        let field = Field { evaluator: &self.evaluator, best: &self.state.best, step_id, candidates: &candidates };
        let evaluated = match search.racing {
            None => field.evaluate().await?,
            Some(error) => field.race(&parents, search.beam, error, seed).await?,
        };
        let mut nodes = Vec::with_capacity(usable);
        let candidates: Vec<_> = candidates
            .iter()
            .zip(&evaluated)
            .map(|(candidate, evaluated)| {
                let parent = &parents[candidate.proposals.parent];
                let Proposal { assignment, change, .. } = &candidate.proposals.list[candidate.index];
                if let Some(evaluated) = evaluated {
                    attempts.add(change.as_deref(), evaluated.reward.mean);
                }
                CandidateRecord {
                    parent: parent.id,
                    assignment: assignment.clone(),
                    change: change.clone(),
                    outcome: outcome(candidate, evaluated.as_ref(), batch.len(), parent, &mut nodes),
                }
            })
            .collect();
        let beam = select(&parents, &nodes, search.beam);
        let incumbent = parents.iter().find(|node| node.id == old);
        let incumbent = incumbent.expect("the best prompt leaves the beam only to a better one");
        let best = improvement(&beam, incumbent).map_or(old, |node| node.id);
        collect(&self.input.graph, agent, &evaluated, &mut cases);

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
            judge: self.evaluator.judge.stats(),
            avoided: self.evaluator.runner.avoided(),
            overflows: self.evaluator.runner.overflows(),
            cut_in_reasoning: self.evaluator.runner.cut_in_reasoning(),
        };
        self.emit(Event::Step(event)).await?;

        if let Some(node) = beam.iter().find(|node| node.id == best) {
            self.state.best = self.state.best.with(agent, node.prompt.clone());
        }
        self.state.agents[agent.0] = AgentState { beam, best, made: made + usable, cases, attempts };
        Ok(())
    }

    /// Compares the system's answers with the seed prompts and with the optimized prompts on a
    /// fresh batch. The seed prompts win if the mean is below ½.
    async fn final_check(&mut self) -> Result<FinalCheck, SearchError> {
        if self.input.cancel.is_cancelled() {
            return Err(SearchError::Cancelled);
        }
        let optimized = self.state.best.clone();
        let unchanged = optimized == Prompts::seed(&self.input.graph);
        let unmeasured = |verdict, optimized| FinalCheck {
            batch: vec![],
            values: vec![],
            mean: None,
            verdict,
            optimized,
            kept: None,
        };
        if !unchanged && self.input.closing_check && self.input.options.search.gate == GateMode::Anytime {
            let check = self.gate(optimized).await?;
            self.emit(Event::FinalCheck(check.clone())).await?;
            return Ok(check);
        }
        let (batch, values) =
            if unchanged || !self.input.closing_check { (vec![], vec![]) } else { self.close(&optimized).await? };
        let check = if unchanged {
            unmeasured(FinalVerdict::Unchanged, optimized)
        } else if values.is_empty() {
            unmeasured(FinalVerdict::Unchecked, optimized)
        } else {
            let mean = round_score(values.iter().sum::<f64>() / values.len() as f64);
            let verdict = match mean {
                mean if mean > 0.5 => FinalVerdict::Optimized,
                mean if mean < 0.5 => FinalVerdict::Seed,
                _ => FinalVerdict::Tie,
            };
            FinalCheck { batch, values, mean: Some(mean), verdict, optimized, kept: None }
        };
        self.emit(Event::FinalCheck(check.clone())).await?;
        Ok(check)
    }

    /// Compares seed and optimized prompts on a fresh batch, or on as much of it as the budget
    /// allows. Returns the queries that were compared, and their values.
    async fn close(&mut self, optimized: &Prompts) -> Result<(Vec<usize>, Vec<f64>), SearchError> {
        let seed = self.input.seed.derive(Stage::FinalCheck, &[]);
        let batch = draw_batch(self.input.pool.len(), self.input.options.search.final_check, seed);
        self.input.budget.begin_closing();
        let at_once = if self.input.budget.is_limited() { CHECKED_AT_ONCE } else { batch.len() };
        let (mut compared, mut values) = (Vec::new(), Vec::new());
        for part in batch.chunks(at_once.max(1)) {
            match self.evaluator.final_check(optimized, &self.evaluator.batch(part)).await {
                Ok(more) => values.extend(more),
                Err(ChatError::Budget) => {
                    self.forget_incomplete();
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            compared.extend_from_slice(part);
            self.complete = self.counters();
            self.input.budget.settle();
        }
        Ok((compared, values))
    }

    async fn finish(&mut self, check: FinalCheck, stopped: Option<Stopped>) -> Result<(), SearchError> {
        let seed = Prompts::seed(&self.input.graph);
        let kept_seed = check.keeps_seed();
        let prompts = if kept_seed { seed.clone() } else { check.kept.unwrap_or(check.optimized) };
        let Counters { judge, avoided, overflows, cut_in_reasoning } = self.counters();
        let finished = Finished {
            copied: copied::find(&seed, &prompts, &self.input.pool),
            prompts,
            kept_seed,
            stopped,
            judge,
            avoided,
            overflows,
            cut_in_reasoning,
        };
        self.emit(Event::Finished(finished)).await
    }
}

/// Adds the samples that are misalignment cases (Eq. 6) to the agent's own buffer, in index order.
fn collect(graph: &Graph, agent: AgentId, evaluated: &[Option<Evaluated>], cases: &mut Buffer) {
    for evaluated in evaluated.iter().flatten() {
        for (sample, trace) in evaluated.reward.samples.iter().zip(&evaluated.traces) {
            if cases.accepts(sample) {
                cases.push(Case::of(graph, agent, trace, Some(sample)));
            }
        }
    }
}
