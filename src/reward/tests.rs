//! Worked examples of Eq. 5 on graphs of three levels, where lookahead and global are different
//! comparisons.

use super::*;
use crate::base::{AgentId, Digest, Seed};
use crate::chat::ScriptedModel;
use crate::graph::EdgeView::Raw;
use crate::graph::Graph;
use crate::judge::{Judge, JudgeMode, JudgeOptions};
use crate::rollout::fixture::{graph, text};
use crate::rollout::{AgentRun, Trace};
use crate::templates::Templates;
use futures::executor::block_on;
use proptest::prelude::*;
use std::sync::Arc;

fn chain() -> Arc<Graph> {
    graph("abc", &[(0, 1, Raw), (1, 2, Raw)])
}

/// The diamond in which a feeds b and c, which both feed d.
fn diamond() -> Arc<Graph> {
    graph("abcd", &[(0, 1, Raw), (0, 2, Raw), (1, 3, Raw), (2, 3, Raw)])
}

/// A trace in which agent `n` wrote the `n`-th number; an empty text is an overflow.
fn trace(item: usize, outputs: &[&str]) -> Trace {
    let run = |(at, output): (usize, &&str)| {
        let context = if at == 0 { String::new() } else { format!("context {at}") };
        let (output, overflow) = (output.to_string(), output.is_empty());
        let input = Digest::of(b"");
        Arc::new(AgentRun {
            context,
            output,
            summary: None,
            overflow,
            cut_in_reasoning: false,
            truncated: false,
            input,
        })
    };
    Trace::new(item, format!("question {item}").into(), outputs.iter().enumerate().map(run).collect())
}

/// A judge that prefers the larger number, and finds both letters equally likely for equal numbers.
fn larger() -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new(|_| String::new()).with_scores(|request, _| {
        let mut answers = text(request).rsplit("\nAnswer ").take(2).map(|part| part.split('\n').nth(2).unwrap());
        let (b, a) = (answers.next().unwrap(), answers.next().unwrap());
        let l = (a.parse::<f64>().unwrap() - b.parse::<f64>().unwrap()).signum();
        vec![-1.0 + l / 2.0, -1.0 - l / 2.0]
    }))
}

struct Case {
    graph: Arc<Graph>,
    options: RewardOptions,
    all_terms: bool,
    model: Arc<ScriptedModel>,
}

impl Case {
    fn new(graph: Arc<Graph>) -> Self {
        Self { graph, options: RewardOptions::default(), all_terms: false, model: larger() }
    }

    fn weights(mut self, local: f64, lookahead: f64, global: f64) -> Self {
        self.options = RewardOptions { local, lookahead, global, ..self.options };
        self
    }

    fn reward(&self, agent: usize, base: &[Trace], new: &[Trace]) -> Reward {
        let judge = Judge::new(self.model.clone(), JudgeOptions::default(), Seed(1), Templates::terse().judge.clone());
        let (graph, options) = (&self.graph, &self.options);
        block_on(joint_reward(&judge, graph, options, AgentId(agent), base, new, self.all_terms, &[])).unwrap()
    }

    /// The terms and the joint reward of one sample.
    #[track_caller]
    fn check(&self, agent: usize, base: &[&str], new: &[&str], terms: [Option<f64>; 3], joint: f64) {
        let reward = self.reward(agent, &[trace(0, base)], &[trace(0, new)]);
        let SampleReward { local, lookahead, global, .. } = reward.samples[0];
        assert_eq!([local, lookahead, global], terms);
        assert!((reward.mean - joint).abs() < 1e-12, "{} is not {joint}", reward.mean);
    }
}

