//! Finds the choice that an answer names: one letter from A to J. It decides as a reader does: a
//! letter counts where the answer is that letter alone, with an option's text, a reason or a lead-in
//! around it. A word, a symbol or a sentence that only contains a letter never counts.

use super::phrases::{
    Announced, affirms, announced, begins_with_verb, denied, first_person, gives_reason, is_option_noun,
    is_unspaced_tail, joins, names_a_thing, refutes, takes_back,
};
use super::tokens::{Token, tokens};
use std::ops::Range;

/// Returns the choice A–J that `text` (an answer, not a whole reply) names, in upper case; of
/// several, the one that is most plainly said to be the answer, and of those the last. A list of
/// letters names none.
pub(super) fn letter(text: &str) -> Option<char> {
    let tokens = tokens(text);
    let answer = &tokens[peel(&tokens)];
    let found: Vec<Mention> = (0..answer.len()).filter_map(|at| mention(answer, at)).collect();
    let mut accepted: Vec<(Announced, &Mention)> =
        found.iter().filter_map(|mention| Some((accept(answer, mention)?, mention))).collect();
    // "A) no, option D": what is taken back does not count where another letter follows.
    if let Some(&(_, last)) = accepted.last() {
        accepted.retain(|(_, mention)| mention.at == last.at || !taken_back(answer, mention));
    }
    let best = accepted.iter().map(|(how, _)| *how).max()?;
    let best: Vec<&Mention> = accepted.iter().filter(|(how, _)| *how == best).map(|(_, mention)| *mention).collect();
    let listed = |pair: &[&Mention]| {
        let between = &answer[pair[0].range.end..pair[1].range.start];
        let empty = |token: &Token| token.separates() || joins(token) || is_option_noun(token);
        pair[0].letter != pair[1].letter && between.iter().all(empty)
    };
    if best.windows(2).any(listed) { None } else { best.last().map(|mention| mention.letter) }
}

/// A letter that stands alone, and what directly encloses it.
struct Mention {
    letter: char,
    /// The letter's token.
    at: usize,
    /// The tokens of the letter and of the brackets, quotes or emphasis around it.
    range: Range<usize>,
    /// Whether it begins a line, and not the first.
    line: bool,
    /// Whether it directly follows what stands before.
    glued: bool,
    /// Whether brackets are around it.
    bracketed: bool,
    /// Whether a LaTeX box is around it.
    boxed: bool,
    /// Whether a closing bracket follows that none opened: `B)`.
    label: bool,
}

fn mention(answer: &[Token], at: usize) -> Option<Mention> {
    let letter = answer[at].choice()?;
    let (mut start, mut end) = (at, at + 1);
    let (mut bracketed, mut boxed) = (false, false);
    while start > 0 && answer.get(end).is_some_and(|close| answer[start - 1].encloses_with(close)) {
        bracketed |= answer[end].closes();
        boxed |= answer[end].boxes();
        (start, end) = (start - 1, end + 1);
    }
    let label = answer.get(end).is_some_and(|token| token.glued && token.closes());
    let Token { line, glued, .. } = answer[start];
    Some(Mention { letter, at, range: start..end + usize::from(label), line, glued, bracketed, boxed, label })
}

/// Leaves out what surrounds the whole answer: bullets, brackets, quotes, and the marks at its end.
fn peel(tokens: &[Token]) -> Range<usize> {
    let (mut start, mut end) = (0, tokens.len());
    while end - start > 1 {
        let (first, last) = (&tokens[start], &tokens[end - 1]);
        let apart = !tokens[start + 1].glued;
        if encloses_all(&tokens[start..end]) {
            (start, end) = (start + 1, end - 1);
        } else if last.separates() || last.mark() == Some('$') && end - start > 2 {
            end -= 1;
        } else if first.mark().is_some_and(|c| "#>•*".contains(c) && apart || ":.,$".contains(c))
            || first.dashes() && apart
            || first.mark() == Some('#') && tokens[start + 1].mark() == Some('#')
        {
            start += 1;
        } else {
            break;
        }
    }
    start..end
}

