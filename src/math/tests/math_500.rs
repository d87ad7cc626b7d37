//! Gold answers of MATH-500: each is understood, equals itself in other notation, and differs from
//! what it becomes with a wrong digit, sign or end.

use maspo_math::{Answer, Options, Verdict, answer};
use std::collections::BTreeSet;

fn golds() -> Vec<&'static str> {
    let golds: Vec<&str> = include_str!("math_500_golds.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(golds.len(), 150);
    golds
}

fn read(text: &str) -> Answer {
    Answer::read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Fails with all pairs whose verdict is not the expected one, in either direction.
fn check(pairs: impl IntoIterator<Item = (&'static str, String)>, expected: Verdict) {
    let mut faults = Vec::new();
    for (gold, other) in pairs {
        let (a, b) = (read(gold), read(&other));
        for verdict in [a.compare(&b, &Options::default()), b.compare(&a, &Options::default())] {
            if verdict != expected {
                faults.push(format!("{gold} and {other}: {verdict:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_gold_is_understood() {
    let unread: Vec<&str> = golds().into_iter().filter(|gold| !read(gold).is_understood()).collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn golds_equal_themselves_in_other_notation() {
    type Change = fn(&str) -> String;
    let changes: [Change; 10] = [
        |gold| gold.to_string(),
        |gold| format!(" $ {gold} $. "),
        |gold| format!("\\boxed{{{gold}}}"),
        |gold| gold.replace("\\frac", "\\dfrac"),
        |gold| gold.replace("\\frac", " \\tfrac "),
        |gold| gold.replace(' ', "\\, "),
        |gold| gold.replace('+', " + ").replace('-', " - ").replace(',', ", "),
        |gold| gold.replace("\\left", "").replace("\\right", "").replace("pmatrix", "bmatrix"),
        |gold| gold.replace("\\pi", "π").replace("^\\circ", "°").replace("\\pm", "±"),
        |gold| gold.replace('(', "\\left(").replace("\\left\\left", "\\left").replace(')', "\\right)"),
    ];
    let changes = &changes;
    // In the last change a delimiter may be of another kind on the other side, as in TeX.
    let changed = golds().into_iter().flat_map(|gold| changes.iter().map(move |change| (gold, change(gold))));
    check(changed, Verdict::Equal);
}

#[test]
fn golds_are_found_in_outputs() {
    for gold in golds() {
        let outputs = [
            format!("Thus $\\boxed{{{gold}}}$ is the answer."),
            format!("<answer>{gold}</answer>"),
            format!("**Final answer:** ${gold}$"),
            format!("So we get \\[ {gold} \\]"),
        ];
        for output in outputs {
            let found = answer(&output).unwrap_or_else(|| panic!("no answer in {output}"));
            assert!(read(gold).equals(&read(found)), "{output}: {found}");
        }
    }
}

/// Returns the text with each of its numbers, one at a time, larger by one.
fn off_by_one(text: &str) -> Vec<String> {
    let (mut changed, mut at) = (Vec::new(), 0);
    while let Some(offset) = text[at..].find(|c: char| c.is_ascii_digit()) {
        let start = at + offset;
        let end = text[start..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |length| start + length);
        let number: u64 = text[start..end].parse().unwrap();
        changed.push(format!("{}{:0width$}{}", &text[..start], number + 1, &text[end..], width = end - start));
        at = end;
    }
    changed
}

/// Returns the text with each of its signs, one at a time, turned.
fn wrong_sign(text: &str) -> Vec<String> {
    let turned = |at: usize, sign: &str| format!("{}{sign}{}", &text[..at], &text[at + 1..]);
    text.char_indices()
        .filter_map(|(at, c)| match c {
            '+' => Some(turned(at, "-")),
            '-' => Some(turned(at, "+")),
            _ => None,
        })
        .collect()
}

#[test]
fn golds_differ_from_wrong_answers() {
    let mut pairs = Vec::new();
    for gold in golds() {
        pairs.extend(off_by_one(gold).into_iter().map(|wrong| (gold, wrong)));
        pairs.extend(wrong_sign(gold).into_iter().map(|wrong| (gold, wrong)));
        if gold.starts_with("\\text{") {
            pairs.push((gold, gold.replace('}', "s}")));
        } else if gold != "0" && !gold.contains("matrix") {
            pairs.push((gold, format!("-({gold})")));
            pairs.push((gold, format!("({gold})+1")));
            pairs.push((gold, format!("2({gold})")));
        }
        // Open ends become closed ones and the other way round.
        if gold.starts_with('(') && gold.ends_with(']') {
            pairs.push((gold, format!("[{}", &gold[1..])));
            pairs.push((gold, format!("{})", &gold[..gold.len() - 1])));
            pairs.push((gold, format!("[{})", &gold[1..gold.len() - 1])));
        }
    }
    assert!(pairs.len() > 600, "{}", pairs.len());
    check(pairs, Verdict::Different);
}

#[test]
fn different_golds_differ() {
    let golds = golds();
    let mut equal = BTreeSet::new();
    for gold in &golds {
        for other in &golds {
            if gold < other && read(gold).equals(&read(other)) {
                equal.insert((*gold, *other));
            }
        }
    }
    // What only one of the two says, a name or a degree sign, does not count.
    assert_eq!(equal, BTreeSet::from([("120", "120^\\circ"), ("5", "x=5")]));
}
