//! Worked examples of every mode, and the two properties of judging in both orders: swapping the
//! answers mirrors the verdict, and a position bias cancels.

use super::template::Question;
use super::*;
use crate::base::{Digest, Seed};
use crate::chat::{ChatError, ChatModel, Completion, ModelIdentity, Panel, Request, Scores, ScriptedModel, Usage};
use crate::templates::Templates;
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use proptest::prelude::*;
use std::cmp::Ordering;
use std::sync::Arc;

const QUESTION: Question<'static> = Question { role: "add up", question: "1 + 1", context: None, frozen: &[] };

/// Returns the two answers that a request shows.
fn shown(request: &Request) -> (&str, &str) {
    let text = &request.messages[0].content;
    let answer = |letter: &str| {
        let start = text.rfind(&format!("Answer {letter}:\n<data>\n")).expect("both answers are shown") + 17;
        &text[start..start + text[start..].find("\n</data>").expect("the fence is closed")]
    };
    (answer("A"), answer("B"))
}

/// Returns log-probabilities of two letters, `l` nats apart, that share the whole probability mass.
fn letters(l: f64) -> Vec<f64> {
    let a = -(1.0 + (-l).exp()).ln();
    vec![a, a - l]
}

/// A model that reads answers as numbers: the larger one is better by the difference in nats, and
/// position A has `bias` nats more.
fn numbers(bias: f64) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new(|_| String::new()).with_scores(move |request, answers| {
        assert_eq!(answers, ["A", "B"]);
        let (a, b) = shown(request);
        letters(a.parse::<f64>().unwrap() - b.parse::<f64>().unwrap() + bias)
    }))
}

fn judge(model: Arc<dyn ChatModel>, options: JudgeOptions) -> Judge {
    Judge::new(model, options, Seed(1), Templates::terse().judge.clone())
}

fn compare(judge: &Judge, candidate: &str, base: &str) -> Verdict {
    block_on(judge.compare(&QUESTION, candidate.into(), base.into(), &[])).unwrap()
}

#[track_caller]
fn check(judge: &Judge, candidate: &str, base: &str, value: f64, kind: VerdictKind) {
    let verdict = compare(judge, candidate, base);
    assert_eq!((verdict.value, verdict.kind), (value, kind));
}

/// Worked by hand with a bias of 2 nats for position A: l1 = 0.8 + 2 = 2.8 and l2 = −(−0.8 + 2) =
/// −1.2, so s = (2.8 − 1.2) / 2 = 0.8.
#[test]
fn both_orders_cancel_a_position_bias() {
    let judge = judge(numbers(2.0), JudgeOptions::default());
    let verdict = compare(&judge, "1.0", "0.2");
    assert_eq!((verdict.value, verdict.kind), (1.0, VerdictKind::Decided));
    assert!((verdict.score.unwrap() - 0.8).abs() < 1e-9, "{verdict:?}");
    check(&judge, "0.2", "1.0", 0.0, VerdictKind::Decided);
    check(&judge, "3.5", "1.0", 1.0, VerdictKind::Decided);
    let stats = judge.stats();
    assert_eq!((stats.comparisons, stats.asked, stats.decided), (3, 6, 3));
    assert_eq!((stats.consistent, stats.inconsistent), (1, 2));
    assert_eq!(stats.position_consistency(), Some(1.0 / 3.0));
    assert_eq!((stats.tie_rate(), stats.unparsable_rate()), (Some(0.0), Some(0.0)));
}

#[test]
fn a_slope_makes_a_wide_margin_count_more_than_a_narrow_one() {
    let judge = judge(numbers(2.0), JudgeOptions { margin_slope: Some(2.0), ..JudgeOptions::default() });
    let value = |candidate: &str, base: &str| compare(&judge, candidate, base).value;
    assert!((value("1.0", "0.2") - 1.0 / (1.0 + (-1.6_f64).exp())).abs() < 1e-9);
    assert!((value("1.0", "0.2") + value("0.2", "1.0") - 1.0).abs() < 1e-9);
    assert!(value("3.0", "0.2") > value("1.0", "0.2"));
    assert_eq!(value("1.0", "1.05"), 0.5, "the tie band still holds");
}

