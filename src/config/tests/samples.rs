//! `[eval]` with several samples of a case.

use super::fixture::{GOOD, check, folder, load_text};
use crate::eval::SampleOptions;
use expect_test::expect;

/// The warnings of the valid experiment are not what these tests are about, so its faults are.
const LABELS: &str = "labels = [\"human\", \"scraper\"]\n";

fn with(keys: &str) -> Option<SampleOptions> {
    let text = GOOD.replacen(LABELS, &format!("{LABELS}{keys}\n"), 1);
    load_text(&folder(), &text, &[]).expect("a sound experiment").samples
}

#[test]
fn one_sample_is_the_default() {
    assert_eq!((with(""), with("samples = 1")), (None, None));
    let plain = SampleOptions { samples: 5, pass_at: vec![1, 5], temperature: None, top_p: None, top_k: None };
    assert_eq!(with("samples = 5"), Some(plain.clone()));
    assert_eq!(
        with("samples = 5\npass_at = [3]\ntemperature = 0.8\ntop_p = 0.95\ntop_k = 20"),
        Some(SampleOptions { pass_at: vec![3], temperature: Some(0.8), top_p: Some(0.95), top_k: Some(20), ..plain })
    );
}

#[test]
fn samples_that_could_not_be_drawn_or_counted_are_faults() {
    let faults = |keys: &str, expected| check(LABELS, &format!("{LABELS}{keys}\n"), &[], expected);
    faults(
        "samples = 0",
        expect![[r#"
        x.toml:24: `eval.samples` is 0; it must be between 1 and 1000
    "#]],
    );
    faults(
        "samples = 5\npass_at = [1, 6]",
        expect![[r#"
        x.toml:25: `eval.pass_at` holds 6; it can hold numbers from 1 to `samples` = 5
    "#]],
    );
    faults(
        "samples = 5\npass_at = [2, 2]",
        expect![[r#"
        x.toml:25: `eval.pass_at` holds 2 twice
    "#]],
    );
    faults(
        "pass_at = [1]\ntemperature = 0.5",
        expect![[r#"
        x.toml:24: `eval.pass_at` is for several samples of a case: set `samples` to more than 1
        x.toml:25: `eval.temperature` is for several samples of a case: set `samples` to more than 1
    "#]],
    );
    faults(
        "samples = 5\ntemperature = 0",
        expect![[r#"
        x.toml:25: `eval.temperature` is 0, which makes all samples of a case equal
    "#]],
    );
    faults(
        "unsafe_exec = true",
        expect![[r#"
        x.toml:24: `eval.unsafe_exec` is no key: an experiment file may come from others; use the flag --unsafe-exec
    "#]],
    );
}
