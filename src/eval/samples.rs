//! Several samples of every case: pass@k, and the majority of the answers.

use super::evaluation::{Evaluation, ItemResult, evaluate};
use crate::base::{Seed, Stage};
use crate::chat::{ChatError, ChatModel, Decoding, ModelRole, RoleModel};
use crate::rollout::{Prompts, Runner};
use crate::stats::{mean_proportion, pass_at, wilson};
use crate::task::{Case, Outcome, Scorer};
use serde::Serialize;
use std::sync::Arc;

/// The temperature of samples if neither `[eval]` nor the worker model has one.
pub const SAMPLE_TEMPERATURE: f64 = 0.7;

/// How several samples of every case are drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct SampleOptions {
    /// The number of samples of a case, at least 2.
    pub samples: usize,
    /// The numbers k of pass@k, each between 1 and `samples`.
    pub pass_at: Vec<usize>,
    /// The sampling temperature; by default the worker's, or [`SAMPLE_TEMPERATURE`].
    pub temperature: Option<f64>,
    /// The share of likely tokens that is kept; by default as the worker decodes.
    pub top_p: Option<f64>,
    /// The number of likely tokens that is kept; by default as the worker decodes.
    pub top_k: Option<u32>,
}

impl SampleOptions {
    /// Returns how a worker that otherwise decodes like `worker` decodes for samples.
    pub fn decoding(&self, worker: Decoding) -> Decoding {
        let own = worker.temperature.filter(|temperature| *temperature > 0.0);
        Decoding {
            temperature: self.temperature.or(own).or(Some(SAMPLE_TEMPERATURE)),
            top_p: self.top_p.or(worker.top_p),
            top_k: self.top_k.or(worker.top_k),
            ..worker
        }
    }

    /// Returns one worker model for each sample. A request's seed depends on the run's seed, on the
    /// sample's number and on the messages, so the first samples are the same however many follow.
    pub fn workers(&self, model: &Arc<dyn ChatModel>, worker: Decoding, seed: Seed) -> Vec<Arc<dyn ChatModel>> {
        let decoding = self.decoding(worker);
        let of = |sample: usize| {
            let seed = seed.derive(Stage::Sample, &[sample as u64]);
            RoleModel::wrap(model.clone(), ModelRole::Worker, decoding, seed)
        };
        (0..self.samples).map(of).collect()
    }
}

/// The evaluation of several samples of every case.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Samples {
    /// The number of samples of a case.
    pub samples: usize,
    /// Estimates of pass@k.
    pub pass_at: Vec<PassAt>,
    /// The majority of the answers; absent where answers cannot be compared, as with programs.
    pub majority: Option<Majority>,
    /// The samples of every case, in the order of the cases.
    pub items: Vec<SampleItem>,
}

/// The mean over all cases of the unbiased estimate of pass@k.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct PassAt {
    /// The number of samples of which one has to be right.
    pub k: usize,
    /// The estimate; 0 without cases.
    pub value: f64,
    /// Its 95 % interval over the cases.
    pub ci95: (f64, f64),
}

/// The accuracy of the answer that most samples of a case give.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Majority {
    /// The number of samples that vote.
    pub k: usize,
    /// The number of cases.
    pub n: usize,
    /// The number of cases whose majority is right.
    pub correct: usize,
    /// The accuracy `correct / n`; 0 without cases.
    pub accuracy: f64,
    /// Wilson's 95 % interval.
    pub ci95: (f64, f64),
    /// The number of cases of which no sample has an answer.
    pub unparsable: usize,
}

/// The samples of one case.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SampleItem {
    /// The case's id.
    pub id: String,
    /// The outcomes of the samples, in their order.
    pub outcomes: Vec<Outcome>,
    /// The answers of the samples; absent if there is none.
    pub answers: Vec<Option<String>>,
    /// The answer of the majority.
    pub majority: Option<String>,
    /// The outcome of that answer; absent where answers cannot be compared.
    pub majority_outcome: Option<Outcome>,
}

/// Runs `prompts` on every case once with each runner, and scores all outputs. Also returns the
/// evaluation of the first samples.
///
/// # Errors
/// Returns every error of the worker except an overflow, which is counted.
///
/// # Panics
/// Panics if there are not as many runners as samples, or if a k of pass@k is out of range.
pub async fn evaluate_samples(
    runners: &[Runner],
    prompts: &Prompts,
    cases: &[Case],
    scorer: &Scorer,
    options: &SampleOptions,
) -> Result<(Evaluation, Samples), ChatError> {
    assert!(runners.len() == options.samples && options.samples > 0, "there is one runner for each sample");
    let mut evaluations = Vec::with_capacity(runners.len());
    for runner in runners {
        evaluations.push(evaluate(runner, prompts, cases, scorer).await?);
    }
    let items: Vec<SampleItem> = (0..cases.len())
        .map(|at| item(&evaluations.iter().map(|evaluation| &evaluation.items[at]).collect::<Vec<_>>(), scorer))
        .collect();
    let samples = Samples {
        samples: options.samples,
        pass_at: options.pass_at.iter().map(|&k| passed(&items, options.samples, k)).collect(),
        majority: scorer.can_vote().then(|| majority(&items, options.samples)),
        items,
    };
    Ok((evaluations.swap_remove(0), samples))
}