#[test]
fn an_inspection_shows_every_order_and_counts_no_comparison() {
    let judge = judge(numbers(2.0), JudgeOptions::default());
    let inspect = |one: &str, two: &str| block_on(judge.inspect(&QUESTION, [one.into(), two.into()])).unwrap();
    let close = inspect("1.0", "0.2");
    assert_eq!(close.opinions[0].rubrics[0].first_shown, [Some(Ordering::Greater); 2], "A is preferred in both orders");
    assert_eq!(close.opinions[0].rubrics[0].orders_agree(), Some(false));
    assert_eq!(close.opinions[0].rubrics[0].preferred, Some(Ordering::Greater));
    assert_eq!(close.verdict.value, 1.0);
    assert!(close.opinions[0].rubrics[0].letter_mass.iter().all(|mass| (mass.unwrap() - 1.0).abs() < 1e-9));
    assert_eq!(inspect("0.2", "4.0").opinions[0].rubrics[0].orders_agree(), Some(true));
    assert_eq!(inspect("0.2", "4.0").verdict.value, 0.0);
    assert_eq!(inspect("1.0", "1.0").verdict.value, 0.5, "equal answers are asked about, too");
    let stats = judge.stats();
    assert_eq!((stats.comparisons, stats.asked), (0, 8));
}

#[test]
fn a_single_order_follows_a_position_bias() {
    let options = JudgeOptions { both_orders: false, ..JudgeOptions::default() };
    let judge = judge(numbers(2.0), options);
    check(&judge, "1.0", "0.2", 1.0, VerdictKind::Decided);
    check(&judge, "0.2", "1.0", 1.0, VerdictKind::Decided);
    assert_eq!((judge.stats().asked, judge.stats().position_consistency()), (2, None));
}

#[test]
fn identical_texts_are_a_tie_without_a_call() {
    for mode in [JudgeMode::Logit, JudgeMode::Text, JudgeMode::Coin] {
        let model = numbers(2.0);
        let judge = judge(model.clone(), JudgeOptions { mode, ..JudgeOptions::default() });
        check(&judge, "same", "same", 0.5, VerdictKind::Identical);
        assert!(model.seen().is_empty());
        assert_eq!((judge.stats().identical, judge.stats().judged(), judge.stats().tie_rate()), (1, 0, None));
    }
}

#[test]
fn a_difference_within_the_tie_band_is_a_tie() {
    let judge = judge(numbers(0.0), JudgeOptions { tie_band: 0.25, ..JudgeOptions::default() });
    check(&judge, "1.2", "1.0", 0.5, VerdictKind::Tie);
    check(&judge, "1.0", "1.2", 0.5, VerdictKind::Tie);
    check(&judge, "1.5", "1.0", 1.0, VerdictKind::Decided);
    assert_eq!((judge.stats().ties, judge.stats().tie_rate()), (2, Some(2.0 / 3.0)));
}

#[test]
fn unusable_letter_probabilities_are_counted_ties() {
    let scores = |logprobs: Vec<f64>| {
        let model = ScriptedModel::new(|_| String::new()).with_scores(move |_, _| logprobs.clone());
        judge(Arc::new(model), JudgeOptions::default())
    };
    for (logprobs, kind) in [
        (vec![-4.0, -9.0], VerdictKind::LowMass),
        (vec![f64::NAN, -0.1], VerdictKind::Unparsable),
        (vec![-0.1, f64::NEG_INFINITY], VerdictKind::Unparsable),
        (vec![f64::NEG_INFINITY, f64::NEG_INFINITY], VerdictKind::Unparsable),
        (vec![-0.1], VerdictKind::Unparsable),
    ] {
        let judge = scores(logprobs);
        check(&judge, "x", "y", 0.5, kind);
        assert_eq!((judge.stats().unparsable_rate(), judge.stats().tie_rate()), (Some(1.0), Some(1.0)));
        assert_eq!(judge.stats().position_consistency(), None);
    }
    let even = scores(vec![-0.7, -0.7]);
    check(&even, "x", "y", 0.5, VerdictKind::Tie);
}

/// A model for which every call is too long.
struct Tiny;

