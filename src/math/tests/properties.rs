//! Properties of random texts that look like LaTeX: reading and comparing them never panics, an
//! answer equals itself, and comparisons are symmetric.

use maspo_math::{Answer, Options, answer, equivalent};
use proptest::prelude::*;

/// Pieces of answers, whole and broken.
const PIECES: &[&str] = &[
    "0",
    "1",
    "2",
    "7",
    "12",
    "1,000",
    "100,200",
    "0.5",
    ".25",
    "3.14",
    "0.\\overline{3}",
    "1e3",
    "52_8",
    "x",
    "y",
    "n",
    "a_1",
    "e",
    "i",
    "\\pi",
    "\\infty",
    "+",
    "-",
    "*",
    "/",
    "^",
    "^2",
    "^{-1}",
    "_",
    "!",
    "!!",
    "'",
    "=",
    "<",
    "\\le ",
    ">",
    "\\ne ",
    "\\in ",
    "\\approx ",
    ",",
    ";",
    ":",
    "|",
    "\\|",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\\{",
    "\\}",
    "\\left(",
    "\\right)",
    "\\frac",
    "\\frac12",
    "\\frac{1}{2}",
    "\\dfrac{",
    "}{",
    "\\sqrt",
    "\\sqrt{2}",
    "\\sqrt[3]{",
    "\\binom{5}{2}",
    "\\log_2 ",
    "\\ln ",
    "\\sin ",
    "\\arctan ",
    "\\cos^2 ",
    "^\\circ",
    "\\pm ",
    "\\mp ",
    "\\cup ",
    "\\cap ",
    "\\setminus ",
    "\\text{ or }",
    " and ",
    "\\text{cm}",
    "\\text{red}",
    " apples",
    "\\mathrm{m}",
    "\\text{",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\\\",
    "&",
    "\\lfloor ",
    "\\rfloor ",
    "\\mathbb{R}",
    "\\emptyset ",
    "\\%",
    "\\$",
    "$",
    "\\boxed{",
    "\\,",
    "~",
    " ",
    "\\",
    "\\over ",
    "\\choose ",
    "é",
    "²",
    "√",
    "∪",
    "…",
    "\\ldots ",
    "million",
    "\\vec{v}",
    "?",
    "\"",
];

/// Whole expressions, which random pieces seldom are.
fn expression() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["1", "2", "-3", "x", "y", "\\pi", "e", "i", "\\frac12", "0.1", "\\sqrt2", "5!"]);
    let leaf = leaf.prop_map(str::to_string);
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}+{b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}-{b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}\\cdot {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("\\frac{{{a}}}{{{b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})^{{{b}}}")),
            inner.clone().prop_map(|a| format!("\\sqrt{{{a}}}")),
            inner.clone().prop_map(|a| format!("\\ln({a})")),
            inner.clone().prop_map(|a| format!("\\cos({a})")),
            inner.clone().prop_map(|a| format!("|{a}|")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}, {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} = {b}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a} \\pm {b}")),
        ]
    })
}

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..14).prop_map(|pieces| pieces.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => pieces(), 4 => expression(), 1 => "\\PC{0,30}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn comparisons_are_symmetric(a in text(), b in text()) {
        if let (Ok(one), Ok(other)) = (Answer::read(&a), Answer::read(&b)) {
            let options = Options::default();
            prop_assert_eq!(one.compare(&other, &options), other.compare(&one, &options));
            prop_assert!(one.equals(&one), "{} differs from itself", a);
        }
    }

    #[test]
    fn the_order_of_terms_makes_no_difference(a in expression(), b in expression()) {
        let list = |text: &str| text.contains([',', '=']) || text.contains("\\pm");
        prop_assume!(!list(&a) && !list(&b));
        // A value that is undefined equals only what is written like it.
        let sum = |one: &str, other: &str| format!("({one}) + ({other})");
        let is_defined = equivalent(&sum(&a, &b), &format!("{} + 0", sum(&a, &b)), &Options::default());
        if is_defined {
            prop_assert!(equivalent(&sum(&a, &b), &sum(&b, &a), &Options::default()), "{a} and {b}");
            let wrong = format!("{} + 1", sum(&a, &b));
            prop_assert!(!equivalent(&sum(&a, &b), &wrong, &Options::default()), "{a} and {b}");
        }
    }

    #[test]
    fn looking_for_an_answer_never_panics(pieces in prop::collection::vec(text(), 0..4)) {
        let output = pieces.join("\\boxed{");
        if let Some(found) = answer(&output) {
            prop_assert!(output.contains(found));
        }
        let _ = answer(&pieces.join("<answer>"));
    }
}
