//! What the methods share: they run teams on items, ask for proposals, compare answers and emit
//! events. A method decides; what it has decided so far is kept here, so that a run that is stopped
//! has a result.

use super::{Feedback, MethodInput, plan};
use crate::base::{AgentId, Seed};
use crate::chat::ChatError;
use crate::graph::Graph;
use crate::judge::Judge;
use crate::misalignment::{Buffer, MisalignmentOptions, Sampling};
use crate::prompt::Template;
use crate::propose::{Draw, Optimizer, Proposal, ProposalContext};
use crate::reward::{SampleReward, compare};
use crate::rollout::{Prompts, Runner, System, Trace};
use crate::search::{
    Counters, EVENTS_VERSION, Event, EventSink, Finished, Models, SearchError, SearchResult, Started, Stopped,
    draw_batch, find_copied, optimizable, round_score,
};
use futures::future::try_join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A running method.
pub(super) struct Lab<'a> {
    pub(super) input: &'a MethodInput,
    pub(super) runner: Runner,
    pub(super) judge: Judge,
    optimizer: Optimizer,
    /// The best prompts so far.
    pub(super) best: Prompts,
    /// The system to use, if it is not the graph with the best prompts, run once.
    pub(super) system: Option<System>,
    /// The items: the pool, or the labelled items.
    items: Vec<Arc<str>>,
    /// The traces of the seed prompts on items that were needed.
    seed_traces: BTreeMap<usize, Trace>,
    /// Behind a lock, which nobody ever waits for, so that threads can share what only reads.
    sink: Mutex<&'a mut dyn EventSink>,
    events: Vec<Event>,
    /// The counters of runners that a method has of its own.
    pub(super) aside: Counters,
    /// The counters as of the last event. What a limit cut off after it does not count, because how
    /// far it got depends on the order of its calls.
    complete: Counters,
}

impl<'a> Lab<'a> {
    pub(super) fn new(input: &'a MethodInput, sink: &'a mut dyn EventSink) -> Self {
        let search = &input.search;
        let templates = search.templates();
        let options = &search.options;
        let items = match &input.labels {
            Some(labels) if input.method.needs_labels(&input.options) => {
                labels.questions().iter().take(input.options.train_items).cloned().collect()
            }
            _ => search.pool.clone(),
        };
        Self {
            input,
            runner: Runner::new(
                search.graph.clone(),
                search.worker.clone(),
                options.rollout.clone(),
                templates.summary.clone(),
            ),
            judge: Judge::new(search.judge.clone(), options.judge.clone(), search.seed, templates.judge.clone()),
            optimizer: Optimizer::new(
                search.optimizer.clone(),
                options.propose.clone(),
                search.seed,
                templates.optimizer.clone(),
            ),
            best: Prompts::seed(&search.graph),
            system: None,
            items,
            seed_traces: BTreeMap::new(),
            sink: Mutex::new(sink),
            events: Vec::new(),
            aside: Counters::default(),
            complete: Counters::default(),
        }
    }

