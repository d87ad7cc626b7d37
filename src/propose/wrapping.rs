//! Removes what models put around a text that they were to write alone: a line that announces it, a
//! code fence, quotes, a remark after it. Each is removed only where it surrounds the whole text.

use crate::prompt::{has_slot, tags};

/// The most layers around a text.
const MAX_LAYERS: usize = 8;

/// Returns `text` without what surrounds it.
pub(super) fn unwrapped(text: &str) -> &str {
    let (mut text, mut announced) = (text.trim(), false);
    for _ in 0..MAX_LAYERS {
        let inner = if let Some(rest) = without_announcement(text) {
            announced = true;
            Some(rest)
        } else {
            unfenced(text, announced).or_else(|| undelimited(text)).or_else(|| without_remark(text))
        };
        match inner.map(str::trim) {
            // A layer around nothing but a slot is the prompt itself.
            Some(inner) if holds_words(inner) => text = inner,
            _ => break,
        }
    }
    text
}

fn holds_words(text: &str) -> bool {
    text.replace("{question}", "").replace("{context}", "").contains(char::is_alphanumeric)
}

/// Removes a first line such as "Here is the improved prompt:".
fn without_announcement(text: &str) -> Option<&str> {
    const INTERJECTIONS: &[&str] = &[
        "sure",
        "certainly",
        "absolutely",
        "okay",
        "ok",
        "great",
        "of",
        "course",
        "understood",
        "alright",
        "yes",
        "thanks",
    ];
    const PREFACES: &[&[&str]] = &[
        &["here", "is"],
        &["here's"],
        &["here’s"],
        &["heres"],
        &["this", "is"],
        &["that", "is"],
        &["below", "is"],
        &["the", "following", "is"],
        &["i", "propose"],
        &["i", "suggest"],
        &["my", "proposal", "is"],
    ];
    const ADJECTIVES: &[&str] = &[
        "new",
        "improved",
        "revised",
        "updated",
        "refined",
        "final",
        "rewritten",
        "optimized",
        "optimised",
        "better",
        "enhanced",
        "corrected",
        "modified",
        "suggested",
        "proposed",
        "complete",
    ];
    const ARTICLES: &[&str] =
        &["the", "a", "an", "my", "our", "your", "version", "of", "current", "full", "agent's", "single"];
    const TAILS: &[&str] =
        &["for", "with", "that", "which", "based", "as", "below", "incorporating", "addressing", "text", "version"];

    let (first, below) = text.split_once('\n').unwrap_or((text, ""));
    let marked = |line: &str| line.starts_with('#') || line.starts_with("**") && line.ends_with("**");
    let (head, rest) = match first.split_once([':', '：']) {
        Some((head, _)) => (head, &text[head.len() + text[head.len()..].chars().next().map_or(0, char::len_utf8)..]),
        None if marked(first.trim()) => (first, below),
        // "Sure!" on a line of its own, before the announcement.
        None if is_made_of(first, INTERJECTIONS) => return without_announcement(below.trim_start()),
        None => return None,
    };
    let head = head.trim();
    if head.chars().count() > 120 {
        return None;
    }
    let chinese = ["以下是", "下面是", "这是", "改进后", "优化后", "新的"].iter().any(|lead| head.starts_with(lead));
    let lower = head.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’').filter(|word| !word.is_empty()).collect();
    let start = words.iter().position(|word| !INTERJECTIONS.contains(word)).unwrap_or(words.len());
    let words = &words[start..];
    let preface = PREFACES.iter().find(|preface| words.starts_with(preface)).map_or(0, |preface| preface.len());
    let words = &words[preface..];
    let announced = words.iter().position(|word| *word == "prompt").is_some_and(|at| {
        let adjective = words[..at].iter().any(|word| ADJECTIVES.contains(word));
        let known = words[..at].iter().all(|word| ADJECTIVES.contains(word) || ARTICLES.contains(word));
        let indefinite = words.first().is_some_and(|word| ["a", "an"].contains(word)) && !adjective;
        let tail = words.get(at + 1);
        let ends = tail.is_none() || (adjective || preface > 0) && tail.is_some_and(|word| TAILS.contains(word));
        known && !indefinite && ends
    });
    if !announced && !(chinese && (head.ends_with("提示") || head.ends_with("提示词") || head.ends_with("提示語")))
    {
        return None;
    }
    // The end of `**Improved prompt:**`.
    let emphasis = ["**", "__"].into_iter().find(|mark| head.starts_with(mark) && !head[2..].contains(mark));
    Some(emphasis.and_then(|mark| rest.trim_start().strip_prefix(mark)).unwrap_or(rest))
}

fn is_made_of(line: &str, known: &[&str]) -> bool {
    let lower = line.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).peekable();
    words.peek().is_some() && words.all(|word| known.contains(&word))
}

/// The marks of a line that opens or closes a code fence, and whether it can close one.
fn fence(line: &str) -> Option<(char, bool)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|mark| "`~".contains(*mark))?;
    let info = line.trim_start_matches(mark);
    let sound = line.len() - info.len() >= 3 && !info.contains(mark) && info.split_whitespace().count() <= 1;
    sound.then_some((mark, info.is_empty()))
}