impl ChatModel for Tiny {
    fn complete(&self, _: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async { Err(ChatError::Cancelled) }.boxed()
    }

    fn score(&self, _: Request, _: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async { Err(ChatError::Overflow { prompt_tokens: 9, new_tokens: 1, limit: 8 }) }.boxed()
    }

    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: "tiny".into(), digest: Digest::of(b"tiny") }
    }
}

#[test]
fn a_comparison_that_is_too_long_is_a_tie_and_other_errors_are_errors() {
    let logit = judge(Arc::new(Tiny), JudgeOptions::default());
    check(&logit, "x", "y", 0.5, VerdictKind::Overflow);
    assert_eq!((logit.stats().overflow, logit.stats().tie_rate()), (1, Some(1.0)));
    let text = judge(Arc::new(Tiny), JudgeOptions { mode: JudgeMode::Text, ..JudgeOptions::default() });
    assert!(matches!(block_on(text.compare(&QUESTION, "x".into(), "y".into(), &[])), Err(ChatError::Cancelled)));
    assert_eq!(text.stats().comparisons, 0);
}

/// A text judge that replies with `reply(a, b)`.
fn text_judge(reply: fn(&str, &str) -> &'static str) -> Judge {
    let model = ScriptedModel::new(move |request| {
        let (a, b) = shown(request);
        assert_eq!((request.max_new_tokens, request.sampling.temperature), (256, 0.0));
        assert!(request.messages[0].content.contains("Reply with <choose>A</choose>"));
        reply(a, b).to_string()
    });
    judge(Arc::new(model), JudgeOptions { mode: JudgeMode::Text, ..JudgeOptions::default() })
}

#[test]
fn a_text_judge_decides_if_both_orders_agree() {
    let larger = text_judge(|a, b| if a > b { "I say <choose>A</choose>" } else { "<choose>B</choose>" });
    check(&larger, "2", "1", 1.0, VerdictKind::Decided);
    check(&larger, "1", "2", 0.0, VerdictKind::Decided);
    assert_eq!(compare(&larger, "1", "2").score, None);
    assert_eq!(larger.stats().position_consistency(), Some(1.0));

    let always_a = text_judge(|_, _| "<choose>A</choose>");
    check(&always_a, "2", "1", 0.5, VerdictKind::Tie);
    assert_eq!((always_a.stats().inconsistent, always_a.stats().tie_rate()), (1, Some(1.0)));

    let chatter = text_judge(|a, _| if a == "2" { "<choose>A</choose>" } else { "both are fine" });
    check(&chatter, "2", "1", 0.5, VerdictKind::Unparsable);
    assert_eq!((chatter.stats().unparsable, chatter.stats().position_consistency()), (1, None));
}

/// A choice inside of a thought that did not end is no verdict.
#[test]
fn a_reply_that_ends_in_its_reasoning_is_unparsable_and_counted() {
    let model = ScriptedModel::thinking(|request| {
        let (a, b) = shown(request);
        let choice = if a > b { "<choose>A</choose>" } else { "<choose>B</choose>" };
        if a == "9" || b == "9" {
            return Completion::cut(format!("perhaps {choice}"), Usage::default());
        }
        let reasoning = Some("<choose>A</choose>, or <choose>B</choose>?".into());
        Completion { reasoning, ..Completion::of(choice, Usage::default()) }
    });
    let judge = judge(Arc::new(model), JudgeOptions { mode: JudgeMode::Text, ..JudgeOptions::default() });
    check(&judge, "2", "1", 1.0, VerdictKind::Decided);
    assert_eq!((judge.stats().unparsable, judge.stats().cut_in_reasoning), (0, 0));
    check(&judge, "9", "1", 0.5, VerdictKind::Unparsable);
    assert_eq!((judge.stats().unparsable, judge.stats().cut_in_reasoning), (1, 2));
}

/// Returns a judge of several models that read answers as numbers, each with a factor: a negative
/// one prefers the smaller number, and 0 sees no difference.
fn panel(factors: &[f64], options: JudgeOptions) -> Judge {
    let member = |factor: &f64| -> Arc<dyn ChatModel> {
        let factor = *factor;
        Arc::new(ScriptedModel::new(|_| String::new()).with_scores(move |request, _| {
            let (a, b) = shown(request);
            letters(factor * (a.parse::<f64>().unwrap() - b.parse::<f64>().unwrap()))
        }))
    };
    judge(Panel::of(factors.iter().map(member).collect()), options)
}

