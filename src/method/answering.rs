//! Has a system answer questions: once, several times for a vote, or with revisions. The vote
//! itself needs the scorer's classes, so whoever scores counts it.

use super::single::NO_CHANGE;
use crate::base::{Digest, Seed, Stage};
use crate::chat::{ChatError, ChatModel, Completion, Message, ModelIdentity, Request, Sampling, Scores};
use crate::graph::Graph;
use crate::rollout::{AnswerRule, Prompts, RolloutOptions, Runner, System, Trace};
use crate::templates::RequestTemplate;
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
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

/// Has `system` answer `questions`; the outputs are in their order. `seed` is the run's.
///
/// # Errors
/// Returns every error of the worker except an overflow, which is data.
pub async fn answer_all(
    system: &System,
    worker: Arc<dyn ChatModel>,
    (options, summary): (&RolloutOptions, &RequestTemplate),
    seed: Seed,
    questions: &[Arc<str>],
) -> Result<Vec<Outputs>, ChatError> {
    let unusable = |faults: Vec<crate::graph::GraphError>| {
        ChatError::Model(format!("the system is no usable graph: {}", faults[0]))
    };
    let graph = Arc::new(system.graph().map_err(unusable)?);
    let prompts = Prompts::seed(&graph);
    let items: Vec<_> = questions.iter().cloned().enumerate().collect();
    let run = async |worker: Arc<dyn ChatModel>| {
        Runner::new(graph.clone(), worker, options.clone(), summary.clone()).run(&prompts, &items).await
    };
    match system.rule {
        AnswerRule::Once => Ok(together(&graph, vec![run(worker).await?], questions.len())),
        AnswerRule::Vote { samples, temperature } => {
            let sampled = |sample: usize| -> Arc<dyn ChatModel> {
                let seed = seed.derive(Stage::Method, &[sample as u64]);
                Arc::new(Resampled { model: worker.clone(), temperature, seed })
            };
            let runs = try_join_all((0..samples).map(|sample| run(sampled(sample)))).await?;
            Ok(together(&graph, runs, questions.len()))
        }
        AnswerRule::Refine { rounds } => {
            let bound = options.max_in_flight.max(1);
            let one = |question: &Arc<str>| refine(system, worker.clone(), rounds, question.clone()).boxed();
            stream::iter(questions.iter().map(one).collect::<Vec<_>>()).buffered(bound).try_collect().await
        }
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
    let mut ask = async |agent: &crate::rollout::SystemAgent, context: &str| -> Result<String, ChatError> {
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

/// A model whose greedy requests are sampled, with a seed of the request and of the sample.
struct Resampled {
    model: Arc<dyn ChatModel>,
    temperature: f64,
    seed: Seed,
}

impl ChatModel for Resampled {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        let json = serde_json::to_vec(&request.messages).expect("messages are plain data");
        let digest = Digest::of(&json).0;
        let word = |at: usize| u64::from_le_bytes(digest[at..at + 8].try_into().expect("eight bytes"));
        let seed = self.seed.derive(Stage::Sampling, &[word(0), word(8), word(16), word(24)]);
        self.model.complete(Request { sampling: Sampling::at(self.temperature, seed.0), ..request })
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        self.model.score(request, answers)
    }

    fn identity(&self) -> ModelIdentity {
        self.model.identity()
    }
}
