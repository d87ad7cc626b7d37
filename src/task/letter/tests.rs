//! Tests of which letter an answer names, as tables of answers.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(expected: Option<char>, texts: &[&str]) {
    for text in texts {
        assert_eq!(letter(text), expected, "{text}");
    }
}

#[test]
fn a_letter_alone_counts_in_every_dress() {
    check(
        Some('B'),
        &[
            "B",
            "b",
            " B ",
            "(B)",
            "(b)",
            "B)",
            "B.",
            "**B**",
            "*B*",
            "_B_",
            "`B`",
            "$B$",
            "\"B\"",
            "'B'",
            "[B]",
            "{B}",
            "<B>",
            "（B）",
            "Ｂ",
            "ｂ",
            "（Ｂ）",
            "【B】",
            "「B」",
            "『Ｂ』",
            "《B》",
            "〔B〕",
            "〈B〉",
            "“B”",
            "‘B’",
            "«B»",
            "»B«",
            "„B“",
            "”B”",
            "‹B›",
            "〝B〟",
            "༺B༻",
            "﴾B﴿",
            "B。",
            "B!",
            "B！",
            "B?",
            "B;",
            "B,",
            "B：",
            "B、",
            "B…",
            "B...",
            "B।",
            "B؟",
            "B۔",
            "(B).",
            "“B.”",
            "( B )",
            "((B))",
            "\u{200b}B\u{feff}",
            "Ⓑ",
            "ⓑ",
            "🄱",
            "𝐁",
            "- B",
            "• B",
            "### B",
            "> B",
            ": B",
            "\n B \n",
        ],
    );
}

#[test]
fn latex_that_boxes_or_sets_type_is_no_matter() {
    check(
        Some('B'),
        &[
            "\\boxed{B}",
            "$\\boxed{B}$",
            "$$\\boxed{B}$$",
            "\\[\\boxed{B}\\]",
            "\\(B\\)",
            "\\boxed{\\text{B}}",
            "\\text{B}",
            "\\textbf{B}",
            "\\mathrm{B}",
            "\\mathbf{(B)}",
            "\\boxed{\\textbf{(B)}\\ 150}",
            "\\text{(B) }150 m",
            "{\\bf B}",
            "\\boxed{\\mathrm{(B)~}150}",
            "\\boxed{B.}",
            "\\fbox{B}",
            "\\textcolor{red}{B}",
            "\\boxed B",
            "\\left(B\\right)",
            "\\boxed{ B }",
            "\\text{Option B}",
            "The answer is $\\boxed{\\text{B}}$.",
            "We get 150 m, hence $\\boxed{B}$",
            "It comes to \\boxed{B}",
            "\\boxed{B: 150\\,\\text{m}}",
        ],
    );
    check(
        None,
        &[
            "\\mathbb{C}",
            "\\vec{B}",
            "\\frac{A}{B}",
            "\\sqrt{B}",
            "\\overline{AB}",
            "\\angle A",
            "B_1",
            "B_{1}",
            "A^c",
            "\\boxed{AB}",
            "\\boxed{B = 5}",
            "\\hat{A}",
            "\\triangle ABC",
            "\\neg B",
            "\\boxed{\\text{Because}}",
        ],
    );
}