#[test]
fn several_models_are_all_asked_and_their_verdicts_are_averaged() {
    let two_to_one = panel(&[1.0, 2.0, -5.0], JudgeOptions::default());
    let verdict = compare(&two_to_one, "2", "1");
    assert_eq!((verdict.value, verdict.kind), (2.0 / 3.0, VerdictKind::Decided));
    // The margins do not outvote: the mean score is that of the third model's side.
    assert!((verdict.score.unwrap() - (1.0 + 2.0 - 5.0) / 3.0).abs() < 1e-9);
    let mirrored = compare(&two_to_one, "1", "2");
    assert!((mirrored.value - 1.0 / 3.0).abs() < 1e-12);
    let stats = two_to_one.stats();
    assert_eq!((stats.comparisons, stats.asked, stats.decided), (2, 12, 2));
    assert_eq!((stats.models_agreed, stats.models_split), (0, 2));

    let even = panel(&[1.0, -1.0], JudgeOptions::default());
    check(&even, "2", "1", 0.5, VerdictKind::Tie);
    let unsure = panel(&[1.0, 0.0], JudgeOptions::default());
    check(&unsure, "2", "1", 0.75, VerdictKind::Decided);
    let one_mind = panel(&[1.0, 3.0], JudgeOptions::default());
    check(&one_mind, "2", "1", 1.0, VerdictKind::Decided);
    assert_eq!(one_mind.stats().model_agreement(), Some(1.0));
    // With a slope, each model's margin counts.
    let weighed = panel(&[1.0, -5.0], JudgeOptions { margin_slope: Some(1.0), ..JudgeOptions::default() });
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert!((compare(&weighed, "2", "1").value - f64::midpoint(sigmoid(1.0), sigmoid(-5.0))).abs() < 1e-9);
}

#[test]
fn a_model_without_an_answer_has_no_vote() {
    let silent: Arc<dyn ChatModel> =
        Arc::new(ScriptedModel::new(|_| String::new()).with_scores(|_, _| vec![-9.0, -9.0]));
    let with = |others: Vec<Arc<dyn ChatModel>>| {
        judge(Panel::of([vec![silent.clone()], others].concat()), JudgeOptions::default())
    };
    let judge = with(vec![numbers(0.0)]);
    check(&judge, "2", "1", 1.0, VerdictKind::Decided);
    assert_eq!(judge.stats().model_agreement(), None, "one vote agrees with nobody");
    check(&with(vec![silent.clone()]), "2", "1", 0.5, VerdictKind::LowMass);
}

/// Three rubrics: "long" prefers x by 3 nats, and "short" and "plain" prefer y by 1 nat each, so
/// that the mean is 1/3.
#[test]
fn rubrics_are_judged_one_by_one_and_averaged() {
    let model = Arc::new(ScriptedModel::new(|_| String::new()).with_scores(|request, _| {
        let strength = if request.messages[0].content.contains("long") { 3.0 } else { -1.0 };
        letters(if shown(request).0 == "x" { strength } else { -strength })
    }));
    let rubrics = vec!["Prefer long.".into(), "Prefer short.".into(), "Prefer plain.".into()];
    let judge = judge(model.clone(), JudgeOptions { rubrics, ..JudgeOptions::default() });
    let verdict = compare(&judge, "x", "y");
    assert!((verdict.score.unwrap() - 1.0 / 3.0).abs() < 1e-9, "{verdict:?}");
    assert_eq!((verdict.value, model.seen().len(), judge.stats().consistent), (1.0, 6, 3));
}

