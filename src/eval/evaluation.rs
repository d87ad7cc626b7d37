//! The evaluation of one set of prompts on a list of cases.

use crate::base::{Digest, digest_json};
use crate::chat::ChatError;
use crate::rollout::{Prompts, Runner, Trace};
use crate::stats::wilson;
use crate::task::{Case, Outcome, Scorer};
use serde::{Deserialize, Serialize};

/// The result of one case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ItemResult {
    /// The case's id.
    pub id: String,
    /// The answer found in the output; absent if there is none. The gold answer is not recorded.
    pub answer: Option<String>,
    /// Whether the answer is right, wrong or unparsable.
    pub outcome: Outcome,
    /// Whether some agent's prompt was longer than the model can read.
    pub overflow: bool,
    /// Whether some agent's output ended in its reasoning.
    #[serde(default)]
    pub cut_in_reasoning: bool,
}

impl ItemResult {
    /// Whether the answer is right.
    pub fn is_correct(&self) -> bool {
        self.outcome == Outcome::Correct
    }
}

/// The accuracy with its confidence interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Accuracy {
    /// The number of cases.
    pub n: usize,
    /// The number of right answers.
    pub correct: usize,
    /// The accuracy `correct / n`; 0 without cases.
    pub accuracy: f64,
    /// Wilson's 95 % interval.
    pub ci95: (f64, f64),
    /// The number of outputs without an answer, which count as wrong.
    pub unparsable: usize,
    /// The number of programs that used up their time, which count as wrong.
    #[serde(default)]
    pub timeout: usize,
    /// The number of programs that were not judged to the end, which count as wrong.
    #[serde(default)]
    pub refused: usize,
    /// The number of cases in which some agent's prompt was longer than the model can read.
    pub overflow: usize,
    /// The number of cases in which some agent's output ended in its reasoning.
    #[serde(default)]
    pub cut_in_reasoning: usize,
}

/// The evaluation of a set of prompts, case by case.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The totals.
    pub accuracy: Accuracy,
    /// The results of all cases, in the order given.
    pub items: Vec<ItemResult>,
    /// The digest of the cases with their gold answers: evaluations of equal digests can be
    /// compared. Older records have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<Digest>,
}

impl Evaluation {
    /// An evaluation of the results `items`.
    pub fn new(items: Vec<ItemResult>) -> Self {
        let count = |test: fn(&ItemResult) -> bool| items.iter().filter(|item| test(item)).count();
        let (n, correct) = (items.len(), count(ItemResult::is_correct));
        let accuracy = Accuracy {
            n,
            correct,
            accuracy: if n == 0 { 0.0 } else { correct as f64 / n as f64 },
            ci95: wilson(correct, n),
            unparsable: count(|item| item.outcome == Outcome::Unparsable),
            timeout: count(|item| item.outcome == Outcome::Timeout),
            refused: count(|item| item.outcome == Outcome::Refused),
            overflow: count(|item| item.overflow),
            cut_in_reasoning: count(|item| item.cut_in_reasoning),
        };
        Self { accuracy, items, cases: None }
    }

    /// Returns the evaluation with the digest of the cases that it is of.
    pub fn of_cases(self, cases: &[Case]) -> Self {
        Self { cases: Some(digest_of_cases(cases)), ..self }
    }
}

/// Returns the digest of the cases: ids, questions and gold answers, in their order.
pub fn digest_of_cases(cases: &[Case]) -> Digest {
    let rows: Vec<_> = cases.iter().map(|case| (&case.query.id, &*case.query.question, &case.answer)).collect();
    digest_json("maspo cases 1", &rows)
}

/// Runs `prompts` on every case and scores the terminal agent's outputs.
///
/// # Errors
/// Returns every error of the worker except an overflow, which is counted.
pub async fn evaluate(
    runner: &Runner,
    prompts: &Prompts,
    cases: &[Case],
    scorer: &Scorer,
) -> Result<Evaluation, ChatError> {
    Ok(evaluate_traces(runner, prompts, cases, scorer).await?.0)
}