/// Removes a code fence around the whole text; behind an announcement also one that a remark
/// follows.
fn unfenced(text: &str, announced: bool) -> Option<&str> {
    let inline = text.strip_prefix("```").and_then(|inner| inner.strip_suffix("```"));
    if let Some(inner) = inline.filter(|inner| !inner.contains(['\n', '`'])) {
        return Some(inner);
    }
    // The bytes of every line that is a fence's.
    let mut fences = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((mark, closes)) = fence(line) {
            fences.push((at..at + line.len(), mark, closes));
        }
        at += line.len();
    }
    let (first, rest) = fences.split_first()?;
    if first.0.start > 0 {
        // Only the end of a fence is left.
        let lone = rest.is_empty() && first.0.end == text.len() && first.2;
        return lone.then(|| &text[..first.0.start]);
    }
    // A fence with a language opens another one inside, and one without closes the last.
    let mut depth = 1;
    for (range, _, closes) in rest.iter().filter(|(_, mark, _)| *mark == first.1) {
        depth = if *closes { depth - 1 } else { depth + 1 };
        if depth == 0 {
            let (inner, after) = (&text[first.0.end..range.start], &text[range.end..]);
            let whole = after.trim().is_empty() || announced && has_slot(inner) && !has_slot(after);
            return whole.then_some(inner);
        }
    }
    // Nothing closes it.
    rest.is_empty().then(|| &text[first.0.end..])
}

/// Removes quotes, back quotes or `<data>` around the whole text.
fn undelimited(text: &str) -> Option<&str> {
    const PAIRS: &[(char, char)] =
        &[('"', '"'), ('“', '”'), ('„', '“'), ('«', '»'), ('「', '」'), ('`', '`'), ('\'', '\'')];
    let pair = PAIRS.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        (!inner.contains([*open, *close])).then_some(inner)
    });
    if pair.is_some() {
        return pair;
    }
    match tags(text, "data").as_slice() {
        [open, close] if open.opens && !close.opens && open.range.start == 0 && close.range.end == text.len() => {
            Some(&text[open.range.end..close.range.start])
        }
        _ => None,
    }
}

/// Removes a last paragraph that speaks of the prompt, such as "This prompt is clearer because …".
fn without_remark(text: &str) -> Option<&str> {
    const REMARKS: &[&str] = &[
        "this prompt ",
        "this new prompt ",
        "this improved prompt ",
        "this revised prompt ",
        "this updated prompt ",
        "the new prompt ",
        "the improved prompt ",
        "the revised prompt ",
        "the updated prompt ",
        "explanation:",
        "**explanation",
        "changes:",
        "changes made",
        "**changes",
        "key changes",
        "**key changes",
        "rationale:",
        "**rationale",
        "let me know",
        "i added ",
        "i changed ",
        "i made ",
        "i kept ",
    ];
    let (prompt, remark) = text.rsplit_once("\n\n")?;
    let lower = remark.trim_start_matches(['-', ' ', '\n', '#']).to_lowercase();
    let says = REMARKS.iter().any(|start| lower.starts_with(start)) && !has_slot(remark);
    says.then(|| prompt.trim_end().trim_end_matches("\n---"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(unwrapped(text), expected, "{text}");
    }

    #[track_caller]
    fn check_removed(texts: &[&str]) {
        for text in texts {
            check(&text.replace('★', "Do it ★ {question}"), "Do it ★ {question}");
        }
    }

    #[track_caller]
    fn check_kept(texts: &[&str]) {
        for text in texts {
            check(text, text);
        }
    }

    #[test]
    fn announcements_are_removed() {
        check_removed(&[
            "Here is the improved prompt:\n\n★",
            "Here is the improved prompt: ★",
            "Here's a revised prompt for the agent that fixes this:\n★",
            "Sure! Here is the new prompt:\n★",
            "Sure!\n\nHere is the new prompt:\n\n★",
            "Of course. Below is the updated version of the prompt:\n★",
            "Improved prompt:\n★",
            "Prompt: ★",
            "**Improved Prompt:**\n\n★",
            "**New prompt**: ★",
            "## Revised prompt\n\n★",
            "**Final Prompt**\n★",
            "以下是改进后的提示：\n★",
        ]);
        check_kept(&[
            "Here is the problem: {question}",
            "Here is a prompt from a user:\n{question}",
            "Read the prompt: {question}",
            "Prompt for the user: say what {question} is.",
            "Improve the prompt:\nDo it {question}",
            "Question: {question}\nAnswer:",
            "# Task\nDo it {question}",
            "Prompt: {question}",
            "Sure answers only: {question}",
        ]);
    }

    #[test]
    fn fences_around_the_whole_are_removed() {
        check_removed(&[
            "```\n★\n```",
            "```text\n★\n```",
            "~~~markdown\n★\n~~~",
            "````\n★\n````",
            "```\n\n  ★\n\n```\n",
            "```★```",
            "```\n★",
            "★\n```",
            "Here is the new prompt:\n```\n★\n```\nIt is clearer.",
            "\"★\"",
            "“★”",
            "`★`",
            "<data>\n★\n</data>",
            "```\n\"★\"\n```",
        ]);
        check("```\nSay:\n```json\n{}\n```\nDo {question}\n```", "Say:\n```json\n{}\n```\nDo {question}");
        check_kept(&[
            "```\n{question}\n```\nSolve the above.",
            "Solve:\n```\n{question}\n```",
            "```\na\n```\nor {question}\n```\nb\n```",
            "\"a\" or \"b\": {question}, \"c\"",
            "<data>{question}</data> Solve it. <data>",
            "'Tis {question} or 'tis not'",
        ]);
    }

    #[test]
    fn remarks_after_the_prompt_are_removed() {
        check_removed(&[
            "★\n\nThis prompt is clearer because it names the task.",
            "★\n\n---\n\n**Explanation:** shorter.",
            "★\n\nChanges made:\n- shorter",
            "★\n\nI added a rule.\n\nLet me know what you think!",
        ]);
        check_kept(&["Do it {question}\n\nExplain each step.", "Do it.\n\nThis prompt holds the text: {question}"]);
    }
}
