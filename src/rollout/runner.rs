//! Runs each agent as soon as its inputs are complete. There is one future per agent and query;
//! nothing waits for a whole layer, and the result never depends on which call finished first.

use super::view::{context, extracted, first_words, summary_request, summary_tokens};
use super::{AgentRun, Prompts, RolloutOptions, Trace};
use crate::base::{AgentId, Digest};
use crate::chat::{ChatError, ChatModel, Completion, FinishReason, Message, Request, Sampling};
use crate::graph::{EdgeView, Graph};
use crate::prompt::Template;
use crate::templates::RequestTemplate;
use futures::future::{BoxFuture, Shared, try_join_all};
use futures::stream::{self, StreamExt, TryStreamExt};
use futures::{FutureExt, TryFutureExt};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of worker calls that re-runs avoided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Avoided {
    /// Calls of agents that the changed prompt cannot reach.
    pub upstream_reused: u64,
    /// Calls at or downstream of the changed agent whose input turned out to be unchanged.
    pub unchanged_skipped: u64,
}

#[derive(Default)]
struct Counters {
    upstream_reused: AtomicU64,
    unchanged_skipped: AtomicU64,
    overflows: AtomicU64,
    cut_in_reasoning: AtomicU64,
}

/// What the worker answered; empty without an answer.
#[derive(Default)]
struct Answer {
    text: String,
    overflow: bool,
    cut_in_reasoning: bool,
    truncated: bool,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A runner of one graph on one worker model.
pub struct Runner {
    graph: Arc<Graph>,
    worker: Arc<dyn ChatModel>,
    options: RolloutOptions,
    /// The request for a summary.
    summary: RequestTemplate,
    counters: Counters,
}

/// A result that several successors wait for.
type Pending<'a, T> = Shared<BoxFuture<'a, Result<T, ChatError>>>;

/// The trace that a re-run starts from.
#[derive(Clone, Copy)]
struct Base<'a> {
    trace: &'a Trace,
    /// Whether the changed prompt reaches an agent, by [`AgentId`].
    reached: &'a [bool],
}

impl Runner {
    /// A runner of `graph` that calls `worker` for every agent, and for summaries with the request
    /// `summary`.
    pub fn new(
        graph: Arc<Graph>,
        worker: Arc<dyn ChatModel>,
        options: RolloutOptions,
        summary: RequestTemplate,
    ) -> Self {
        Self { graph, worker, options, summary, counters: Counters::default() }
    }

    /// The graph that it runs.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The number of calls that re-runs have avoided so far.
    pub fn avoided(&self) -> Avoided {
        Avoided {
            upstream_reused: self.counters.upstream_reused.load(Ordering::Relaxed),
            unchanged_skipped: self.counters.unchanged_skipped.load(Ordering::Relaxed),
        }
    }

    /// The number of worker calls so far whose prompt was too long for the model.
    pub fn overflows(&self) -> u64 {
        self.counters.overflows.load(Ordering::Relaxed)
    }

    /// The number of worker calls so far whose answer ended in its reasoning.
    pub fn cut_in_reasoning(&self) -> u64 {
        self.counters.cut_in_reasoning.load(Ordering::Relaxed)
    }

    /// Runs the whole graph on every item `(index in the pool, query)`. There is one trace per
    /// item, in their order.
    ///
    /// # Errors
    /// Returns every error of the worker except an overflow, which is data.
    pub async fn run(&self, prompts: &Prompts, items: &[(usize, Arc<str>)]) -> Result<Vec<Trace>, ChatError> {
        let traces = items.iter().map(|(item, question)| self.trace(*item, question.clone(), prompts, None).boxed());
        self.in_order(traces.collect()).await
    }

