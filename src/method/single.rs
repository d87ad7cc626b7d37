//! The methods without a search: one agent that answers alone (`vanilla`), step by step (`cot`),
//! several times with a vote (`sc`), or with a critique of its own draft (`self-refine`).

use super::lab::Lab;
use super::{MethodKind, MethodOptions};
use crate::graph::Graph;
use crate::prompt::{Slot, Template};
use crate::rollout::{AnswerRule, System, SystemAgent, SystemEdge};
use crate::search::SearchError;

/// What `cot` and `sc` add to the prompt.
const STEP_BY_STEP: &str = "Let's think step by step.";

/// The reply of a critique that ends the revisions of `self-refine`.
pub(super) const NO_CHANGE: &str = "no change";

/// Decides the system, which needs no call.
pub(super) fn run(lab: &mut Lab<'_>) -> Result<(), SearchError> {
    lab.system = Some(system(lab.input.method, &lab.input.options, lab.graph()));
    Ok(())
}

fn system(method: MethodKind, options: &MethodOptions, graph: &Graph) -> System {
    let terminal = graph.agent(graph.terminal());
    let format = match terminal.frozen.join("\n") {
        passages if passages.is_empty() => String::new(),
        passages => format!("\n\nEnd with {passages}"),
    };
    let plain = options.prompt.clone().unwrap_or_else(|| format!("{{question}}{format}"));
    let thinking = format!("{plain}\n\n{STEP_BY_STEP}");
    let max_new_tokens = graph.agents().iter().map(|agent| agent.max_new_tokens).max().unwrap_or(1);
    let agent = |name: &str, role: &str, prompt: String| SystemAgent {
        name: name.to_string(),
        role: role.to_string(),
        prompt: Template::new(prompt),
        max_new_tokens,
    };
    let solver = |prompt| vec![agent("solver", &terminal.role, prompt)];
    let alone = |agents, rule| System { agents, edges: Vec::new(), rule };
    match method {
        MethodKind::Cot => alone(solver(thinking), AnswerRule::Once),
        MethodKind::Sc => {
            let rule = AnswerRule::Vote { samples: options.samples, temperature: options.temperature };
            alone(solver(thinking), rule)
        }
        MethodKind::SelfRefine => {
            let [question, context] = Slot::ALL.map(Slot::marker);
            let critique = format!(
                "Check the answer below. Say what is wrong with it and how to mend it. If it is right and \
                 complete, reply with exactly: {NO_CHANGE}\n\nQuestion:\n{question}\n\nAnswer:\n{context}"
            );
            let revise = format!(
                "Answer the question again and mend what the critique says.\n\nQuestion:\n{question}\n\n\
                 {context}{format}"
            );
            let edge = |from: &str, to: &str| SystemEdge { from: from.into(), to: to.into(), view: Default::default() };
            System {
                agents: vec![
                    agent("draft", &terminal.role, plain),
                    agent("critique", "Says what is wrong with an answer.", critique),
                    agent("revise", &terminal.role, revise),
                ],
                edges: vec![edge("draft", "critique"), edge("draft", "revise"), edge("critique", "revise")],
                rule: AnswerRule::Refine { rounds: options.revisions },
            }
        }
        _ => alone(solver(plain), AnswerRule::Once),
    }
}