#[test]
fn the_usual_lead_ins_announce_a_letter() {
    check(
        Some('B'),
        &[
            "Option B",
            "option (B)",
            "choice: B",
            "Choice B.",
            "The answer is B",
            "Answer: B",
            "the answer is (B).",
            "The answer is **B**",
            "**Answer:** B",
            "### Final Answer: B",
            "Final answer - B",
            "Ans. B",
            "answer = B",
            "Answer → B",
            "The correct answer is: B",
            "The correct option is B.",
            "The best choice is (B)",
            "The answer to the question is therefore option B",
            "The answer must be B",
            "My answer is “B”",
            "I choose B",
            "I would go with B.",
            "I'd pick (B)",
            "So B",
            "Thus, B",
            "Therefore the answer is B!",
            "It is B",
            "It's B.",
            "This is option B",
            "it is 150 m, so (B)",
            "I am not sure, but B",
            "Answer:\nB",
            "the letter B",
            "Option\u{a0}B",
            "答案：B",
            "答案是B",
            "答案为（B）",
            "正确答案是：Ｂ。",
            "故选B",
            "选B",
            "选择 B",
            "选项B",
            "正解はB",
            "答えは「B」",
            "정답은 B",
            "정답: B",
            "La respuesta correcta es la B",
            "La réponse est (B)",
            "Réponse : B",
            "Die richtige Antwort ist B",
            "Antwort: B",
            "La risposta corretta è la B",
            "A resposta é a B",
            "A resposta correta é a letra B",
            "Ответ: B",
            "Правильный ответ — B",
            "الإجابة: B",
            "उत्तर: B",
            "Đáp án: B",
            "คำตอบคือ B",
            "150 m (B)",
        ],
    );
}

#[test]
fn option_text_and_reasons_may_follow() {
    check(
        Some('B'),
        &[
            "B) 150 m",
            "b) 150 m",
            "(B) 150 m",
            "B: 150 m",
            "B. 150",
            "B.150",
            "B：150米",
            "B，150米",
            "B（150米）",
            "B (150 m)",
            "B(150 m)",
            "B [150 m]",
            "B, 150 m",
            "B - 150 m",
            "B – 150 m",
            "B—150 m",
            "B——150米",
            "B; 150 m",
            "B \"Paris\"",
            "B\n150 m",
            "B. A triangle",
            "B) None of these",
            "B) 150 m (about)",
            "**B.** 150 m",
            "B. No",
            "B - none, so far",
            "B because it is larger",
            "B, because A is smaller",
            "B since 150 > 100",
            "B as it is larger",
            "B due to friction",
            "B, since (A) is wrong",
            "(B) because (A) is too small",
            "B因为更大",
            "B，因为更大",
            "The answer is B because it is larger",
            "The answer is B, 150 m",
            "The answer is (B) 150 m.",
            "B is correct",
            "B is the correct answer because it is larger",
            "Option B is right",
            "B选项",
            "B 是正确的",
            "Bです",
            "B입니다",
            "Option B which is 150 m",
            "The answer is B. Option A is 100 m.",
            "B, not A",
            "答案是B，150米",
            "Option B is right because option A is wrong",
            "B is correct and A is wrong",
            "B (because it is larger)",
            "A is too small, so (B)",
            "Option A is wrong; the answer is B",
            "The answer is not A, it is B",
        ],
    );
}

#[test]
fn the_letters_from_a_to_j_count() {
    for expected in 'A'..='J' {
        let lower = expected.to_ascii_lowercase();
        for text in [
            format!("{expected}"),
            format!("({lower})"),
            format!("{expected}) none of these"),
            format!("the answer is {lower}"),
        ] {
            check(Some(expected), &[&text]);
        }
    }
    check(None, &["K", "(K)", "Z) none of these", "The answer is X"]);
}

#[test]
fn the_last_choice_counts_unless_it_is_denied_or_listed() {
    check(Some('C'), &["not (A) but (C)", "The answer is A. No, the answer is C"]);
    check(Some('D'), &["A) no, option D"]);
    check(Some('A'), &["A, not B at all"]);
    check(
        None,
        &[
            "A, B",
            "A and B",
            "(A) and (C)",
            "A or B",
            "A/B",
            "A, B and C",
            "Either A or B",
            "Option A or option B",
            "option A, option B",
            "The answer is A or B",
            "A. B",
            "A) B",
            "B (C)",
            "A\nB",
            "Both (A) and (B)",
            "The answer is not B",
            "It cannot be (A)",
            "neither A nor (B)",
            "The wrong answer is A",
            "不选B",
        ],
    );
}