#[test]
fn the_terms_of_a_chain_add_up_by_their_weights() {
    let case = Case::new(chain());
    // a better, b worse, c better: 0.4 · 1 + 0.4 · 0 + 0.2 · 1 = 0.6.
    case.check(0, &["1", "1", "1"], &["2", "0", "2"], [Some(1.0), Some(0.0), Some(1.0)], 0.6);
    // a worse, b the same text, c better: 0.4 · 0 + 0.4 · ½ + 0.2 · 1 = 0.4.
    case.check(0, &["1", "1", "1"], &["0", "1", "2"], [Some(0.0), Some(0.5), Some(1.0)], 0.4);
    // Different texts of equal quality: the judge decides on a tie.
    case.check(0, &["1", "1", "1"], &["1.0", "0", "0"], [Some(0.5), Some(0.0), Some(0.0)], 0.2);
    // b's successor is the terminal: its lookahead and global are one comparison. 0.4 · 0 + 0.6 · 1
    // = 0.6.
    case.check(1, &["1", "1", "1"], &["1", "0", "2"], [Some(0.0), Some(1.0), Some(1.0)], 0.6);
    // The terminal has one comparison, of weight 1.
    case.check(2, &["1", "1", "1"], &["1", "1", "2"], [Some(1.0), None, None], 1.0);
    case.check(2, &["1", "1", "1"], &["1", "1", "0"], [Some(0.0), None, None], 0.0);
}

#[test]
fn the_lookahead_is_the_mean_over_the_direct_successors() {
    let mut case = Case::new(diamond());
    // b better, c worse, d worse: the lookahead is ½, and 0.4 · 1 + 0.4 · ½ + 0.2 · 0 = 0.6.
    let (base, new) = (["1", "1", "1", "1"], ["2", "2", "0", "0"]);
    case.check(0, &base, &new, [Some(1.0), Some(0.5), Some(0.0)], 0.6);
    // Two generations: b, c and d have the mean 1/3, and d still counts for global.
    case.options.lookahead_depth = 2;
    case.check(0, &base, &new, [Some(1.0), Some(1.0 / 3.0), Some(0.0)], 0.4 + 0.4 / 3.0);
    case.options.lookahead_depth = 3;
    case.check(0, &base, &new, [Some(1.0), Some(1.0 / 3.0), Some(0.0)], 0.4 + 0.4 / 3.0);
    // No lookahead at all: (0.4 · 1 + 0.2 · 0) / 0.6.
    case.options.lookahead_depth = 0;
    case.check(0, &base, &new, [Some(1.0), None, Some(0.0)], 2.0 / 3.0);
}

#[test]
fn weights_are_normalised_and_terms_without_weight_are_judged_only_on_request() {
    let (base, new) = (["1", "1", "1"], ["2", "0", "2"]);
    let case = Case::new(chain()).weights(3.0, 1.0, 0.0);
    case.check(0, &base, &new, [Some(1.0), Some(0.0), None], 0.75);
    assert_eq!(case.model.seen().len(), 2 * 2);
    let mut case = Case::new(chain()).weights(0.0, 0.0, 1.0);
    case.check(0, &base, &new, [None, None, Some(1.0)], 1.0);
    case.all_terms = true;
    case.check(0, &base, &new, [Some(1.0), Some(0.0), Some(1.0)], 1.0);
    // A terminal agent has its one comparison whatever the weights are.
    case.all_terms = false;
    case.check(2, &base, &new, [Some(1.0), None, None], 1.0);
}

#[test]
fn a_comparison_that_two_terms_share_is_made_once() {
    let case = Case::new(chain());
    case.check(1, &["1", "1", "1"], &["1", "2", "2"], [Some(1.0); 3], 1.0);
    assert_eq!(case.model.seen().len(), 2 * 2, "local and one for both others, in two orders");
}

/// Each comparison shows the role that it is judged for. Only the local one shows a context, since
/// in the others the two contexts differ.
#[test]
fn the_judge_is_shown_what_each_term_is_about() {
    let case = Case::new(chain());
    case.reward(1, &[trace(3, &["1", "1", "1"])], &[trace(3, &["1", "2", "2"])]);
    let seen = case.model.seen();
    let about = |role: &str| seen.iter().filter(|r| text(r).contains(&format!("Task: {role}\n"))).collect::<Vec<_>>();
    let (own, successor) = (about("role b"), about("role c"));
    assert_eq!((own.len(), successor.len()), (2, 2));
    assert!(own.iter().all(|r| text(r).contains("Context:\n<data>\ncontext 1\n</data>")));
    assert!(successor.iter().all(|r| !text(r).contains("Context:")));
    assert!(seen.iter().all(|r| text(r).contains("Input:\n<data>\nquestion 3\n</data>")));
}