    /// Re-runs `base` with `prompts`, which differ from its own at `changed` only. An agent is
    /// called only if its input differs from its input in `base`; the result equals a full run with
    /// `prompts`.
    ///
    /// # Errors
    /// Returns the errors of [`Runner::run`].
    pub async fn rerun(&self, base: &Trace, changed: AgentId, prompts: &Prompts) -> Result<Trace, ChatError> {
        let reached = self.reached(changed);
        self.trace(base.item, base.question.clone(), prompts, Some(Base { trace: base, reached: &reached })).await
    }

    /// Calls [`Runner::rerun`] on every trace of a mini-batch. There is one trace per base, in
    /// their order.
    ///
    /// # Errors
    /// Returns the errors of [`Runner::run`].
    pub async fn rerun_all(
        &self,
        bases: &[Trace],
        changed: AgentId,
        prompts: &Prompts,
    ) -> Result<Vec<Trace>, ChatError> {
        let reached = self.reached(changed);
        let traces = bases.iter().map(|trace| {
            let base = Some(Base { trace, reached: &reached });
            self.trace(trace.item, trace.question.clone(), prompts, base).boxed()
        });
        self.in_order(traces.collect()).await
    }

    fn reached(&self, changed: AgentId) -> Vec<bool> {
        let mut reached = vec![false; self.graph.agents().len()];
        reached[changed.0] = true;
        for id in self.graph.descendants(changed) {
            reached[id.0] = true;
        }
        reached
    }