/// Whether the first and the last mark enclose all that is between them.
fn encloses_all(tokens: &[Token]) -> bool {
    let [first, inner @ .., last] = tokens else { return false };
    if inner.is_empty() || !first.encloses_with(last) {
        return false;
    }
    let mut depth = 1i32;
    for token in inner {
        if token.text == last.text {
            depth -= 1;
        } else if token.text == first.text {
            depth += 1;
        }
        if depth == 0 {
            return false;
        }
    }
    true
}

/// Returns how `mention` is announced as the answer; `None` if it is none.
fn accept(answer: &[Token], mention: &Mention) -> Option<Announced> {
    let (before, after) = (&answer[..mention.range.start], &answer[mention.range.end..]);
    let how = announcement(before, after, mention)?;
    (!is_listed(answer, mention) && is_settled(after, mention, how)).then_some(how)
}

fn announcement(before: &[Token], after: &[Token], mention: &Mention) -> Option<Announced> {
    let skipped = |token: &Token| {
        token.separates() || token.dashes() || token.opens() || token.mark().is_some_and(|c| "=>→⇒".contains(c))
    };
    let kept = before.iter().rposition(|token| !skipped(token)).map_or(0, |at| at + 1);
    let words = &before[..kept];
    if words.is_empty() {
        let only_opened = before.iter().all(|token| token.opens() || token.separates());
        return only_opened.then_some(Announced::Label);
    }
    if let Some(how) = announced(words) {
        // "So I" is a sentence that was cut off; "so (I)" is a choice.
        let pronoun = how == Announced::Label && mention.letter == 'I' && !mention.bracketed;
        return (!pronoun).then_some(how);
    }
    if denied(words) {
        return None;
    }
    if mention.boxed {
        return Some(Announced::Label);
    }
    if mention.bracketed && (mention.line || before.last().is_some_and(Token::separates)) {
        return Some(Announced::Label);
    }
    let aside = mention.bracketed && after.is_empty() && kept == before.len() && !names_a_thing(words);
    (aside && !mention.glued).then_some(Announced::Aside)
}

/// Whether the mention is part of a list of letters, which names no choice.
fn is_listed(answer: &[Token], mention: &Mention) -> bool {
    let other = |token: &Token| token.letter().is_some_and(|letter| letter != mention.letter);
    let before = &answer[..mention.range.start];
    let joined = before.iter().rposition(|token| !(token.opens() || is_option_noun(token)));
    if let Some(at) = joined.filter(|at| before[*at].word && joins(&before[*at])) {
        let listed = before[..at].iter().rev().find(|token| !token.closes() && !token.separates());
        if listed.is_some_and(other) {
            return true;
        }
    }
    let after = &answer[mention.range.end..];
    let joined =
        after.iter().position(|token| !(token.separates() || token.dashes() || joins(token))).unwrap_or(after.len());
    let at = after[joined..].iter().position(|token| !token.opens()).map_or(after.len(), |at| joined + at);
    let Some(token) = after.get(at).filter(|token| other(token)) else { return false };
    if joined == 0 && !token.line && !mention.label && !mention.bracketed {
        return false;
    }
    let next = after[at + 1..].iter().find(|token| !token.closes());
    next.is_none_or(|next| next.separates() || next.line || joins(next))
}

/// Whether what follows the letter lets it be the answer.
fn is_settled(after: &[Token], mention: &Mention, how: Announced) -> bool {
    let Some(first) = after.first() else { return true };
    if gives_reason(after) || affirms(after) || is_unspaced_tail(first) || first.line {
        return true;
    }
    if (mention.label || mention.bracketed || mention.boxed) && (first.word || first.opens()) {
        // "(A) is a point" is a sentence about A.
        return how != Announced::Aside && !begins_with_verb(after);
    }
    let next = &after[1..];
    if first.separates() {
        return is_separated(first, next, mention);
    }
    if first.dashes() {
        let wide = first.mark().is_some_and(|c| "—―⸺".contains(c));
        let apart = next.first().is_some_and(|next| !first.glued || !next.glued || wide || next.dashes());
        return apart && !starts_an_equation(next);
    }
    if first.opens() {
        return is_bracketed_text(after, mention, how);
    }
    how == Announced::Option && first.word && !first.unspaced && !refutes(after)
}