#[test]
fn an_empty_answer_loses_without_a_call() {
    let case = Case::new(chain());
    case.check(0, &["1", "1", "1"], &["", " ", ""], [Some(0.0); 3], 0.0);
    case.check(0, &["", "1", ""], &["1", "", ""], [Some(1.0), Some(0.0), Some(0.5)], 0.5);
    assert!(case.model.seen().is_empty());
}

#[test]
fn the_mean_is_over_the_samples_in_their_order() {
    let case = Case::new(chain());
    let base = [trace(7, &["1", "1", "1"]), trace(2, &["1", "1", "1"]), trace(5, &["1", "1", "1"])];
    let new = [trace(7, &["2", "2", "2"]), trace(2, &["2", "0", "2"]), trace(5, &["1", "1", "1"])];
    let reward = case.reward(0, &base, &new);
    let samples: Vec<_> = reward.samples.iter().map(|s| (s.item, (s.joint * 10.0).round())).collect();
    assert_eq!(samples, [(7, 10.0), (2, 6.0), (5, 5.0)]);
    assert!((reward.mean - 0.7).abs() < 1e-12);
    assert_eq!(case.reward(0, &[], &[]).mean, 0.5);
}

#[test]
fn the_coin_decides_every_comparison_on_its_own() {
    let graph = chain();
    let judge = Judge::new(
        larger(),
        JudgeOptions { mode: JudgeMode::Coin, ..JudgeOptions::default() },
        Seed(1),
        Templates::terse().judge.clone(),
    );
    let batch = |outputs: &[&str]| (0..40).map(|item| trace(item, outputs)).collect::<Vec<_>>();
    let reward = |draw: &[u64]| {
        let (base, new) = (batch(&["1", "1", "1"]), batch(&["2", "2", "2"]));
        block_on(joint_reward(&judge, &graph, &RewardOptions::default(), AgentId(0), &base, &new, false, draw)).unwrap()
    };
    let one = reward(&[1]);
    assert_eq!(one, reward(&[1]));
    assert_ne!(one, reward(&[2]));
    let differ = |f: fn(&SampleReward) -> bool| one.samples.iter().filter(|s| f(s)).count();
    assert!(differ(|s| s.local != s.lookahead) > 5 && differ(|s| s.lookahead != s.global) > 5);
}

#[test]
fn rewards_can_be_computed_on_another_thread() {
    fn check<T: Send>(_: &T) {}
    let (graph, options) = (chain(), RewardOptions::default());
    let judge = Judge::new(larger(), JudgeOptions::default(), Seed(1), Templates::terse().judge.clone());
    check(&joint_reward(&judge, &graph, &options, AgentId(0), &[], &[], true, &[]));
}

proptest! {
    #[test]
    fn swapping_candidate_and_base_mirrors_the_reward(
        base in proptest::collection::vec(0..3_u8, 4), new in proptest::collection::vec(0..3_u8, 4),
        agent in 0..4_usize, depth in 0..4_usize, all_terms: bool, weights in (0.0..2.0, 0.0..2.0, 0.1..2.0),
    ) {
        let mut case = Case::new(diamond()).weights(weights.0, weights.1, weights.2);
        case.options.lookahead_depth = depth;
        case.all_terms = all_terms;
        let make = |numbers: &[u8]| {
            let text = |n: &u8| if *n == 0 { String::new() } else { n.to_string() };
            let texts: Vec<String> = numbers.iter().map(text).collect();
            trace(0, &texts.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let (base, new) = ([make(&base)], [make(&new)]);
        let (there, back) = (case.reward(agent, &base, &new).mean, case.reward(agent, &new, &base).mean);
        prop_assert!((there + back - 1.0).abs() < 1e-9 && (0.0..=1.0).contains(&there));
        prop_assert!((case.reward(agent, &base, &base).mean - 0.5).abs() < 1e-12);
    }
}
