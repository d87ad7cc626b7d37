//! Asks the optimizer model for one candidate (Eq. 4) and checks what it wrote: the result is a
//! usable prompt or a reason for rejection. Knows nothing of beams.

use super::options::ProposeOptions;
use super::reply::{begun_reply, change, proposal};
use super::template::{Evidence, OptimizerInput, render};
use super::tried::Tried;
use crate::base::{AgentId, Seed, Stage};
use crate::chat::{ChatError, ChatModel, Completion, FinishReason, Message, Request, Sampling};
use crate::graph::{Agent, Graph};
use crate::misalignment::{Buffer, Case};
use crate::prompt::{Rejection, Sanitized, Template, sanitize};
use crate::reward::SampleReward;
use crate::rollout::Trace;
use crate::templates::{Assignment, OptimizerTemplates};
use std::sync::Arc;

/// The optimizer model with its options and its request.
pub struct Optimizer {
    model: Arc<dyn ChatModel>,
    options: ProposeOptions,
    templates: OptimizerTemplates,
    seed: Seed,
}

/// What the optimizer model proposed for one candidate.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    /// The prompt, or why there is none that can be used.
    pub prompt: Result<Sanitized, Rejected>,
    /// The name of the assignment that the candidate was written by, if the template set has any.
    pub assignment: Option<String>,
    /// The optimizer model's own sentence on what it changed, if it wrote one.
    pub change: Option<String>,
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
    /// The verdicts on the parent in its own evaluation, against the prompt that it was written
    /// from; empty for a seed prompt.
    pub verdicts: &'a [SampleReward],
    /// The agent's own misalignment cases.
    pub cases: &'a Buffer,
    /// What was tried for the agent and lost.
    pub tried: &'a [Tried],
}

/// Which candidate it is, for its random draws and its assignment.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// The counters (round, agent, step, parent, candidate).
    pub path: &'a [u64],
    /// The number of the candidate among all of its agent, over which assignments take turns.
    pub turn: usize,
}

impl Optimizer {
    /// An optimizer that calls `model` with the request of `templates`; every call derives its own
    /// seed from the run's `seed`.
    pub fn new(model: Arc<dyn ChatModel>, options: ProposeOptions, seed: Seed, templates: OptimizerTemplates) -> Self {
        Self { model, options, templates, seed }
    }

    /// Writes one candidate. `draw` decides which traces and cases it shows ([`Stage::Evidence`]),
    /// how the model samples ([`Stage::Proposal`]), and which assignment it has.
    ///
    /// What the model writes is data: text without a usable prompt is rejected, and so is an input
    /// longer than the model can read.
    ///
    /// # Errors
    /// Returns every error of the model except [`ChatError::Overflow`].
    pub async fn propose(&self, context: ProposalContext<'_>, draw: Draw<'_>) -> Result<Proposal, ChatError> {
        let assignments = &self.templates.assignments;
        let assignment = (!assignments.is_empty()).then(|| &assignments[draw.turn % assignments.len()]);
        let request = self.request(context, draw.path, assignment);
        let (prompt, change) = match self.model.complete(request).await {
            Ok(completion) => self.read(context.graph.agent(context.agent), completion),
            Err(ChatError::Overflow { .. }) => (Err(Rejected { reason: Rejection::Overflow, text: None }), None),
            Err(error) => return Err(error),
        };
        Ok(Proposal { prompt, assignment: assignment.map(|assignment| assignment.name.clone()), change })
    }

    /// Returns the prompt in a reply, or why there is none, and the sentence on what was changed.
    fn read(&self, agent: &Agent, completion: Completion) -> (Result<Sanitized, Rejected>, Option<String>) {
        if completion.cut_in_reasoning {
            return (Err(Rejected { reason: Rejection::CutInReasoning, text: completion.reasoning }), None);
        }
        let is_whole = completion.finish_reason == FinishReason::Stop;
        let reply = begun_reply(&self.options.reply_start, &completion.text, is_whole);
        let change = change(&reply);
        let Some(text) = proposal(&reply) else {
            return (Err(Rejected { reason: Rejection::Unparsable, text: Some(reply) }), change);
        };
        let sanitized = sanitize(&text, &agent.constraints(self.options.max_prompt_bytes));
        (sanitized.map_err(|reason| Rejected { reason, text: Some(text) }), change)
    }

    fn request(&self, context: ProposalContext<'_>, draw: &[u64], assignment: Option<&Assignment>) -> Request {
        let evidence = self.seed.derive(Stage::Evidence, draw);
        let traces = self.draw_traces(context, evidence);
        let agent = context.graph.agent(context.agent);
        let input = OptimizerInput {
            agent: &agent.name,
            role: &agent.role,
            team: Some(context.graph),
            parent: context.parent.text(),
            slots: &agent.constraints(self.options.max_prompt_bytes).slots,
            frozen: &agent.frozen,
            traces: traces.iter().map(show).collect(),
            cases: context.cases.pick(evidence).into_iter().map(show).collect(),
            tried: context.tried,
            assignment,
            excerpt_bytes: self.options.excerpt_bytes,
            max_prompt_bytes: self.options.max_prompt_bytes,
        };
        let mut messages = render(&self.templates, &input);
        if !self.options.reply_start.is_empty() {
            messages.push(Message::assistant(&self.options.reply_start));
        }
        Request {
            messages,
            max_new_tokens: self.options.max_new_tokens,
            max_thinking_tokens: None,
            sampling: Sampling::at(self.options.temperature, self.seed.derive(Stage::Proposal, draw).0),
        }
    }

