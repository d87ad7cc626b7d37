//! `[eval]` with verdicts.

use super::fixture::{GOOD, check, folder, load_text};
use crate::eval::VerdictOptions;
use expect_test::expect;

const LABELS: &str = "labels = [\"human\", \"scraper\"]\n";
const TEST: &str = "test = { file = \"test.jsonl\", answer = \"gold\", id = \"id\" }\n";
const TRAIN: &str = "train = { file = \"train.jsonl\", answer = \"gold\", id = \"id\" }\n";

fn with(keys: &str) -> Option<VerdictOptions> {
    let text = GOOD.replacen(LABELS, &format!("{LABELS}{keys}\n"), 1).replacen(TEST, &format!("{TEST}{TRAIN}"), 1);
    load_text(&folder(), &text, &[]).expect("a sound experiment").verdicts
}

#[test]
fn verdicts_are_off_by_default() {
    assert_eq!((with(""), with("verdicts = false")), (None, None));
    let labels = vec!["human".to_string(), "scraper".to_string()];
    let plain = VerdictOptions { labels, positive: vec![], max_fpr: None, unsure_below: None };
    assert_eq!(with("verdicts = true"), Some(plain.clone()));
    let positive = vec!["scraper".to_string()];
    assert_eq!(
        with("verdicts = true\npositive = [\"Scraper\"]\nmax_fpr = 0.05\nunsure_below = 1"),
        Some(VerdictOptions { positive, max_fpr: Some(0.05), unsure_below: Some(1.0), ..plain })
    );
}

#[test]
fn verdicts_that_could_not_be_read_or_used_are_faults() {
    let faults = |keys: &str, expected| check(LABELS, &format!("{LABELS}{keys}\n"), &[], expected);
    faults(
        "positive = [\"scraper\"]\nmax_fpr = 0.05",
        expect![[r#"
        x.toml:24: `eval.positive` is for verdicts: set `verdicts = true`
        x.toml:25: `eval.max_fpr` is for verdicts: set `verdicts = true`
    "#]],
    );
    faults(
        "verdicts = true\nsamples = 3",
        expect![[r#"
        x.toml:24: `eval.verdicts` is for one answer of a case: leave out `samples`
    "#]],
    );
    faults(
        "verdicts = true\npositive = [\"bot\"]",
        expect![[r#"
        x.toml:25: `eval.positive` holds "bot", which is not one of `labels`
    "#]],
    );
    faults(
        "verdicts = true\npositive = [\"scraper\", \"SCRAPER\"]",
        expect![[r#"
        x.toml:25: `eval.positive` holds "scraper" twice
    "#]],
    );
    faults(
        "verdicts = true\npositive = [\"scraper\", \"human\"]",
        expect![[r#"
        x.toml:25: `eval.positive` must hold some of the labels, and not all of them
    "#]],
    );
    faults(
        "verdicts = true\npositive = []",
        expect![[r#"
        x.toml:25: `eval.positive` must hold some of the labels, and not all of them
    "#]],
    );
    faults(
        "verdicts = true\nmax_fpr = 0.05",
        expect![[r#"
        x.toml:25: `eval.max_fpr` needs `positive`, the labels of the cases that are to be found
    "#]],
    );
    faults(
        "verdicts = true\npositive = [\"scraper\"]\nmax_fpr = 0.7\nunsure_below = -1",
        expect![[r#"
        x.toml:26: `eval.max_fpr` is 0.7; it must be between 0.0001 and 0.5
        x.toml:27: `eval.unsure_below` is -1; it must not be negative
    "#]],
    );
    faults(
        "verdicts = true\npositive = [\"scraper\"]\nmax_fpr = 0.05",
        expect![[r#"
        x.toml:18: `data.train` is missing; `eval.max_fpr` chooses its threshold on the labelled cases of `data.train`
    "#]],
    );
    check(
        "scorer = \"label\"\nlabels = [\"human\", \"scraper\"]\n",
        "scorer = \"letter\"\nverdicts = true\n",
        &["data.test.answer=gold"],
        expect![[r#"
            x.toml:23: `eval.verdicts` is for `scorer = "label"` only
            test.jsonl:1: the answer "human" is not a letter from A to J
            test.jsonl:2: the answer "scraper" is not a letter from A to J
        "#]],
    );
    check(
        "path = \"embedded:triage\"\n",
        "endpoint = \"http://127.0.0.1:9/v1\"\nname = \"m\"\n",
        &["eval.verdicts=true"],
        expect![[r#"
            --set eval.verdicts=true: `eval.verdicts` needs the log-probabilities of a worker in this process, not of one behind a server
        "#]],
    );
}