    /// Runs at most `max_in_flight` traces at once, started in order; the results are in that
    /// order, too.
    async fn in_order(&self, traces: Vec<BoxFuture<'_, Result<Trace, ChatError>>>) -> Result<Vec<Trace>, ChatError> {
        let mut numbered = Vec::with_capacity(traces.len());
        for (at, trace) in traces.into_iter().enumerate() {
            numbered.push(trace.map_ok(move |trace| (at, trace)));
        }
        let bound = self.options.max_in_flight.max(1);
        let mut done: Vec<(usize, Trace)> = stream::iter(numbered).buffer_unordered(bound).try_collect().await?;
        done.sort_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, trace)| trace).collect())
    }

    async fn trace(
        &self,
        item: usize,
        question: Arc<str>,
        prompts: &Prompts,
        base: Option<Base<'_>>,
    ) -> Result<Trace, ChatError> {
        let agents = self.graph.agents().len();
        let mut answers: Vec<Option<Pending<'_, Arc<AgentRun>>>> = vec![None; agents];
        let mut summaries: Vec<Option<Pending<'_, Arc<str>>>> = vec![None; agents];
        for &id in self.graph.order() {
            let sees = self.graph.incoming(id).map(|edge| {
                let answer = answers[edge.from.0].clone().expect("predecessors come first in topological order");
                view(edge.view, answer, summaries[edge.from.0].clone()).boxed()
            });
            let answer = self.answer(id, &question, prompts.get(id), sees.collect(), base).boxed().shared();
            if self.graph.edges().iter().any(|edge| edge.from == id && edge.view == EdgeView::Summary) {
                summaries[id.0] = Some(self.summary(id, answer.clone(), base).boxed().shared());
            }
            answers[id.0] = Some(answer);
        }
        let runs = answers.into_iter().zip(summaries).map(|(answer, summary)| whole(answer, summary).boxed());
        let runs = try_join_all(runs.collect::<Vec<_>>()).await?;
        Ok(Trace::new(item, question.clone(), runs))
    }

    async fn answer(
        &self,
        id: AgentId,
        question: &str,
        prompt: &Template,
        sees: Vec<BoxFuture<'_, Result<String, ChatError>>>,
        base: Option<Base<'_>>,
    ) -> Result<Arc<AgentRun>, ChatError> {
        let texts = try_join_all(sees).await?;
        let names: Vec<_> = self.graph.incoming(id).map(|edge| self.graph.agent(edge.from).name.as_str()).collect();
        let context = context(&names, texts);
        let message = prompt.render(question, &context);
        let input = Digest::of(message.as_bytes());
        if let Some(base) = base {
            let before = base.trace.shared_run(id);
            if before.input == input {
                self.count_avoided(id, base);
                // A prompt need not contain `{context}`, so the context may differ although the
                // input is equal.
                let same = before.context == context;
                return Ok(if same { before.clone() } else { Arc::new(AgentRun { context, ..(**before).clone() }) });
            }
        }
        let Answer { text: output, overflow, cut_in_reasoning, truncated } =
            self.ask(Message::user(message), self.graph.agent(id).max_new_tokens, None).await?;
        Ok(Arc::new(AgentRun { context, output, summary: None, overflow, cut_in_reasoning, truncated, input }))
    }

    async fn summary(
        &self,
        id: AgentId,
        answer: Pending<'_, Arc<AgentRun>>,
        base: Option<Base<'_>>,
    ) -> Result<Arc<str>, ChatError> {
        let output = &answer.await?.output;
        if output.trim().is_empty() {
            return Ok("".into());
        }
        if let Some(base) = base {
            let before = base.trace.run(id);
            if let Some(summary) = before.summary.as_deref().filter(|_| before.output == *output) {
                self.count_avoided(id, base);
                return Ok(summary.into());
            }
        }
        let words = self.options.summary_words;
        let request = summary_request(&self.summary, &self.graph.agent(id).role, output, words);
        // A thought would take the few tokens of a summary.
        let summary = self.ask(request, summary_tokens(words), Some(0)).await?;
        // If an output nearly fills the model, there is no room for the summary's instructions, and
        // its beginning replaces the summary. So it does if the summary ended in its reasoning.
        let text = if summary.overflow || summary.cut_in_reasoning { output } else { &summary.text };
        Ok(first_words(text, words).into())
    }

    /// Returns the worker's greedy answer, which is empty if the message is too long for it.
    async fn ask(
        &self,
        message: Message,
        max_new_tokens: usize,
        max_thinking_tokens: Option<usize>,
    ) -> Result<Answer, ChatError> {
        let messages = vec![message];
        let request = Request { messages, max_new_tokens, max_thinking_tokens, sampling: Sampling::GREEDY };
        match self.worker.complete(request).await {
            Ok(Completion { text, cut_in_reasoning, finish_reason, .. }) => {
                if cut_in_reasoning {
                    count(&self.counters.cut_in_reasoning);
                }
                let truncated = finish_reason == FinishReason::Length && !cut_in_reasoning;
                Ok(Answer { text, overflow: false, cut_in_reasoning, truncated })
            }
            Err(ChatError::Overflow { .. }) => {
                count(&self.counters.overflows);
                Ok(Answer { overflow: true, ..Answer::default() })
            }
            Err(error) => Err(error),
        }
    }

    fn count_avoided(&self, id: AgentId, base: Base<'_>) {
        count(if base.reached[id.0] { &self.counters.unchanged_skipped } else { &self.counters.upstream_reused });
    }
}

async fn view(
    view: EdgeView,
    answer: Pending<'_, Arc<AgentRun>>,
    summary: Option<Pending<'_, Arc<str>>>,
) -> Result<String, ChatError> {
    match view {
        EdgeView::Raw => Ok(answer.await?.output.clone()),
        EdgeView::Extracted => Ok(extracted(&answer.await?.output).to_string()),
        EdgeView::Summary => Ok(summary.expect("an edge that shows a summary has one made").await?.to_string()),
    }
}

/// Returns the run with its summary.
async fn whole(
    answer: Option<Pending<'_, Arc<AgentRun>>>,
    summary: Option<Pending<'_, Arc<str>>>,
) -> Result<Arc<AgentRun>, ChatError> {
    let run = answer.expect("the topological order holds every agent").await?;
    let summary = match summary {
        Some(summary) => Some(summary.await?.to_string()),
        None => None,
    };
    Ok(if run.summary == summary { run } else { Arc::new(AgentRun { summary, ..(*run).clone() }) })
}
