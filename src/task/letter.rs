//! Finds the choice that an answer names: one letter from A to J. It decides as a reader does: a
//! letter counts where the answer is that letter alone, with an option's text, a reason or a
//! lead-in around it. A word, a symbol or a sentence that only contains a letter never counts.

use super::phrases::{
    Announced, affirms, announced, begins_with_verb, denied, first_person, gives_reason, is_option_noun,
    is_unspaced_tail, joins, names_a_thing, refutes, takes_back,
};
use super::tokens::{Token, tokens};
use std::ops::Range;

/// The longest answer in bytes that a letter is looked for in.
const MAX_BYTES: usize = 256 << 10;

/// Returns the choice A–J that `text` (an answer, not a whole reply) names, in upper case; of
/// several, the one that is most plainly said to be the answer, and of those the last. A list of
/// letters names none.
pub(super) fn letter(text: &str) -> Option<char> {
    if text.len() > MAX_BYTES {
        return None;
    }
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
        // "So I" is a sentence that was cut off; "so (I)" and "so “I”" are choices.
        let pronoun = how == Announced::Label && mention.letter == 'I' && mention.range.len() == 1;
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
mod tests;