/// In a text ensemble, rubrics without an answer are left out.
#[test]
fn a_text_ensemble_follows_its_majority() {
    let model = ScriptedModel::new(|request| {
        let text = &request.messages[0].content;
        let prefers = if text.contains("rubric one") { "x" } else { "y" };
        match shown(request).0 == prefers {
            _ if text.contains("rubric four") => "no idea".into(),
            true => "<choose>A</choose>".into(),
            false => "<choose>B</choose>".into(),
        }
    });
    let model = Arc::new(model);
    let ensemble = |names: &[&str]| {
        let rubrics = names.iter().map(|name| format!("rubric {name}")).collect();
        judge(model.clone(), JudgeOptions { mode: JudgeMode::Text, rubrics, ..JudgeOptions::default() })
    };
    check(&ensemble(&["one", "two", "three"]), "x", "y", 0.0, VerdictKind::Decided);
    check(&ensemble(&["one", "two"]), "x", "y", 0.5, VerdictKind::Tie);
    check(&ensemble(&["one", "four"]), "x", "y", 1.0, VerdictKind::Decided);
    check(&ensemble(&["four"]), "x", "y", 0.5, VerdictKind::Unparsable);
}

#[test]
fn the_coin_is_fair_and_repeatable() {
    let judge = judge(numbers(0.0), JudgeOptions { mode: JudgeMode::Coin, ..JudgeOptions::default() });
    let toss = |draw: u64| block_on(judge.compare(&QUESTION, "x".into(), "y".into(), &[draw])).unwrap().value;
    let first: Vec<f64> = (0..1000).map(toss).collect();
    assert_eq!(first, (0..1000).map(toss).collect::<Vec<_>>());
    let heads: f64 = first.iter().sum();
    assert!((450.0..550.0).contains(&heads), "{heads} of 1000");
    assert_eq!((judge.stats().coin, judge.stats().asked, judge.stats().judged()), (2000, 0, 0));
}

/// A model whose replies are an arbitrary function of the request: letters, nonsense, or none.
fn any_model(salt: u64) -> Arc<ScriptedModel> {
    let roll = move |request: &Request| {
        let mut bytes = request.messages[0].content.clone().into_bytes();
        bytes.extend(salt.to_le_bytes());
        Digest::of(&bytes).0
    };
    let choices = ["<choose>A</choose>", "<choose>B</choose>", "neither"];
    let complete = move |request: &Request| choices[roll(request)[0] as usize % 3].to_string();
    Arc::new(ScriptedModel::new(complete).with_scores(move |request, _| match roll(request) {
        [0..20, ..] => vec![f64::NAN, -1.0],
        [20..40, ..] => vec![-5.0, -6.0],
        [_, l, ..] => letters(f64::from(l) / 64.0 - 2.0),
    }))
}

proptest! {
    #[test]
    fn swapping_the_answers_mirrors_the_verdict(
        salt: u64, a in "[a-c]{0,2}", b in "[a-c]{0,2}", rubrics in 0..3_usize, tie_band in 0.0..0.5,
        mode in prop_oneof![Just(JudgeMode::Logit), Just(JudgeMode::Text), Just(JudgeMode::Coin)],
    ) {
        let rubrics = (0..rubrics).map(|n| format!("rubric {n}")).collect();
        let judge = judge(any_model(salt), JudgeOptions { mode, tie_band, rubrics, ..JudgeOptions::default() });
        let one = block_on(judge.compare(&QUESTION, a.as_str().into(), b.as_str().into(), &[salt])).unwrap();
        let two = block_on(judge.compare(&QUESTION, b.as_str().into(), a.as_str().into(), &[salt])).unwrap();
        prop_assert_eq!(one.value, 1.0 - two.value);
        prop_assert_eq!(one.score, two.score.map(|score| -score));
        let stats = judge.stats();
        prop_assert_eq!(stats.comparisons, 2);
        prop_assert_eq!(
            stats.judged(), stats.decided + stats.ties + stats.low_mass + stats.unparsable + stats.overflow,
        );
    }

    #[test]
    fn a_position_bias_never_changes_a_decision(bias in -8.0..8.0_f64, gap in 0.11..5.0_f64, first: bool) {
        let (better, worse) = (gap.to_string(), "0".to_string());
        let (candidate, base) = if first { (better, worse) } else { (worse, better) };
        let judge = judge(numbers(bias), JudgeOptions::default());
        let verdict = compare(&judge, &candidate, &base);
        prop_assert_eq!((verdict.value, verdict.kind), (if first { 1.0 } else { 0.0 }, VerdictKind::Decided));
    }
}