#[test]
fn words_symbols_and_sentences_with_a_letter_are_no_choice() {
    check(
        None,
        &[
            "",
            "Bob",
            "A car costs 5",
            "A triangle",
            "a number",
            "Because",
            "Because it is larger",
            "vitamin C",
            "vitamin (C)",
            "E=mc2",
            "E = mc^2",
            "BE",
            "DNA",
            "The answer is A car",
            "AB)",
            "grade B work",
            "150",
            "Plan B",
            "it's D's",
            "optional B",
            "B12",
            "B 12",
            "x = (AB)",
            "P(A) = 0.3",
            "P(A)",
            "P (A)",
            "C(5, 2)",
            "None",
            "none of these",
            "I do not know",
            "I'm not sure",
            "I’d say so",
            "I, too, do not know",
            "I think it is 5",
            "The answer is I do not know",
            "D'accord",
            "A-level",
            "B-52",
            "A–Z",
            "C#",
            "C++",
            "A+",
            "B-",
            "A*",
            "A'",
            "B′",
            "20 °C",
            "℃",
            "ℂ",
            "Ⅽ",
            "A & E",
            "A ∪ B",
            "A → B",
            "|A|",
            "∠A",
            "-B",
            "@B",
            "#B",
            "e.g. 5",
            "i.e. 5",
            "a.m.",
            "C. S. Lewis",
            "C:\\Users",
            "a, e, i, o, u",
            "The point (A) lies on the line",
            "the point (A)",
            "A (right) triangle",
            "(A) is a point",
            "I... do not know",
            "维生素C",
            "Ā",
            "B\u{302}",
            "A != 5",
            "A$",
            "Б",
            "Β",
            "Hepatitis B",
            "C major",
            "9.8 J",
            "H2O",
            "D_4",
            "f(B)",
            "A is wrong",
            "So I",
        ],
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[A-Ja-j ().,:;'\"*_$\\\\{}（）：。答案选はn\n-]{0,30}|\\PC{0,40}") {
        let _ = letter(&text);
    }

    #[test]
    fn a_letter_inside_a_word_is_never_a_choice(text in "[a-z]{2,8}( [a-zA-Z]{2,8}){0,4}") {
        prop_assert_eq!(letter(&text), None);
    }

    /// Whatever marks stand between words, no word gives a letter.
    #[test]
    fn words_and_marks_never_make_a_choice(
        text in "([A-Ja-j][a-zé0-9]{1,7}[ ,.:;!?()\\[\\]\"'*_$。：、（）“”—-]{1,3}){1,6}",
    ) {
        let single = |word: &str| word.chars().count() == 1;
        prop_assume!(!text.split(|c: char| !c.is_alphanumeric()).any(single));
        prop_assert_eq!(letter(&text), None);
    }

    #[test]
    fn an_article_or_a_pronoun_before_a_word_is_never_a_choice(
        word in "[a-z]{2,9}", rest in "( [a-z]{2,8}){0,4}", first in "A|I|a",
    ) {
        let reasons = ["because", "since", "cause", "is", "are", "was", "due", "given", "owing", "thanks", "weil"];
        prop_assume!(!reasons.contains(&word.as_str()));
        let text = format!("{first} {word}{rest}");
        prop_assert_eq!(letter(&text), None);
    }

    #[test]
    fn a_letter_counts_in_all_brackets_with_all_lead_ins_and_tails(
        letter_at in 0u8..10,
        lead in proptest::sample::select(vec!["", "Answer: ", "The answer is ", "Option ", "so ", "答案是", "\n"]),
        pair in proptest::sample::select(vec!["()", "[]", "（）", "【】", "“”", "«»", "「」", "\"\"", "''"]),
        tail in proptest::sample::select(vec![
            "", ".", "。", "!", ": 150 m", ", 150 m", " - 150 m", " because it is larger",
        ]),
    ) {
        let expected = char::from(b'A' + letter_at);
        let (open, close) = (pair.chars().next().unwrap(), pair.chars().last().unwrap());
        prop_assert_eq!(letter(&format!("{lead}{open}{expected}{close}{tail}")), Some(expected));
    }
}
