//! A misalignment case, and the rule for which samples are cases (Eq. 6). Knows what an agent read
//! and wrote, how that ended, and the verdicts on it.

use super::Verdicts;
use crate::base::AgentId;
use crate::graph::{EdgeView, Graph};
use crate::prompt::last_tagged;
use crate::reward::SampleReward;
use crate::rollout::Trace;
use std::sync::Arc;

/// The input and output of one agent in one trace, with the outputs that followed from it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Case {
    /// The query q.
    pub question: Arc<str>,
    /// The context C_i; empty where the agent has no predecessor.
    pub context: String,
    /// The agent's output o'_i.
    pub output: String,
    /// The direct successors' names and outputs, in topological order; empty for the terminal
    /// agent.
    pub successors: Vec<(String, String)>,
    /// The system's final output; `None` for the terminal agent, whose output it is.
    pub answer: Option<String>,
    /// Whether the agent's prompt was too long for the model.
    pub overflow: bool,
    /// Whether the output ended in its reasoning.
    pub cut_in_reasoning: bool,
    /// Whether the output reached the agent's limit of new tokens.
    pub truncated: bool,
    /// Whether the output lacks an `<answer>…</answer>` although a successor reads that alone, or
    /// the agent's frozen passages have one.
    pub unparsable: bool,
    /// The verdicts on the sample, if it was judged.
    pub verdicts: Option<Verdicts>,
}

impl Case {
    /// The part of `trace` that concerns `agent`, with the verdicts of `sample`.
    pub fn of(graph: &Graph, agent: AgentId, trace: &Trace, sample: Option<&SampleReward>) -> Self {
        let run = trace.run(agent);
        let has_output = !run.overflow && !run.cut_in_reasoning;
        let successor = |id: AgentId| (graph.agent(id).name.clone(), trace.output(id).to_string());
        Self {
            question: trace.question.clone(),
            context: run.context.clone(),
            output: run.output.clone(),
            successors: graph.successors(agent).into_iter().map(successor).collect(),
            answer: (agent != graph.terminal()).then(|| trace.output(graph.terminal()).to_string()),
            overflow: run.overflow,
            cut_in_reasoning: run.cut_in_reasoning,
            truncated: run.truncated,
            unparsable: has_output && needs_answer(graph, agent) && last_tagged(&run.output, ANSWER_TAG).is_none(),
            verdicts: sample.map(Verdicts::of),
        }
    }

    /// Whether the case shows what `other` shows: the same texts.
    pub fn has_texts_of(&self, other: &Self) -> bool {
        (&self.question, &self.context, &self.output) == (&other.question, &other.context, &other.output)
            && (&self.successors, &self.answer) == (&other.successors, &other.answer)
    }

    /// Whether something about the output is to be mended: it is cut or empty, lacks its answer, or
    /// lost a comparison.
    pub fn failed(&self) -> bool {
        let is_empty = self.output.trim().is_empty();
        let is_faulty = is_empty || self.truncated || self.unparsable;
        is_faulty || self.verdicts.is_some_and(|verdicts| verdicts.lost())
    }
}

/// The tag around an answer that successors may read alone.
const ANSWER_TAG: &str = "answer";

fn needs_answer(graph: &Graph, agent: AgentId) -> bool {
    let is_extracted = graph.edges().iter().any(|edge| edge.from == agent && edge.view == EdgeView::Extracted);
    is_extracted || graph.agent(agent).frozen.iter().any(|passage| passage.contains("<answer>"))
}

/// Whether the sample is misaligned (Eq. 6): better for the agent itself, and worse for a successor
/// or for the system. A term that was not judged does not count as worse.
pub fn is_misaligned(sample: &SampleReward) -> bool {
    let worse = |term: Option<f64>| term.is_some_and(|value| value < 0.5);
    sample.local.is_some_and(|local| local > 0.5) && (worse(sample.lookahead) || worse(sample.global))
}

/// Whether the sample is the opposite, for the ablation: better for the agent itself and on every
/// other term that was judged.
pub fn is_success(sample: &SampleReward) -> bool {
    let better = |term: Option<f64>| term.is_none_or(|value| value > 0.5);
    sample.local.is_some_and(|local| local > 0.5) && better(sample.lookahead) && better(sample.global)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::rollout::{AgentRun, fixture};

    fn sample(local: f64, lookahead: Option<f64>, global: Option<f64>) -> SampleReward {
        SampleReward { item: 0, local: Some(local), lookahead, global, joint: 0.0 }
    }

    #[test]
    fn samples_are_misaligned_as_equation_6_says() {
        // local, lookahead, global → (misaligned, success)
        let check = |local, lookahead, global, expected| {
            let sample = sample(local, lookahead, global);
            assert_eq!((is_misaligned(&sample), is_success(&sample)), expected, "{sample:?}");
        };
        check(1.0, Some(0.0), Some(1.0), (true, false));
        check(1.0, Some(1.0), Some(0.0), (true, false));
        check(1.0, Some(0.0), Some(0.0), (true, false));
        check(1.0, Some(0.5), Some(0.5), (false, false));
        check(1.0, Some(1.0), Some(1.0), (false, true));
        check(1.0, Some(1.0), Some(0.5), (false, false));
        // The mean of two successors, one of them worse and one a tie, is below ½.
        check(1.0, Some(0.25), Some(0.5), (true, false));
        check(0.5, Some(0.0), Some(0.0), (false, false));
        check(0.0, Some(0.0), Some(0.0), (false, false));
        // A terminal agent has one comparison only, so it is never misaligned.
        check(1.0, None, None, (false, true));
    }

    #[test]
    fn an_output_without_the_answer_that_is_read_is_unparsable() {
        let check = |view, frozen: &[&str], output: &str, expected| {
            let graph = fixture::graph("ab", &[(0, 1, view)]);
            let mut agents = graph.agents().to_vec();
            agents[0].frozen = frozen.iter().map(ToString::to_string).collect();
            agents[0].seed_prompt = crate::prompt::Template::new(format!("Do {} {{question}}", frozen.concat()));
            let graph = Graph::new(agents, graph.edges().to_vec(), 1000).unwrap();
            let run = |output: &str| {
                let (context, input) = (String::new(), Digest::of(b""));
                let (overflow, cut_in_reasoning, truncated) = (false, false, false);
                let output = output.to_string();
                Arc::new(AgentRun { context, output, summary: None, overflow, cut_in_reasoning, truncated, input })
            };
            let trace = Trace::new(0, "q".into(), vec![run(output), run("b")]);
            assert_eq!(
                Case::of(&graph, AgentId(0), &trace, None).unparsable,
                expected,
                "{view:?} {frozen:?} {output:?}"
            );
        };
        check(EdgeView::Raw, &[], "7", false);
        check(EdgeView::Extracted, &[], "7", true);
        check(EdgeView::Extracted, &[], "<answer>7</answer>", false);
        check(EdgeView::Raw, &["<answer>A</answer>"], "7", true);
        check(EdgeView::Raw, &["<answer>A</answer>"], "", true);
    }
}