/// Whether the mark `first` sets off what follows, which then may be anything.
fn is_separated(first: &Token, next: &[Token], mention: &Mention) -> bool {
    let Some(second) = next.first() else { return true };
    match first.mark() {
        // Dots that trail off leave the sentence open, unless it ends there.
        Some('…') => return next.iter().all(Token::separates),
        Some('.') if second.mark() == Some('.') && second.glued => return next.iter().all(Token::separates),
        // Abbreviations and initials: "i.e. 5", "C. S. Lewis".
        Some('.') if second.word && second.single.is_some_and(char::is_alphabetic) => {
            let dotted = next.get(1).is_some_and(|third| third.mark() == Some('.') && third.glued);
            if second.glued || dotted {
                return false;
            }
        }
        Some(':') if second.glued && second.mark().is_some_and(|c| "\\/".contains(c)) => return false,
        Some('!') if second.mark() == Some('=') => return false,
        Some(',') if mention.letter == 'I' && first_person(next) => return false,
        _ => {}
    }
    true
}

/// Whether `after` begins with a text in brackets or quotes that goes with the letter as its
/// option's text: `B (150 m)`, and not `P(A)`, `A (right) triangle`.
fn is_bracketed_text(after: &[Token], mention: &Mention, how: Announced) -> bool {
    let mut depth = 0;
    let close = after.iter().enumerate().skip(1).find_map(|(at, token)| {
        if after[0].encloses_with(token) {
            depth -= 1;
            return (depth < 0).then_some(at);
        }
        depth += i32::from(token.text == after[0].text);
        None
    });
    let Some(close) = close else { return false };
    let (inner, rest) = (&after[1..close], &after[close + 1..]);
    let wordy = |token: &Token| token.word && token.single.is_none() && token.text.chars().any(char::is_alphabetic);
    let measured = |pair: &[Token]| pair[0].word && pair[1].word && !pair[1].glued;
    let text = inner.iter().any(wordy) || inner.windows(2).any(measured);
    if inner.is_empty() || after[0].glued && !after[0].wide && !text {
        return false;
    }
    let lone = inner.len() == 1 && inner[0].letter().is_some_and(|letter| letter != mention.letter);
    let open_ended = rest.first().is_some_and(|token| token.word && !token.line);
    !lone && (!open_ended || gives_reason(rest) || affirms(rest)) && {
        let plain = Mention { label: false, bracketed: false, boxed: false, range: mention.range.clone(), ..*mention };
        rest.is_empty() || is_settled(rest, &plain, how.max(Announced::Label))
    }
}

/// Whether the mention is followed by words that take it back.
fn taken_back(answer: &[Token], mention: &Mention) -> bool {
    let after = &answer[mention.range.end..];
    let start = after.iter().position(|token| token.word).unwrap_or(after.len());
    takes_back(&after[start..])
}

fn starts_an_equation(next: &[Token]) -> bool {
    next.first().is_none_or(|token| token.mark().is_some_and(|c| "=<>".contains(c)))
}

#[cfg(test)]
mod tests {
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
            prop_assume!(!["because", "since", "cause", "is", "are", "was", "due", "given", "owing", "thanks", "weil"].contains(&word.as_str()));
            let text = format!("{first} {word}{rest}");
            prop_assert_eq!(letter(&text), None);
        }

        #[test]
        fn a_letter_counts_in_all_brackets_with_all_lead_ins_and_tails(
            letter_at in 0u8..10,
            lead in proptest::sample::select(vec!["", "Answer: ", "The answer is ", "Option ", "so ", "答案是", "\n"]),
            pair in proptest::sample::select(vec!["()", "[]", "（）", "【】", "“”", "«»", "「」", "\"\"", "''"]),
            tail in proptest::sample::select(vec!["", ".", "。", "!", ": 150 m", ", 150 m", " - 150 m", " because it is larger"]),
        ) {
            let expected = char::from(b'A' + letter_at);
            let (open, close) = (pair.chars().next().unwrap(), pair.chars().last().unwrap());
            prop_assert_eq!(letter(&format!("{lead}{open}{expected}{close}{tail}")), Some(expected));
        }
    }
}
