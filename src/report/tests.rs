//! Tests of the whole texts, against golden files.

use super::diff::prompt_diff;
use super::fixture::{ASSESS, BETTER, events, report, report_of};
use super::*;
use crate::base::AgentId;
use crate::prompt::Template;
use crate::search::{Event, FinalVerdict, GateEnd, GateTest, Tested};
use expect_test::{Expect, expect, expect_file};

#[track_caller]
fn check_diff(before: &str, after: &str, expected: Expect) {
    // A first line without indentation keeps `expect!` from removing the indentation of the diff.
    expected.assert_eq(&format!("diff\n{}", prompt_diff(before, after, Colour::Off)));
}

#[test]
fn the_report_of_a_finished_run() {
    expect_file!["golden/report.txt"].assert_eq(&report().text(Colour::Off));
}

#[test]
fn the_json_of_a_finished_run() {
    expect_file!["golden/result.json"].assert_eq(&report().json());
    expect_file!["golden/prompts.json"].assert_eq(&report().prompts_json());
}

#[test]
fn the_json_parses_to_the_same_report() {
    let report = report();
    let again = RunReport::from_json(&report.json()).unwrap();
    assert_eq!(again.text(Colour::Off), report.text(Colour::Off));
    assert_eq!(again, report);
    assert_eq!(
        RunReport::from_json(r#"{"schema": 2}"#).unwrap_err(),
        "the result has schema 2, and this maspo reads schema 1"
    );
    assert_eq!(RunReport::from_json("{}").unwrap_err(), "the result has no schema");
}

#[test]
fn a_run_without_labels_or_gain_says_so() {
    let mut events = events();
    for event in &mut events {
        match event {
            Event::FinalCheck(check) => (check.verdict, check.mean) = (FinalVerdict::Seed, Some(0.25)),
            Event::Finished(finished) => (finished.kept_seed, finished.copied) = (true, vec![]),
            _ => {}
        }
    }
    let mut report = report_of(&events, &[], &[]);
    (report.seed_accuracy, report.optimized_accuracy, report.difference) = (None, None, None);
    report.scored_by = None;
    report.egress_lock =
        EgressLock { reason: Some("there is no egress lock for macos on aarch64".into()), ..EgressLock::default() };
    report.ledger.worker.cached = report.ledger.worker.calls;
    report.ledger.optimizer.cached = 40;
    report.ledger.judge.cached = 2000;
    expect_file!["golden/report-without-labels.txt"].assert_eq(&report.text(Colour::Off));
}

#[test]
fn a_gate_says_which_change_helps_and_what_is_taken_back() {
    let test = |tested, values: Vec<f64>, ended, evidence, needed| {
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let batch = (0..values.len()).collect();
        Event::GateTest(GateTest { tested, batch, values, mean, at_least: 0.375, evidence, needed, ended })
    };
    let gated = |tests: Vec<Event>, verdict, kept_seed| {
        let mut events = events();
        let end = events.len() - 2;
        let Event::Started(started) = &events[0] else { unreachable!("a run starts with it") };
        let seed = started.prompts.clone();
        for event in &mut events {
            match event {
                Event::Started(started) => started.held_back = 25,
                Event::FinalCheck(check) => {
                    check.verdict = verdict;
                    check.optimized = check.optimized.with(AgentId(0), Template::new("Name the facts of {question}."));
                }
                Event::Finished(finished) if kept_seed => (finished.kept_seed, finished.prompts) = (true, seed.clone()),
                _ => {}
            }
        }
        events.splice(end..end, tests);
        report_of(&events, &[], &[]).text(Colour::Off)
    };
    let from_gate = |text: String| {
        let (start, end) = (text.find("Final check").unwrap(), text.find("\nPrompts").unwrap());
        text[start..end].to_string()
    };
    let tests = vec![
        test(Tested::Team, vec![1.0; 8], GateEnd::Shown, 53.393, 20.0),
        test(Tested::Change(AgentId(0)), vec![0.5; 24], GateEnd::Hopeless, 1.0, 80.0),
        test(Tested::Change(AgentId(1)), vec![1.0; 12], GateEnd::Shown, 564.0, 80.0),
        test(Tested::Part(vec![AgentId(1)]), vec![1.0; 12], GateEnd::Shown, 1e7, 80.0),
    ];
    expect![[r#"
        Final check on 4 unlabelled queries: the optimized prompts won (score 0.75; 0.50 is a tie)
        Gate      25 queries held back
          the whole team against the seed prompts: better
            8 queries, score 1.00, at least 0.38; evidence 53.4 of 20.0
          the team against itself without the change of extract: not shown; the queries that are left could not show it
            24 queries, score 0.50, at least 0.38; evidence 1.0 of 80.0
          the team against itself without the change of assess: better
            12 queries, score 1.00, at least 0.38; evidence 564.0 of 80.0
          the team with the changes of assess alone against the seed prompts: better
            12 queries, score 1.00, at least 0.38; evidence 1.0e7 of 80.0
          extract: its change is not shown to help and is taken back
          assess: its change helps
    "#]]
    .assert_eq(&from_gate(gated(tests, FinalVerdict::Optimized, false)));
    let tests = vec![test(Tested::Team, vec![], GateEnd::Budget, 1.0, 20.0)];
    expect![[r#"
        Final check on 4 unlabelled queries: the optimized prompts are not shown to be better, so the seed prompts are kept (score 0.75; 0.50 is a tie)
        Gate      25 queries held back
          the whole team against the seed prompts: not shown within the budget
            0 queries, evidence 1.0 of 20.0
          extract: its change is taken back with all others
          assess: its change is taken back with all others
    "#]].assert_eq(&from_gate(gated(tests, FinalVerdict::Unproven, true)));
}

#[test]
fn a_run_whose_proposals_are_all_unusable_is_warned_of() {
    let mut report = report();
    let warned = |report: &RunReport| report.text(Colour::Off).contains("so nothing was tried");
    assert!(!warned(&report));
    report.steps.iter_mut().flat_map(|step| &mut step.candidates).for_each(|candidate| candidate.id = None);
    assert!(warned(&report));
    report.rejections.clear();
    assert!(!warned(&report));
}

#[test]
fn only_prompts_and_scores_enter_the_hash() {
    let hash = report().result_hash;
    let mut slower = events();
    for event in &mut slower {
        if let Event::Step(step) = event {
            step.avoided.upstream_reused += 1;
        }
    }
    assert_eq!(report_of(&slower, &[true, false], &[true, true]).result_hash, hash);
    assert_ne!(report_of(&events(), &[true, false], &[true, false]).result_hash, hash, "another answer was right");
    assert_ne!(report_of(&events(), &[false, true], &[true, true]).result_hash, hash, "another case was right");
    let mut scored = events();
    for event in &mut scored {
        if let Event::Step(step) = event {
            step.beam[0].score += 0.125;
        }
    }
    assert_ne!(report_of(&scored, &[true, false], &[true, true]).result_hash, hash, "another score");
}

#[test]
fn the_verdict_follows_the_interval() {
    let check = |low: f64, high: f64, verdict: &str| {
        let difference = Difference { value: (low + high) / 2.0, ci95: (low, high), mcnemar_p: 0.5 };
        assert_eq!(difference.verdict(), verdict);
    };
    check(0.01, 0.2, "the optimized prompts are better");
    check(0.0, 0.2, "within noise: no difference was shown");
    check(-0.1, 0.2, "within noise: no difference was shown");
    check(-0.2, -0.01, "the optimized prompts are worse");
    check(0.0, 0.0, "within noise: no difference was shown");
}

#[test]
fn prompts_are_compared_by_words_or_whole() {
    check_diff(
        ASSESS,
        BETTER,
        expect![[r#"
            diff
                Read the case {context}.
                Decide who wrote it: a human or a scraper.{+ Many requests per second mean a scraper.+}
                Answer in <answer></answer>.
        "#]],
    );
    check_diff(
        "Count the words.",
        "Name every colour in {question}!\nBe brief.",
        expect![[r#"
            diff
              - Count the words.
              + Name every colour in {question}!
              + Be brief.
        "#]],
    );
    check_diff(
        "a b c d",
        "a b c",
        expect![[r#"
            diff
                a b c[- d-]
        "#]],
    );
}

#[test]
fn control_characters_of_a_model_never_reach_the_terminal() {
    check_diff(
        "one two three four",
        "one two three \x1b]0;title\x07 \u{202e}four\u{9b}2J",
        expect![[r#"
            diff
                one two three [-four-]{+\u{1b}]0;title\u{7} \u{202e}four\u{9b}2J+}
        "#]],
    );
    assert!(!report().text(Colour::Off).contains('\x1b'));
}

#[test]
fn colours_change_no_words() {
    let (plain, coloured) = (report().text(Colour::Off), report().text(Colour::On));
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[32m{+"));
    let stripped = ["\x1b[31m", "\x1b[32m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(stripped, plain);
}
