//! Reads how likely each label is as a team's answer: the terminal agent's prompt and output are
//! kept up to the answer, and the model scores every label in its place.

use crate::chat::{ChatError, ChatModel, Message, Request, Sampling};
use crate::graph::Graph;
use crate::prompt::tags;
use crate::rollout::{Prompts, Trace};
use futures::stream::{self, StreamExt, TryStreamExt};
use futures::{FutureExt, future::BoxFuture};
use std::sync::Arc;

/// How likely each label is as the answer to one case.
#[derive(Clone, PartialEq, Debug)]
pub struct LabelScores {
    /// The natural logarithm of the probability that `<answer>LABEL</answer>` comes next, for each
    /// label in the order given.
    pub logprobs: Vec<f64>,
    /// Whether the output held no whole answer, so that the labels were scored at its end.
    pub forced: bool,
}

/// Scores `labels` as the answers of `traces`. A case is `None` if its prompt is too long for the
/// model, or if a score is no finite number.
///
/// # Errors
/// Returns every error of the worker except an overflow.
pub async fn score_labels(
    worker: &Arc<dyn ChatModel>,
    graph: &Graph,
    prompts: &Prompts,
    traces: &[Trace],
    labels: &[String],
    max_in_flight: usize,
) -> Result<Vec<Option<LabelScores>>, ChatError> {
    let calls: Vec<BoxFuture<'_, _>> =
        traces.iter().map(|trace| score_one(worker, graph, prompts, trace, labels).boxed()).collect();
    stream::iter(calls).buffered(max_in_flight.max(1)).try_collect().await
}

async fn score_one(
    worker: &Arc<dyn ChatModel>,
    graph: &Graph,
    prompts: &Prompts,
    trace: &Trace,
    labels: &[String],
) -> Result<Option<LabelScores>, ChatError> {
    let run = trace.run(graph.terminal());
    if run.overflow {
        return Ok(None);
    }
    let Beginning { text, lead, forced } = beginning(&run.output);
    let mut messages = vec![Message::user(prompts.get(graph.terminal()).render(&trace.question, &run.context))];
    if !text.is_empty() {
        messages.push(Message::assistant(text));
    }
    let answers: Vec<String> = labels.iter().map(|label| format!("{lead}<answer>{label}</answer>")).collect();
    let request = Request { messages, max_new_tokens: 1, max_thinking_tokens: None, sampling: Sampling::GREEDY };
    match worker.score(request, answers).await {
        Ok(scores) => {
            let usable = scores.logprobs.len() == labels.len() && scores.logprobs.iter().all(|p| p.is_finite());
            Ok(usable.then_some(LabelScores { logprobs: scores.logprobs, forced }))
        }
        Err(ChatError::Overflow { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an output says before its answer.
#[derive(PartialEq, Eq, Debug)]
struct Beginning<'a> {
    /// The text that stays.
    text: &'a str,
    /// What comes between the text and the tag. A tokenizer joins spaces with what follows, so they
    /// are scored together with the label.
    lead: &'a str,
    forced: bool,
}

/// Cuts an output before its last answer; one without an answer is kept whole.
fn beginning(output: &str) -> Beginning<'_> {
    let tags = tags(output, "answer");
    let whole = tags.windows(2).rev().find(|pair| pair[0].opens && !pair[1].opens).map(|pair| &pair[0]);
    match whole.or_else(|| tags.last().filter(|tag| tag.opens)) {
        Some(tag) => {
            let before = &output[..tag.range.start];
            let text = before.trim_end_matches(' ');
            Beginning { text, lead: &before[text.len()..], forced: whole.is_none() }
        }
        None => {
            let text = output.trim_end();
            Beginning { text, lead: if text.is_empty() { "" } else { "\n" }, forced: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ScriptedModel;
    use crate::graph::{Agent, EdgeView, sequential};
    use crate::prompt::Template;
    use crate::rollout::{RolloutOptions, Runner};
    use crate::templates::Templates;
    use futures::executor::block_on;

    #[test]
    fn an_output_is_kept_up_to_its_last_answer() {
        let check = |output, text, lead, forced| assert_eq!(beginning(output), Beginning { text, lead, forced });
        check("It is <answer>B</answer>.", "It is", " ", false);
        check("One\n\n<answer>A</answer>", "One\n\n", "", false);
        check("<answer>A</answer> no: <Answer> B </ANSWER>", "<answer>A</answer> no:", " ", false);
        check("<answer>A</answer>", "", "", false);
        check("It is <answer>scra", "It is", " ", true);
        check("I do not know. \n", "I do not know.", "\n", true);
        check(" \n", "", "", true);
    }

    #[test]
    fn labels_are_scored_in_place_of_the_answer_of_the_terminal_agent() {
        let agent = |name: &str, prompt: &str| Agent {
            name: name.into(),
            role: "r".into(),
            seed_prompt: Template::new(prompt),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        };
        let agents = vec![agent("copy", "copy {question}"), agent("answer", "answer {context}")];
        let graph = Arc::new(Graph::new(agents, sequential(2, EdgeView::Raw), 100).unwrap());
        let model = ScriptedModel::new(|request| match request.messages[0].content.strip_prefix("copy ") {
            Some(text) => text.to_string(),
            None => "so <answer>bot</answer>".to_string(),
        })
        .with_scores(|request, answers| {
            assert_eq!(answers, [" <answer>bot</answer>", " <answer>human</answer>"]);
            let [user, assistant] = &request.messages[..] else { panic!("two messages") };
            assert_eq!(*assistant, Message::assistant("so"));
            if user.content == "answer nan" { vec![f64::NAN, -1.0] } else { vec![-0.5, -1.5] }
        });
        let model: Arc<dyn ChatModel> = Arc::new(model);
        let summary = Templates::terse().summary.clone();
        let runner = Runner::new(graph.clone(), model.clone(), RolloutOptions::default(), summary);
        let prompts = Prompts::seed(&graph);
        let items: Vec<(usize, Arc<str>)> = vec![(0, "one".into()), (1, "nan".into())];
        let labels = ["bot".to_string(), "human".to_string()];
        let traces = block_on(runner.run(&prompts, &items)).unwrap();
        let scores = block_on(score_labels(&model, &graph, &prompts, &traces, &labels, 4)).unwrap();
        assert_eq!(scores, [Some(LabelScores { logprobs: vec![-0.5, -1.5], forced: false }), None]);
    }
}
