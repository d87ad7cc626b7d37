//! Asks the optimizer model for one candidate (Eq. 4) and checks what it wrote: the result is a
//! usable prompt or a reason for rejection. Knows nothing of scores and beams.

use super::options::ProposeOptions;
use super::reply::proposal;
use super::template::{Evidence, OptimizerInput, render};
use crate::base::{AgentId, Seed, Stage};
use crate::chat::{ChatError, ChatModel, Request, Sampling};
use crate::graph::Graph;
use crate::misalignment::{Buffer, Case};
use crate::prompt::{Rejection, Sanitized, Template, sanitize};
use crate::rollout::Trace;
use std::sync::Arc;

/// The optimizer model with its options.
pub struct Optimizer {
    model: Arc<dyn ChatModel>,
    options: ProposeOptions,
    seed: Seed,
}

/// A reply that gave no usable prompt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Why it is not used.
    pub reason: Rejection,
    /// The prompt in it, or the whole reply if no prompt was found in it; `None` if there is no
    /// reply.
    pub text: Option<String>,
}

/// The context that the candidates of one parent are written from.
#[derive(Clone, Copy)]
pub struct ProposalContext<'a> {
    /// The graph of agents.
    pub graph: &'a Graph,
    /// The agent that the prompt belongs to.
    pub agent: AgentId,
    /// The parent prompt p.
    pub parent: &'a Template,
    /// The parent's traces on the mini-batch of the step.
    pub traces: &'a [Trace],
    /// The agent's own misalignment cases.
    pub cases: &'a Buffer,
}

impl Optimizer {
    /// An optimizer that calls `model`; every call derives its own seed from the run's `seed`.
    pub fn new(model: Arc<dyn ChatModel>, options: ProposeOptions, seed: Seed) -> Self {
        Self { model, options, seed }
    }

    /// Writes one candidate. `draw` holds the counters (round, agent, step, parent, candidate) of
    /// its random draws: which traces and cases it shows ([`Stage::Evidence`]) and how the model
    /// samples ([`Stage::Proposal`]).
    ///
    /// What the model writes is data: text without a usable prompt is rejected, and so is an input
    /// longer than the model can read.
    ///
    /// # Errors
    /// Returns every error of the model except [`ChatError::Overflow`].
    pub async fn propose(
        &self,
        context: ProposalContext<'_>,
        draw: &[u64],
    ) -> Result<Result<Sanitized, Rejected>, ChatError> {
        let request = self.request(context, draw);
        let completion = match self.model.complete(request).await {
            Ok(completion) => completion,
            Err(ChatError::Overflow { .. }) => return Ok(Err(Rejected { reason: Rejection::Overflow, text: None })),
            Err(error) => return Err(error),
        };
        if completion.cut_in_reasoning {
            return Ok(Err(Rejected { reason: Rejection::CutInReasoning, text: completion.reasoning }));
        }
        let Some(text) = proposal(&completion.text) else {
            return Ok(Err(Rejected { reason: Rejection::Unparsable, text: Some(completion.text) }));
        };
        let agent = context.graph.agent(context.agent);
        let sanitized = sanitize(&text, &agent.constraints(self.options.max_prompt_bytes));
        Ok(sanitized.map_err(|reason| Rejected { reason, text: Some(text) }))
    }

    fn request(&self, context: ProposalContext<'_>, draw: &[u64]) -> Request {
        let evidence = self.seed.derive(Stage::Evidence, draw);
        let traces = self.draw_traces(context, evidence);
        let agent = context.graph.agent(context.agent);
        let input = OptimizerInput {
            agent: &agent.name,
            role: &agent.role,
            parent: context.parent.text(),
            slots: &agent.constraints(self.options.max_prompt_bytes).slots,
            frozen: &agent.frozen,
            traces: traces.iter().map(show).collect(),
            cases: context.cases.pick(evidence).into_iter().map(show).collect(),
            excerpt_bytes: self.options.excerpt_bytes,
        };
        Request {
            messages: render(&input),
            max_new_tokens: self.options.max_new_tokens,
            max_thinking_tokens: None,
            sampling: Sampling::at(self.options.temperature, self.seed.derive(Stage::Proposal, draw).0),
        }
    }

    /// Draws [`ProposeOptions::traces`] of the parent's traces, in the order drawn. A trace in
    /// which the agent's prompt overflowed has nothing to show and is left out.
    fn draw_traces(&self, context: ProposalContext<'_>, seed: Seed) -> Vec<Case> {
        let usable: Vec<_> = context.traces.iter().filter(|trace| !trace.run(context.agent).overflow).collect();
        let shown = self.options.traces.min(usable.len());
        let drawn = rand::seq::index::sample(&mut seed.rng(), usable.len(), shown);
        drawn.into_iter().map(|at| Case::of(context.graph, context.agent, usable[at])).collect()
    }
}

fn show(case: &Case) -> Evidence<'_> {
    Evidence {
        question: &case.question,
        context: &case.context,
        output: &case.output,
        successors: case.successors.iter().map(|(name, output)| (name.as_str(), output.as_str())).collect(),
        answer: case.answer.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Completion, ScriptedModel, Usage};
    use crate::misalignment::MisalignmentOptions;
    use crate::rollout::fixture;
    use futures::executor::block_on;

    fn propose(reply: Completion) -> Result<Sanitized, Rejected> {
        let graph = fixture::graph("a", &[]);
        let model = ScriptedModel::thinking(move |_| reply.clone());
        let optimizer = Optimizer::new(Arc::new(model), ProposeOptions::default(), Seed(1));
        let context = ProposalContext {
            graph: &graph,
            agent: AgentId(0),
            parent: &graph.agent(AgentId(0)).seed_prompt,
            traces: &[],
            cases: &Buffer::new(MisalignmentOptions::default()),
        };
        block_on(optimizer.propose(context, &[0])).unwrap()
    }

    #[test]
    fn a_prompt_inside_of_a_thought_is_no_candidate() {
        let draft = "Draft: <prompt>Answer 41 always. {question}</prompt> no, that is wrong,";
        let rejected = |reason, text: &str| Err(Rejected { reason, text: Some(text.to_string()) });
        let cut = propose(Completion::cut(draft, Usage::default()));
        assert_eq!(cut, rejected(Rejection::CutInReasoning, draft));
        let thought =
            |text: &str| Completion { reasoning: Some(draft.into()), ..Completion::of(text, Usage::default()) };
        assert_eq!(propose(thought("done")), rejected(Rejection::Unparsable, "done"));
        let written = propose(thought("<prompt>Do it {question}</prompt>")).unwrap();
        assert_eq!(written.prompt.text(), "Do it {question}");
        let foreign = propose(thought("<prompt>Do it {question} {context}</prompt>"));
        assert_eq!(foreign, rejected(Rejection::ForeignSlot, "Do it {question} {context}"));
    }
}
