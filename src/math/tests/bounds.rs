//! Answers that would take for ever, overflow the stack or fill the memory if nothing bounded the
//! work.

use maspo_math::{Answer, Options, answer, equivalent};

/// Reads a text and compares it with itself, changed a little, on a stack of the usual size.
fn survive(text: String) {
    let shown: String = text.chars().take(40).collect();
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let changed = format!("{text}+1");
        if let (Ok(one), Ok(other)) = (Answer::read(&text), Answer::read(&changed)) {
            assert!(one.equals(&one));
            one.compare(&other, &Options::default());
        }
        answer(&text);
    });
    assert!(thread.unwrap().join().is_ok(), "{shown}…");
}

#[test]
fn nesting_is_bounded() {
    let nested = [
        ("(", "1", ")"),
        ("\\left[", "1", "\\right]"),
        ("{", "1", "}"),
        ("\\{", "1", "\\}"),
        ("\\frac{1}{", "2", "}"),
        ("\\frac{", "1", "}{2}"),
        ("\\sqrt{", "2", "}"),
        ("\\sqrt[", "2", "]{3}"),
        ("\\sqrt ", "2", ""),
        ("2^{", "2", "}"),
        ("2^", "2", ""),
        ("x_{", "1", "}"),
        ("\\sin ", "x", ""),
        ("\\sin(", "x", ")"),
        ("\\log_{", "2", "} 3"),
        ("|", "x", "|"),
        ("-", "1", ""),
        ("\\pm ", "1", ""),
        ("", "1", "!"),
        ("", "1", "^\\circ"),
        ("", "x", "'"),
        ("\\text{", "a", "}"),
        ("\\mathbf{", "12", "}"),
        ("\\boxed{", "1", "}"),
        ("\\begin{pmatrix}", "1", "\\end{pmatrix}"),
        ("\\lfloor ", "1", "\\rfloor "),
        ("(1,", "2", ")"),
        ("x=", "1", ""),
        ("1<", "x", ""),
        ("1:", "2", ""),
        ("1+", "2", ""),
        ("x\\cdot ", "2", ""),
        ("1,", "2", ""),
        ("(0,1)\\cup ", "(2,3)", ""),
        ("a'", "b", ""),
        ("5 apples ", "", ""),
    ];
    for (open, inner, close) in nested {
        for count in [1, 30, 60, 600, 10_000] {
            survive(format!("{}{inner}{}", open.repeat(count), close.repeat(count)));
        }
        survive(open.repeat(3000));
    }
}

#[test]
fn large_values_are_bounded() {
    for text in [
        "9^{9^9}",
        "9^{9^{9^9}}",
        "2^{2^{2^{2^{2^2}}}}",
        "e^{e^{e^{e^e}}}",
        "\\pi^{\\pi^{\\pi^{\\pi}}}",
        "2000!",
        "20000!",
        "100000000000!",
        "((9!)!)!",
        "\\binom{100000}{5000}",
        "\\binom{10^{30}}{10^{20}}",
        "x^{1000000}",
        "x^{10^{30}}",
        "(1+x)^{3000}",
        "(x+y+z)^{200}-(z+y+x)^{200}",
        "\\sin(10^{30})",
        "\\sin(10^{3000})",
        "\\ln(10^{10^{10}})",
        "10^{-10^{10}}",
        "1e4000",
        "1e999999999",
        "\\sqrt[1000]{2}",
        "2^{1/1009}",
        "\\frac{1}{10^{5000}-10^{-5000}}",
        "\\sqrt{2^{10000}+1}-2^{5000}",
        "(\\sqrt2)^{1000000}",
        "\\lfloor 10^{4000}\\pi\\rfloor",
        "\\tan\\frac{\\pi}{2}",
        "0^0",
        "0^{-1}",
        "\\frac{0}{0}",
        "\\ln 0",
        "\\log_1 2",
        "\\infty-\\infty",
    ] {
        survive(text.to_string());
    }
    survive("9".repeat(8000));
    survive(format!("0.{}", "3".repeat(8000)));
    survive(format!("\\frac{{1}}{{{}}}", "7".repeat(8000)));
}

#[test]
fn long_lists_and_sums_are_bounded() {
    let join = |count: usize, separator: &str, item: &dyn Fn(usize) -> String| {
        (1..=count).map(item).collect::<Vec<_>>().join(separator)
    };
    survive(join(300, ",", &|n| format!("\\sqrt{{{n}}}")));
    survive(join(120, ",", &|n| format!("\\ln {n}")));
    survive(join(100, ",", &|_| "\\sqrt{2}\\sqrt{3}".to_string()));
    survive(join(300, "+", &|n| format!("\\sin({n}x)")));
    survive(join(400, "", &|n| format!("(x+{n})")));
    survive(join(400, "+", &|n| format!("\\frac{{1}}{{x+{n}}}")));
    survive(join(60, "\\cup", &|n| format!("(\\sqrt{{{n}}}, \\sqrt{{{n}}}+0.01)")));
    survive(join(500, "\\cup", &|n| format!("({n},{n}.5)")));
}

#[test]
fn what_is_no_answer_equals_nothing() {
    let large = "1".repeat(4 << 20);
    assert!(!equivalent(&large, &large, &Options::default()));
    assert!(!equivalent("4", "4\0", &Options::default()));
    assert!(!equivalent("", "", &Options::default()));
    assert_eq!(answer("\\boxed{5"), None);
    let nested = format!("{}1{}", "\\frac{1}{".repeat(10_000), "}".repeat(10_000));
    assert!(!equivalent("1", &nested, &Options::default()));
}
