//! The texts, whole.

use super::diff::prompt_diff;
use super::fixture::{ASSESS, BETTER, events, report, report_of};
use super::*;
use crate::search::{Event, FinalVerdict};
use expect_test::{Expect, expect};

#[track_caller]
fn check_diff(before: &str, after: &str, expected: Expect) {
    // A line without indentation keeps `expect!` from taking the diff's own indentation for the source's.
    expected.assert_eq(&format!("diff\n{}", prompt_diff(before, after, Colour::Off)));
}

#[test]
fn the_report_of_a_finished_run() {
    expect![[r#"
        Run `tiny`, seed 7
        model     triage (5540edfbd10f) in every role

        Accuracy on 200 held-out cases
          seed prompts       0.610  (122 of 200; 95 % interval 0.541 to 0.675)
          optimized prompts  0.745  (149 of 200; 95 % interval 0.680 to 0.800)
          difference        +0.135  (95 % interval +0.080 to +0.190; McNemar p < 0.0001): the optimized prompts are better
        Final check on 4 unlabelled queries: the optimized prompts won (score 0.75; 0.50 is a tie)

        Prompts   [-before-] {+after+}
          extract: not to be changed
          assess: changed
            Read the case {context}.
            Decide who wrote it: a human or a scraper.{+ Many requests per second mean a scraper.+}
            Answer in <answer></answer>.

        Search    2 steps, 2 candidates tried, 1 step improved a prompt, 1 candidate rejected (1 too-long)
          misaligned  assess: 4 of the 10 answers that were better for it alone were worse for the team (0.40)
          refresh     round 2, assess: tau +1.00, the same first

        Bill           calls  computed   cached   shared  failed    prefilled       reused     decoded   seconds
          worker      12,345     8,000        0    4,345       0      800,000    8,000,000     240,000      61.2
          optimizer       40        40        0        0       0        4,000       40,000       1,200      20.0
          judge        2,000     1,500      300      200       0      150,000    1,500,000      45,000      30.5
          total       14,385     9,540      300    4,545       0      954,000    9,540,000     286,200      91.0
          300 of 14,385 calls were served from the cache in run.sqlite
          not needed: 1,200 calls upstream of a change, 34 calls whose input had not changed

        Judge     1,240 comparisons, 240 of equal texts; both orders agreed 93.0 %, ties 10.0 %, unparsable 1.0 %
        warning   2 rows of pool.jsonl were left out
        warning   3 prompts were too long for the model; the agents' answers counted as empty
        warning   the prompt of assess repeats query 4 of the pool: "Many requests per second mean a \u{1b}[2Jscraper"
        network   locked: the kernel refuses it to all 4 threads (seccomp, no new privileges)
        prompts   runs/tiny-7/prompts.json
        result    runs/tiny-7/result.json
        journal   runs/tiny-7/run.sqlite
        hash      0d59260edbf311e836f0f600faea931ea1e0c6f504ee1651e452ec24f2b9c7b2
    "#]].assert_eq(&report().text(Colour::Off));
}

#[test]
fn the_json_of_a_finished_run() {
    expect![[r#"
        {
          "schema": 1,
          "name": "tiny",
          "seed": 7,
          "model": {
            "worker": {
              "name": "triage",
              "digest": "5540edfbd10fc1aab48380ac7b64b701671bc160ce8b817011e1528335f4a86d"
            },
            "optimizer": {
              "name": "triage",
              "digest": "5540edfbd10fc1aab48380ac7b64b701671bc160ce8b817011e1528335f4a86d"
            },
            "judge": {
              "name": "triage",
              "digest": "5540edfbd10fc1aab48380ac7b64b701671bc160ce8b817011e1528335f4a86d"
            }
          },
          "seed_accuracy": {
            "n": 200,
            "correct": 122,
            "accuracy": 0.61,
            "ci95": [
              0.5408,
              0.6749
            ]
          },
          "optimized_accuracy": {
            "n": 200,
            "correct": 149,
            "accuracy": 0.745,
            "ci95": [
              0.6803,
              0.8004
            ]
          },
          "difference": {
            "value": 0.135,
            "ci95": [
              0.08,
              0.19
            ],
            "mcnemar_p": 0.00001
          },
          "kept_seed": false,
          "final_check": {
            "batch": [
              0,
              1,
              2,
              4
            ],
            "values": [
              1.0,
              0.5,
              1.0,
              0.5
            ],
            "mean": 0.75,
            "verdict": "optimized",
            "optimized": [
              "List the facts of {question}.",
              "Read the case {context}.\nDecide who wrote it: a human or a scraper. Many requests per second mean a scraper.\nAnswer in <answer></answer>."
            ]
          },
          "prompts": [
            {
              "agent": "extract",
              "optimized": false,
              "before": "List the facts of {question}.",
              "after": "List the facts of {question}."
            },
            {
              "agent": "assess",
              "optimized": true,
              "before": "Read the case {context}.\nDecide who wrote it: a human or a scraper.\nAnswer in <answer></answer>.",
              "after": "Read the case {context}.\nDecide who wrote it: a human or a scraper. Many requests per second mean a scraper.\nAnswer in <answer></answer>."
            }
          ],
          "steps": [
            {
              "round": 1,
              "agent": "assess",
              "step": 1,
              "batch": [
                3,
                1
              ],
              "candidates": [
                {
                  "parent": 0,
                  "id": 1,
                  "reward": 0.75,
                  "score": 0.25,
                  "rejected": null
                },
                {
                  "parent": 0,
                  "id": null,
                  "reward": null,
                  "score": null,
                  "rejected": "too-long"
                }
              ],
              "beam": [
                {
                  "id": 1,
                  "score": 0.25
                },
                {
                  "id": 0,
                  "score": 0.0
                }
              ],
              "best": 1,
              "improved": true
            },
            {
              "round": 2,
              "agent": "assess",
              "step": 1,
              "batch": [
                3,
                1
              ],
              "candidates": [
                {
                  "parent": 0,
                  "id": 2,
                  "reward": 0.375,
                  "score": -0.125,
                  "rejected": null
                }
              ],
              "beam": [
                {
                  "id": 1,
                  "score": 0.25
                },
                {
                  "id": 2,
                  "score": -0.125
                }
              ],
              "best": 1,
              "improved": false
            }
          ],
          "lineage": [
            {
              "agent": "assess",
              "id": 0,
              "parent": null,
              "round": 0,
              "step": 0,
              "score": 0.0,
              "in_beam": false,
              "best": false,
              "prompt": "Read the case {context}.\nDecide who wrote it: a human or a scraper.\nAnswer in <answer></answer>."
            },
            {
              "agent": "assess",
              "id": 1,
              "parent": 0,
              "round": 1,
              "step": 1,
              "score": 0.25,
              "in_beam": true,
              "best": true,
              "prompt": "Read the case {context}.\nDecide who wrote it: a human or a scraper. Many requests per second mean a scraper.\nAnswer in <answer></answer>."
            },
            {
              "agent": "assess",
              "id": 2,
              "parent": 0,
              "round": 2,
              "step": 1,
              "score": -0.125,
              "in_beam": true,
              "best": false,
              "prompt": "Guess {context}"
            }
          ],
          "misalignment": [
            {
              "agent": "assess",
              "samples": 0,
              "local_better": 10,
              "misaligned": 4,
              "rate": 0.4
            }
          ],
          "rank_agreement": [
            {
              "round": 2,
              "agent": "assess",
              "prompts": 2,
              "tau": 1.0,
              "top1": true,
              "applied": true
            }
          ],
          "judge": {
            "position_consistency": 0.93,
            "tie_rate": 0.1,
            "unparsable_rate": 0.01,
            "counts": {
              "comparisons": 1240,
              "asked": 2000,
              "identical": 240,
              "coin": 0,
              "decided": 900,
              "ties": 90,
              "low_mass": 6,
              "unparsable": 4,
              "overflow": 0,
              "consistent": 930,
              "inconsistent": 70
            }
          },
          "rejections": {
            "too-long": 1
          },
          "copied": [
            {
              "agent": "assess",
              "item": 4,
              "text": "Many requests per second mean a \u001b[2Jscraper"
            }
          ],
          "ledger": {
            "worker": {
              "calls": 12345,
              "computed": 8000,
              "cached": 0,
              "shared": 4345,
              "failed": 0,
              "prefilled_tokens": 800000,
              "reused_tokens": 8000000,
              "decoded_tokens": 240000,
              "seconds": 61.25
            },
            "optimizer": {
              "calls": 40,
              "computed": 40,
              "cached": 0,
              "shared": 0,
              "failed": 0,
              "prefilled_tokens": 4000,
              "reused_tokens": 40000,
              "decoded_tokens": 1200,
              "seconds": 20.0
            },
            "judge": {
              "calls": 2000,
              "computed": 1500,
              "cached": 300,
              "shared": 200,
              "failed": 0,
              "prefilled_tokens": 150000,
              "reused_tokens": 1500000,
              "decoded_tokens": 45000,
              "seconds": 30.5
            }
          },
          "avoided": {
            "upstream_reused": 1200,
            "unchanged_skipped": 34
          },
          "overflows": 3,
          "seconds": 91.04,
          "warnings": [
            "2 rows of pool.jsonl were left out"
          ],
          "egress_lock": {
            "applied": true,
            "threads": 4,
            "locked_threads": 4,
            "inherited_sockets": 0,
            "reason": null
          },
          "files": {
            "prompts": "runs/tiny-7/prompts.json",
            "result": "runs/tiny-7/result.json",
            "journal": "runs/tiny-7/run.sqlite"
          },
          "result_hash": "0d59260edbf311e836f0f600faea931ea1e0c6f504ee1651e452ec24f2b9c7b2"
        }
    "#]].assert_eq(&report().json());
    expect![[r#"
        {
          "extract": "List the facts of {question}.",
          "assess": "Read the case {context}.\nDecide who wrote it: a human or a scraper. Many requests per second mean a scraper.\nAnswer in <answer></answer>."
        }
    "#]].assert_eq(&report().prompts_json());
}

#[test]
fn the_json_read_again_is_the_same_report() {
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
    report.egress_lock =
        EgressLock { reason: Some("there is no egress lock for macos on aarch64".into()), ..EgressLock::default() };
    report.ledger.worker.cached = report.ledger.worker.calls;
    report.ledger.optimizer.cached = 40;
    report.ledger.judge.cached = 2000;
    expect![[r#"
        Run `tiny`, seed 7
        model     triage (5540edfbd10f) in every role

        Accuracy: not measured (the experiment has no labelled test cases)
        Final check on 4 unlabelled queries: the seed prompts won and are kept (score 0.25; 0.50 is a tie)

        Prompts   [-before-] {+after+}
          extract: not to be changed
          assess: changed
            Read the case {context}.
            Decide who wrote it: a human or a scraper.{+ Many requests per second mean a scraper.+}
            Answer in <answer></answer>.

        Search    2 steps, 2 candidates tried, 1 step improved a prompt, 1 candidate rejected (1 too-long)
          misaligned  assess: 4 of the 10 answers that were better for it alone were worse for the team (0.40)
          refresh     round 2, assess: tau +1.00, the same first

        Bill           calls  computed   cached   shared  failed    prefilled       reused     decoded   seconds
          worker      12,345     8,000   12,345    4,345       0      800,000    8,000,000     240,000      61.2
          optimizer       40        40       40        0       0        4,000       40,000       1,200      20.0
          judge        2,000     1,500    2,000      200       0      150,000    1,500,000      45,000      30.5
          total       14,385     9,540   14,385    4,545       0      954,000    9,540,000     286,200      91.0
          all 14,385 calls were served from the cache in run.sqlite
          not needed: 1,200 calls upstream of a change, 34 calls whose input had not changed

        Judge     1,240 comparisons, 240 of equal texts; both orders agreed 93.0 %, ties 10.0 %, unparsable 1.0 %
        warning   2 rows of pool.jsonl were left out
        warning   3 prompts were too long for the model; the agents' answers counted as empty
        network   NOT locked: there is no egress lock for macos on aarch64
        prompts   runs/tiny-7/prompts.json
        result    runs/tiny-7/result.json
        journal   runs/tiny-7/run.sqlite
        hash      85d97ef2f1a3e62826caf5bb945e6661bf5becfe846684939f2d9aa37edd4c13
    "#]]
    .assert_eq(&report.text(Colour::Off));
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
fn what_a_model_wrote_cannot_command_the_terminal() {
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
fn colours_only_when_asked_and_then_the_same_words() {
    let (plain, coloured) = (report().text(Colour::Off), report().text(Colour::On));
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[32m{+"));
    let stripped = ["\x1b[31m", "\x1b[32m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(stripped, plain);
}