fn item(samples: &[&ItemResult], scorer: &Scorer) -> SampleItem {
    let answers: Vec<_> = samples.iter().map(|sample| sample.answer.as_deref()).collect();
    let voted = scorer.vote(&answers);
    let outcome = voted.map_or(Outcome::Unparsable, |at| samples[at].outcome);
    SampleItem {
        id: samples[0].id.clone(),
        outcomes: samples.iter().map(|sample| sample.outcome).collect(),
        answers: samples.iter().map(|sample| sample.answer.clone()).collect(),
        majority: voted.and_then(|at| samples[at].answer.clone()),
        majority_outcome: scorer.can_vote().then_some(outcome),
    }
}

fn passed(items: &[SampleItem], samples: usize, k: usize) -> PassAt {
    let right = |item: &SampleItem| item.outcomes.iter().filter(|outcome| **outcome == Outcome::Correct).count();
    let values: Vec<f64> = items.iter().map(|item| pass_at(samples, right(item), k)).collect();
    // Of `samples` samples, `samples / k` groups of k can be told apart.
    let (value, ci95) = mean_proportion(&values, samples / k).unwrap_or((0.0, (0.0, 1.0)));
    PassAt { k, value, ci95 }
}

fn majority(items: &[SampleItem], k: usize) -> Majority {
    let count = |outcome| items.iter().filter(|item| item.majority_outcome == Some(outcome)).count();
    let (n, correct) = (items.len(), count(Outcome::Correct));
    let accuracy = if n == 0 { 0.0 } else { correct as f64 / n as f64 };
    Majority { k, n, correct, accuracy, ci95: wilson(correct, n), unparsable: count(Outcome::Unparsable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CancelToken;
    use crate::chat::{Ledger, Metered, ScriptedModel};
    use crate::graph::{Agent, Graph};
    use crate::prompt::Template;
    use crate::rollout::RolloutOptions;
    use crate::task::Query;
    use crate::templates::Templates;
    use futures::executor::block_on;
    use std::collections::BTreeMap;

    const OPTIONS: SampleOptions =
        SampleOptions { samples: 4, pass_at: Vec::new(), temperature: None, top_p: None, top_k: None };

    /// Evaluates four samples of each question on a model that answers the question's words in
    /// turn, whatever the order of the requests: the sample is known by its seed.
    fn run(questions: &[(&str, &str)], scorer: &Scorer, pass_at: &[usize]) -> (Evaluation, Samples, Ledger) {
        let options = SampleOptions { pass_at: pass_at.to_vec(), ..OPTIONS };
        let agent = Agent {
            name: "solver".into(),
            role: "r".into(),
            seed_prompt: Template::new("Answer {question}"),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        };
        let graph = Arc::new(Graph::new(vec![agent], vec![], 100).unwrap());
        let summary = Templates::terse().summary.clone();
        // Which seed each request has: asked once without any answer, in the order of the samples.
        let probe = Arc::new(ScriptedModel::new(|_| String::new()));
        let cases: Vec<Case> = questions
            .iter()
            .map(|(question, answer)| Case {
                query: Query { id: (*question).into(), question: (*question).into(), line: 1 },
                answer: (*answer).into(),
            })
            .collect();
        let runners = |model: Arc<dyn ChatModel>| -> Vec<Runner> {
            let workers = options.workers(&model, Decoding::default(), Seed(1));
            let runner = |worker| Runner::new(graph.clone(), worker, RolloutOptions::default(), summary.clone());
            workers.into_iter().map(runner).collect()
        };
        let prompts = Prompts::seed(&graph);
        block_on(evaluate_samples(&runners(probe.clone()), &prompts, &cases, scorer, &options)).unwrap();
        let mut seeds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for request in probe.seen() {
            assert_eq!(request.sampling.temperature, SAMPLE_TEMPERATURE);
            seeds.entry(request.messages[0].content.clone()).or_default().push(request.sampling.seed);
        }
        let model = ScriptedModel::new(move |request| {
            let prompt = &request.messages[0].content;
            let sample = seeds[prompt].iter().position(|seed| *seed == request.sampling.seed).unwrap();
            format!("<answer>{}</answer>", prompt.split_whitespace().nth(1 + sample).unwrap())
        });
        let ledger = Ledger::new();
        let metered = Metered::new(Arc::new(model), ModelRole::Worker, ledger.clone(), CancelToken::new());
        let (first, samples) =
            block_on(evaluate_samples(&runners(Arc::new(metered)), &prompts, &cases, scorer, &options)).unwrap();
        (first, samples, ledger)
    }

    #[test]
    fn pass_at_k_and_the_majority_are_those_worked_out_by_hand() {
        let questions = [("B A A C", "A"), ("A B C D", "A"), ("C C C C", "A"), ("x x x D", "D")];
        let (first, samples, ledger) = run(&questions, &Scorer::Letter, &[1, 2, 4]);
        // Right samples: 2, 1, 0 and 1 of 4.
        // pass@1: (2 + 1 + 0 + 1) / 16. pass@2: the mean of 5/6, 1/2, 0 and 1/2. pass@4: 3/4.
        let values: Vec<_> = samples.pass_at.iter().map(|pass| (pass.k, (pass.value * 24.0).round() / 24.0)).collect();
        assert_eq!(values, [(1, 0.25), (2, 11.0 / 24.0), (4, 0.75)]);
        assert_eq!(samples.pass_at[2].ci95, wilson(3, 4));
        // The majorities: A; A, whose first vote came first; C; D, the only answer.
        let voted: Vec<_> = samples.items.iter().map(|item| item.majority.as_deref().unwrap()).collect();
        assert_eq!(voted, ["A", "A", "C", "D"]);
        let majority = samples.majority.unwrap();
        assert_eq!((majority.k, majority.n, majority.correct, majority.unparsable), (4, 4, 3, 0));
        assert_eq!((majority.accuracy, majority.ci95), (0.75, wilson(3, 4)));
        // The evaluation is that of the first samples, and every sample was paid for.
        assert_eq!((first.accuracy.n, first.accuracy.correct, first.accuracy.unparsable), (4, 1, 1));
        assert_eq!(ledger.line(ModelRole::Worker).calls, 16);
    }

    #[test]
    fn answers_are_voted_on_by_value() {
        let math = Scorer::Math { round_to_gold: false };
        let (first, samples, _) = run(&[("2 1/2 0.5 2/4", "\\frac12")], &math, &[1]);
        assert_eq!((first.accuracy.correct, samples.majority.unwrap().correct), (0, 1));
        assert_eq!(samples.items[0].majority.as_deref(), Some("1/2"));
        assert_eq!(samples.pass_at[0].value, 0.75);
    }

    #[test]
    fn without_any_answer_there_is_no_majority() {
        let (_, samples, _) = run(&[("x x x x", "A")], &Scorer::Letter, &[4]);
        let majority = samples.majority.unwrap();
        assert_eq!((majority.correct, majority.unparsable, samples.items[0].majority.as_deref()), (0, 1, None));
        assert_eq!(samples.pass_at[0].value, 0.0);
    }

    #[test]
    fn a_sample_has_the_same_seed_however_many_follow() {
        let seeds = |samples: usize, seed: u64| -> Vec<u64> {
            let model = Arc::new(ScriptedModel::new(|_| String::new()));
            let options = SampleOptions { samples, ..OPTIONS };
            let plain: Arc<dyn ChatModel> = model.clone();
            for worker in options.workers(&plain, Decoding::default(), Seed(seed)) {
                let messages = vec![crate::chat::Message::user("q")];
                let sampling = crate::chat::Sampling::GREEDY;
                let request = crate::chat::Request { messages, max_new_tokens: 1, max_thinking_tokens: None, sampling };
                block_on(worker.complete(request)).unwrap();
            }
            model.seen().iter().map(|request| request.sampling.seed).collect()
        };
        let five = seeds(5, 1);
        assert_eq!(five[..2], seeds(2, 1));
        assert_eq!(five.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
        assert_ne!(five[..2], seeds(2, 2));
    }

    #[test]
    fn the_temperature_is_that_of_the_section_or_else_the_workers() {
        let of = |own: Option<f64>, worker: Option<f64>| {
            let options = SampleOptions { temperature: own, ..OPTIONS };
            options.decoding(Decoding { temperature: worker, top_k: Some(20), ..Decoding::default() })
        };
        assert_eq!(of(Some(1.0), Some(0.6)).temperature, Some(1.0));
        assert_eq!(of(None, Some(0.6)).temperature, Some(0.6));
        // Equal samples would say nothing.
        assert_eq!(of(None, Some(0.0)).temperature, Some(SAMPLE_TEMPERATURE));
        assert_eq!((of(None, None).temperature, of(None, None).top_k), (Some(SAMPLE_TEMPERATURE), Some(20)));
    }
}
