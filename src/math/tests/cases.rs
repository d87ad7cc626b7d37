//! Golden cases: pairs of answers with the verdict that a reader would give.

use maspo_math::{Answer, Options, Verdict};

/// Returns the verdict, or why one of the answers could not be read.
fn verdict(gold: &str, answer: &str) -> Result<Verdict, String> {
    let read = |text: &str| Answer::read(text).map_err(|error| format!("{text}: {error}"));
    Ok(read(gold)?.compare(&read(answer)?, &Options::default()))
}

#[test]
fn every_pair_gets_its_verdict_in_both_directions() {
    let (mut count, mut faults) = (0, Vec::new());
    for (number, line) in (1..).zip(include_str!("cases.txt").lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (sign, (one, other)) = ["≡", "≢"]
            .iter()
            .find_map(|sign| Some((*sign, line.split_once(&format!(" {sign} "))?)))
            .unwrap_or_else(|| panic!("line {number} has neither ≡ nor ≢: {line}"));
        count += 1;
        for (gold, answer) in [(one, other), (other, one)] {
            let expected = sign == "≡";
            match verdict(gold, answer) {
                Ok(verdict) if verdict.is_equal() == expected => {}
                found => faults.push(format!("{number}: {gold} {sign} {answer}, but {found:?}")),
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(count >= 300, "only {count} cases");
}

/// Differences that are proven; "undecided" would be a weaker verdict.
#[test]
fn differences_far_below_any_tolerance_are_proven() {
    for (one, other) in [
        ("1-1/e", "1+1/e"),
        ("1/2^{99}", "1/2^{98}"),
        ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
        ("\\pi+\\frac{1}{2004!}", "\\pi"),
        ("\\sqrt2+2^{-3000}", "\\sqrt2"),
        ("0.333", "1/3"),
        ("3.14", "\\pi"),
        ("\\sin x + 10^{-200}", "\\sin x"),
    ] {
        assert_eq!(verdict(one, other), Ok(Verdict::Different), "{one} and {other}");
    }
}

#[test]
fn what_is_beyond_the_precision_is_undecided_and_not_equal() {
    for (one, other) in [("\\sqrt2+2^{-20000}", "\\sqrt2"), ("9^{9^{9^9}}", "9^{9^{9^8}}")] {
        assert_eq!(verdict(one, other), Ok(Verdict::Undecided), "{one} and {other}");
    }
}
