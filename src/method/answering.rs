//! Has a system answer questions: once, several times for a vote, or with revisions. The vote
//! itself needs the scorer's classes, so whoever scores counts it.

use super::single::NO_CHANGE;
use crate::base::{Seed, Stage};
use crate::chat::{ChatError, ChatModel, Decoding, Message, ModelRole, Request, RoleModel, Sampling};
use crate::graph::{Graph, GraphError};
use crate::rollout::{AnswerRule, Prompts, RolloutOptions, Runner, System, SystemAgent, Trace};
use crate::templates::RequestTemplate;
use futures::FutureExt;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::sync::Arc;

/// The answers of a system to one question.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outputs {
    /// The answers; more than one if they are to vote.
    pub answers: Vec<String>,
    /// Whether some prompt was too long for the model.
    pub overflow: bool,
    /// Whether some output ended in its reasoning.
    pub cut_in_reasoning: bool,
}

/// The worker with everything that its answers depend on.
#[derive(Clone)]
pub struct Answering {
    /// The model before it is in its role.
    pub worker: Arc<dyn ChatModel>,
    /// How it decodes in its role. The samples of a vote have a temperature of their own.
    pub decoding: Decoding,
    /// The run's seed.
    pub seed: Seed,
    /// How a graph is run.
    pub options: RolloutOptions,
    /// The request for a summary.
    pub summary: RequestTemplate,
}

impl Answering {
    /// Has `system` answer `questions`; the outputs are in their order.
    ///
    /// # Errors
    /// Returns every error of the worker except an overflow, which is data.
    pub async fn answer(&self, system: &System, questions: &[Arc<str>]) -> Result<Vec<Outputs>, ChatError> {
        let unusable =
            |faults: Vec<GraphError>| ChatError::Model(format!("the system is no usable graph: {}", faults[0]));
        let graph = Arc::new(system.graph().map_err(unusable)?);
        let prompts = Prompts::seed(&graph);
        let items: Vec<_> = questions.iter().cloned().enumerate().collect();
        let run = async |worker: Arc<dyn ChatModel>| {
            Runner::new(graph.clone(), worker, self.options.clone(), self.summary.clone()).run(&prompts, &items).await
        };
        match system.rule {
            AnswerRule::Once => Ok(together(&graph, vec![run(self.plain()).await?], questions.len())),
            AnswerRule::Vote { samples, temperature } => {
                let sampled = |sample: usize| run(self.sample(sample, temperature));
                let runs = try_join_all((0..samples).map(sampled)).await?;
                Ok(together(&graph, runs, questions.len()))
            }
            AnswerRule::Refine { rounds } => {
                let (bound, worker) = (self.options.max_in_flight.max(1), self.plain());
                let one = |question: &Arc<str>| refine(system, worker.clone(), rounds, question.clone()).boxed();
                stream::iter(questions.iter().map(one).collect::<Vec<_>>()).buffered(bound).try_collect().await
            }
        }
    }

    /// The worker as it decodes in its role.
    fn plain(&self) -> Arc<dyn ChatModel> {
        RoleModel::wrap(self.worker.clone(), ModelRole::Worker, self.decoding, self.seed)
    }

    /// The worker for one sample of a vote: at this temperature, with a seed of the sample and of
    /// the request.
    fn sample(&self, sample: usize, temperature: f64) -> Arc<dyn ChatModel> {
        let decoding = Decoding { temperature: Some(temperature), ..self.decoding };
        let seed = self.seed.derive(Stage::Sample, &[sample as u64]);
        RoleModel::wrap(self.worker.clone(), ModelRole::Worker, decoding, seed)
    }
}

/// Puts the answers of all runs to a question together, in the order of the runs.
fn together(graph: &Graph, runs: Vec<Vec<Trace>>, questions: usize) -> Vec<Outputs> {
    let outputs = |at: usize| {
        let traces = || runs.iter().map(move |run| &run[at]);
        Outputs {
            answers: traces().map(|trace| trace.answer(graph).to_string()).collect(),
            overflow: traces().any(Trace::overflowed),
            cut_in_reasoning: traces().any(Trace::was_cut_in_reasoning),
        }
    };
    (0..questions).map(outputs).collect()
}

/// Drafts, then criticizes and revises until the critique asks for no change. The three agents are
/// those of the system, in this order.
async fn refine(
    system: &System,
    worker: Arc<dyn ChatModel>,
    rounds: usize,
    question: Arc<str>,
) -> Result<Outputs, ChatError> {
    let [draft, critique, revise] = &system.agents[..] else {
        return Err(ChatError::Model("a system that refines has a draft, a critique and a revision".to_string()));
    };
    let mut outputs = Outputs::default();
    let mut ask = async |agent: &SystemAgent, context: &str| -> Result<String, ChatError> {
        let request = Request {
            messages: vec![Message::user(agent.prompt.render(&question, context))],
            max_new_tokens: agent.max_new_tokens,
            max_thinking_tokens: None,
            sampling: Sampling::GREEDY,
        };
        match worker.complete(request).await {
            Ok(completion) => {
                outputs.cut_in_reasoning |= completion.cut_in_reasoning;
                Ok(completion.text)
            }
            Err(ChatError::Overflow { .. }) => {
                outputs.overflow = true;
                Ok(String::new())
            }
            Err(error) => Err(error),
        }
    };
    let mut answer = ask(draft, "").await?;
    for _ in 0..rounds {
        let said = ask(critique, &answer).await?;
        if asks_for_no_change(&said) {
            break;
        }
        let context = format!("[{}]\n{answer}\n\n[{}]\n{said}", draft.name, critique.name);
        let revised = ask(revise, &context).await?;
        // A revision that was too long to be asked for leaves the answer as it is.
        if !revised.trim().is_empty() {
            answer = revised;
        }
    }
    outputs.answers = vec![answer];
    Ok(outputs)
}

/// Whether a line of the critique says nothing but that nothing is to be changed, or the critique
/// is empty.
fn asks_for_no_change(critique: &str) -> bool {
    let bare = |line: &str| line.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    critique.trim().is_empty() || critique.lines().any(|line| bare(line) == NO_CHANGE)
}