    pub(super) fn graph(&self) -> &'a Graph {
        &self.input.search.graph
    }

    pub(super) fn seed(&self) -> Seed {
        self.input.search.seed
    }

    /// The agents that may be optimized, in topological order.
    pub(super) fn agents(&self) -> Vec<AgentId> {
        optimizable(self.graph())
    }

    /// The number of items that teams are tried on.
    pub(super) fn item_count(&self) -> usize {
        self.items.len()
    }

    /// Draws `size` different items with `seed`.
    pub(super) fn draw(&self, size: usize, seed: Seed) -> Vec<usize> {
        draw_batch(self.items.len(), size, seed)
    }

    /// The items at these positions with their questions.
    pub(super) fn batch(&self, positions: &[usize]) -> Vec<(usize, Arc<str>)> {
        positions.iter().map(|at| (*at, self.items[*at].clone())).collect()
    }

    pub(super) fn counters(&self) -> Counters {
        self.aside.plus(Counters { judge: self.judge.stats(), ..of_runner(&self.runner) })
    }

    /// Makes an event durable. Whatever it reports is complete, so no call is in flight.
    pub(super) async fn emit(&mut self, event: Event) -> Result<(), SearchError> {
        self.input.search.budget.settle();
        self.complete = self.counters();
        let sink = self.sink.get_mut().expect("no thread panics while it holds the sink");
        sink.emit(&event).await?;
        self.events.push(event);
        Ok(())
    }

    pub(super) async fn start(&mut self) -> Result<(), SearchError> {
        let MethodInput { method, options, search, .. } = self.input;
        let labelled = if method.needs_labels(options) { self.items.len() } else { 0 };
        let models = Models {
            worker: search.worker.identity(),
            optimizer: search.optimizer.identity(),
            judge: search.judge.identity(),
        };
        let started = Started {
            version: EVENTS_VERSION,
            seed: search.seed,
            models,
            agents: search.graph.agents().iter().map(|agent| agent.name.clone()).collect(),
            optimized: self.agents(),
            prompts: self.best.clone(),
            method: Some(method.name().to_string()),
            labelled,
            held_back: 0,
            pool: search.pool.len(),
            batch: search.options.search.batch.min(search.pool.len()),
            plan: plan(*method, options, &search.graph, &search.options, (search.pool.len(), labelled)),
        };
        self.emit(Event::Started(started)).await
    }

    pub(super) async fn finish(mut self, stopped: Option<Stopped>) -> Result<SearchResult, SearchError> {
        // Emitting counts anew, and nothing that was cut off is to count.
        let Counters { judge, avoided, overflows, cut_in_reasoning } = self.complete;
        if let Some(system) = self.system.take() {
            self.emit(Event::System(system)).await?;
        }
        let finished = Finished {
            copied: find_copied(&Prompts::seed(self.graph()), &self.best, &self.input.search.pool),
            prompts: self.best.clone(),
            kept_seed: false,
            stopped,
            judge,
            avoided,
            overflows,
            cut_in_reasoning,
        };
        self.emit(Event::Finished(finished)).await?;
        Ok(SearchResult::from_events(&self.events).expect("a run starts with its first event"))
    }

    /// Asks the optimizer model for one candidate, as a step of MASPO does.
    pub(super) async fn propose(
        &self,
        (graph, agent): (&Graph, AgentId),
        parent: &Template,
        (traces, verdicts): (&[Trace], &[SampleReward]),
        draw: Draw<'_>,
    ) -> Result<Proposal, ChatError> {
        let cases = Buffer::new(MisalignmentOptions { sampling: Sampling::Off, ..MisalignmentOptions::default() });
        let context = ProposalContext { graph, agent, parent, traces, verdicts, cases: &cases, tried: &[] };
        self.optimizer.propose(context, draw).await
    }

    /// The traces of the seed prompts on these items; each item is run once.
    pub(super) async fn seed_traces(&mut self, positions: &[usize]) -> Result<Vec<Trace>, ChatError> {
        let missing: Vec<usize> = positions.iter().copied().filter(|at| !self.seed_traces.contains_key(at)).collect();
        let traces = self.runner.run(&Prompts::seed(self.graph()), &self.batch(&missing)).await?;
        self.seed_traces.extend(missing.into_iter().zip(traces));
        Ok(positions.iter().map(|at| self.seed_traces[at].clone()).collect())
    }

    /// One value per trace: by the judge, whether its answer is better than that of the trace of
    /// `base` on the same item; by labels, whether it is right.
    pub(super) async fn values(&self, base: &[Trace], new: &[Trace], draw: &[u64]) -> Result<Vec<f64>, ChatError> {
        let graph = self.graph();
        match self.input.options.feedback {
            Feedback::Judge => {
                let one = |(base, new)| compare(&self.judge, graph, graph.terminal(), false, base, new, draw);
                try_join_all(base.iter().zip(new).map(one)).await
            }
            Feedback::Labels => self.right(graph, new),
        }
    }

    /// Whether the answers of the traces are right, by the labels of their items.
    pub(super) fn right(&self, graph: &Graph, traces: &[Trace]) -> Result<Vec<f64>, ChatError> {
        let labels = self.input.labels.as_ref().expect("a method that needs labels has them");
        let answers: Vec<_> = traces.iter().map(|trace| (trace.item, trace.answer(graph))).collect();
        labels.score(&answers)
    }
}

/// The counters of a runner.
pub(super) fn of_runner(runner: &Runner) -> Counters {
    Counters {
        avoided: runner.avoided(),
        overflows: runner.overflows(),
        cut_in_reasoning: runner.cut_in_reasoning(),
        ..Counters::default()
    }
}

/// The mean of the values, rounded as events store it; ½ without values.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.5 } else { round_score(values.iter().sum::<f64>() / values.len() as f64) }
}