/// Does what [`evaluate`] does, and returns the traces of the cases, too.
///
/// # Errors
/// Those of [`evaluate`].
pub async fn evaluate_traces(
    runner: &Runner,
    prompts: &Prompts,
    cases: &[Case],
    scorer: &Scorer,
) -> Result<(Evaluation, Vec<Trace>), ChatError> {
    let items: Vec<_> = cases.iter().enumerate().map(|(at, case)| (at, case.query.question.clone())).collect();
    let traces = runner.run(prompts, &items).await?;
    let pairs: Vec<_> =
        cases.iter().zip(&traces).map(|(case, trace)| (trace.answer(runner.graph()), &*case.answer)).collect();
    let scored = scorer.score_all(&pairs).map_err(|error| ChatError::Model(error.to_string()))?;
    let results = cases.iter().zip(&traces).zip(scored).map(|((case, trace), scored)| ItemResult {
        id: case.query.id.clone(),
        answer: scored.answer,
        outcome: scored.outcome,
        overflow: trace.overflowed(),
        cut_in_reasoning: trace.was_cut_in_reasoning(),
    });
    let evaluation = Evaluation::new(results.collect()).of_cases(cases);
    Ok((evaluation, traces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatModel, Completion, ModelIdentity, Request, Scores, ScriptedModel, Usage};
    use crate::graph::{Agent, EdgeView, Graph, sequential};
    use crate::prompt::Template;
    use crate::rollout::RolloutOptions;
    use crate::task::Query;
    use crate::templates::Templates;
    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::future::BoxFuture;
    use std::sync::Arc;

    /// A model with a context of 40 bytes.
    struct Small(ScriptedModel);

    impl ChatModel for Small {
        fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
            let bytes = request.messages[0].content.len();
            if bytes > 40 {
                let error = ChatError::Overflow { prompt_tokens: bytes, new_tokens: 1, limit: 40 };
                return async { Err(error) }.boxed();
            }
            self.0.complete(request)
        }

        fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
            self.0.score(request, answers)
        }

        fn identity(&self) -> ModelIdentity {
            self.0.identity()
        }
    }

    #[test]
    fn right_wrong_unparsable_and_overflowing_cases_are_distinguished() {
        let agent = |name: &str, prompt: &str| Agent {
            name: name.into(),
            role: "r".into(),
            seed_prompt: Template::new(prompt),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        };
        let agents = vec![agent("copy", "copy {question}"), agent("answer", "answer {context}")];
        let graph = Arc::new(Graph::new(agents, sequential(2, EdgeView::Extracted), 100).unwrap());
        // The first agent repeats the question; the second answers with its last word, unless that
        // is a question mark.
        let model = ScriptedModel::new(|request| match request.messages[0].content.strip_prefix("copy ") {
            Some(text) => format!("<answer>{text}</answer>"),
            None => match request.messages[0].content.split_whitespace().last() {
                Some("?") | None => "I do not know".to_string(),
                Some(word) => format!("so <answer>{word}</answer>"),
            },
        });
        let case = |id: &str, question: &str| Case {
            query: Query { id: id.into(), question: question.into(), line: 1 },
            answer: "B".into(),
        };
        let cases =
            [case("right", "is B"), case("wrong", "is A"), case("none", "is ?"), case("long", &"long ".repeat(20))];
        let runner = Runner::new(
            graph.clone(),
            Arc::new(Small(model)),
            RolloutOptions::default(),
            Templates::terse().summary.clone(),
        );
        let got = block_on(evaluate(&runner, &Prompts::seed(&graph), &cases, &Scorer::Letter)).unwrap();

        let shown: Vec<_> =
            got.items.iter().map(|i| (i.id.as_str(), i.answer.as_deref(), i.outcome, i.overflow)).collect();
        assert_eq!(
            shown,
            [
                ("right", Some("B"), Outcome::Correct, false),
                ("wrong", Some("A"), Outcome::Wrong, false),
                ("none", None, Outcome::Unparsable, false),
                ("long", None, Outcome::Unparsable, true),
            ]
        );
        let Accuracy { n, correct, accuracy, ci95, unparsable, overflow, cut_in_reasoning, .. } = got.accuracy;
        assert_eq!((n, correct, accuracy, unparsable, overflow, cut_in_reasoning), (4, 1, 0.25, 2, 1, 0));
        assert_eq!(ci95, wilson(1, 4));
    }

    #[test]
    fn every_outcome_is_counted() {
        let item = |(at, outcome): (usize, Outcome)| ItemResult {
            id: at.to_string(),
            answer: None,
            outcome,
            overflow: false,
            cut_in_reasoning: false,
        };
        let counted = Evaluation::new(Outcome::ALL.into_iter().enumerate().map(item).collect()).accuracy;
        assert_eq!((counted.n, counted.correct), (5, 1));
        assert_eq!((counted.unparsable, counted.timeout, counted.refused), (1, 1, 1));
        // What was recorded before programs were scored still reads.
        let old = r#"{"n": 1, "correct": 0, "accuracy": 0.0, "ci95": [0.0, 1.0], "unparsable": 1, "overflow": 0}"#;
        assert_eq!(serde_json::from_str::<Accuracy>(old).unwrap().timeout, 0);
    }

    #[test]
    fn an_answer_inside_of_a_cut_thought_is_unparsable_and_counted() {
        let agent = Agent {
            name: "solver".into(),
            role: "r".into(),
            seed_prompt: Template::new("Solve {question}"),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        };
        let graph = Arc::new(Graph::new(vec![agent], vec![], 100).unwrap());
        let model = ScriptedModel::thinking(|request| match request.messages[0].content.as_str() {
            "Solve cut" => Completion::cut("if it were <answer>C</answer> then", Usage::default()),
            _ => Completion {
                reasoning: Some("<answer>A</answer>? No.".into()),
                ..Completion::of("<answer>C</answer>", Usage::default())
            },
        });
        let case = |question: &str| Case {
            query: Query { id: question.into(), question: question.into(), line: 1 },
            answer: "C".into(),
        };
        let runner =
            Runner::new(graph.clone(), Arc::new(model), RolloutOptions::default(), Templates::terse().summary.clone());
        let cases = [case("whole"), case("cut")];
        let got = block_on(evaluate(&runner, &Prompts::seed(&graph), &cases, &Scorer::Letter)).unwrap();
        let shown: Vec<_> = got.items.iter().map(|item| (item.outcome, item.cut_in_reasoning)).collect();
        assert_eq!(shown, [(Outcome::Correct, false), (Outcome::Unparsable, true)]);
        assert_eq!((got.accuracy.unparsable, got.accuracy.cut_in_reasoning), (1, 1));
        // What was recorded before this was counted still reads.
        let old = r#"{"id": "1", "answer": null, "outcome": "unparsable", "overflow": false}"#;
        assert!(!serde_json::from_str::<ItemResult>(old).unwrap().cut_in_reasoning);
    }
}