    /// Draws [`ProposeOptions::traces`] of the parent's traces, in the order drawn.
    ///
    /// A request that shows verdicts gets those first in which something failed, and one in which
    /// nothing did as its last, so that what works is seen too. A trace in which the agent's prompt
    /// overflowed is left out if the request cannot say so.
    fn draw_traces(&self, context: ProposalContext<'_>, seed: Seed) -> Vec<Case> {
        let request = &self.templates.request;
        let says_why = request.shows("traces.trace.overflow");
        let is_usable = |trace: &&Trace| says_why || !trace.run(context.agent).overflow;
        let usable: Vec<_> = context.traces.iter().filter(is_usable).collect();
        let case = |at: usize| {
            let trace = usable[at];
            let verdict = context.verdicts.iter().find(|sample| sample.item == trace.item);
            Case::of(context.graph, context.agent, trace, verdict)
        };
        let shown = self.options.traces.min(usable.len());
        if !request.shows("traces.trace.verdicts") {
            return rand::seq::index::sample(&mut seed.rng(), usable.len(), shown).into_iter().map(case).collect();
        }
        let all = rand::seq::index::sample(&mut seed.rng(), usable.len(), usable.len());
        let (mut failed, sound): (Vec<Case>, Vec<Case>) = all.into_iter().map(case).partition(Case::failed);
        if shown > 1 && !sound.is_empty() {
            failed.truncate(shown - 1);
        }
        failed.extend(sound);
        failed.truncate(shown);
        failed
    }
}

fn show(case: &Case) -> Evidence<'_> {
    Evidence {
        question: &case.question,
        context: &case.context,
        output: &case.output,
        successors: case.successors.iter().map(|(name, output)| (name.as_str(), output.as_str())).collect(),
        answer: case.answer.as_deref(),
        overflow: case.overflow,
        cut_in_reasoning: case.cut_in_reasoning,
        truncated: case.truncated,
        unparsable: case.unparsable,
        verdicts: case.verdicts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Completion, ScriptedModel, Speaker, Usage};
    use crate::misalignment::MisalignmentOptions;
    use crate::rollout::fixture;
    use crate::templates::Templates;
    use futures::executor::block_on;

    fn propose(reply: Completion) -> Proposal {
        propose_by(ScriptedModel::thinking(move |_| reply.clone()), ProposeOptions::default())
    }

    fn propose_by(model: ScriptedModel, options: ProposeOptions) -> Proposal {
        let graph = fixture::graph("a", &[]);
        let templates = Templates::terse().optimizer.clone();
        let optimizer = Optimizer::new(Arc::new(model), options, Seed(1), templates);
        let context = ProposalContext {
            graph: &graph,
            agent: AgentId(0),
            parent: &graph.agent(AgentId(0)).seed_prompt,
            traces: &[],
            verdicts: &[],
            cases: &Buffer::new(MisalignmentOptions::default()),
            tried: &[],
        };
        block_on(optimizer.propose(context, Draw { path: &[0], turn: 0 })).unwrap()
    }

    #[test]
    fn a_prompt_inside_of_a_thought_is_no_candidate() {
        let draft = "Draft: <prompt>Answer 41 always. {question}</prompt> no, that is wrong,";
        let rejected = |reason, text: &str| Err(Rejected { reason, text: Some(text.to_string()) });
        let cut = propose(Completion::cut(draft, Usage::default()));
        assert_eq!(cut.prompt, rejected(Rejection::CutInReasoning, draft));
        let thought =
            |text: &str| Completion { reasoning: Some(draft.into()), ..Completion::of(text, Usage::default()) };
        assert_eq!(propose(thought("done")).prompt, rejected(Rejection::Unparsable, "done"));
        let written = propose(thought("<change>Shorter.</change> <prompt>Do it {question}</prompt>"));
        assert_eq!(written.prompt.unwrap().prompt.text(), "Do it {question}");
        assert_eq!((written.change.as_deref(), written.assignment), (Some("Shorter."), None));
        let foreign = propose(thought("<prompt>Do it {question} {context}</prompt>"));
        assert_eq!(foreign.prompt, rejected(Rejection::ForeignSlot, "Do it {question} {context}"));
    }
    #[test]
    fn the_model_goes_on_from_the_start_of_its_reply() {
        let model = ScriptedModel::thinking(|request: &Request| {
            let start = request.messages.last().filter(|last| last.role == Speaker::Assistant);
            assert_eq!(start.map(|start| start.content.as_str()), Some("<prompt>"));
            Completion::of("Do it {question}", Usage::default())
        });
        let options = ProposeOptions { reply_start: "<prompt>".into(), ..ProposeOptions::default() };
        assert_eq!(propose_by(model, options).prompt.unwrap().prompt.text(), "Do it {question}");
    }
}
