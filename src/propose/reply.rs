//! Finds the prompt in the optimizer model's reply: the passage between the tags, without the code
//! fence, quotes and remarks that models put around it. What cannot be told is no prompt, so that
//! the reply is rejected and counted.

use super::template::PROMPT_TAG;
use super::tried::sentence;
use super::wrapping::unwrapped;
use crate::prompt::{Tag, has_slot, last_tagged, tags, without_marks};
use std::ops::Range;

/// Returns the whole of a reply that was begun for the model with `start`. If the start opens the
/// prompt and the model ends its turn without a closing tag, the prompt ends there.
pub(super) fn begun_reply(start: &str, rest: &str, is_whole: bool) -> String {
    let mut reply = format!("{start}{rest}");
    let is_open = |text: &str| tags(text, PROMPT_TAG).last().is_some_and(|tag| tag.opens);
    if is_whole && is_open(start) && is_open(&reply) {
        reply.push_str(&format!("</{PROMPT_TAG}>"));
    }
    reply
}

/// Returns the prompt in `reply`: the last passage between the tags that the reply does not only
/// mention. It may still break constraints, or be empty.
pub(super) fn proposal(reply: &str) -> Option<String> {
    let reply = without_marks(reply);
    let tags = tags(&reply, PROMPT_TAG);
    let passages = passages(&reply, &tags);
    if is_torn(&reply, &tags, &passages) {
        return None;
    }
    let meant = passages.into_iter().rev().find(|passage| !is_mentioned(&reply, passage))?;
    Some(unwrapped(&without_tags(&reply[meant], PROMPT_TAG)).to_string())
}

/// Returns the reply's own sentence on what it changes, from around the prompt: the last passage
/// between `<change>` and `</change>`, or else the last line that begins with `Change:`.
pub(super) fn change(reply: &str) -> Option<String> {
    let reply = without_marks(reply);
    let tags = tags(&reply, PROMPT_TAG);
    let begin = tags.iter().find(|tag| tag.opens).map_or(reply.len(), |tag| tag.range.start);
    let end = tags.iter().rfind(|tag| !tag.opens).map_or(reply.len(), |tag| tag.range.end.max(begin));
    let around = [&reply[end..], &reply[..begin]];
    around.iter().find_map(|text| last_tagged(text, "change").and_then(sentence).or_else(|| labelled(text)))
}

/// Returns what follows `Change:` on the last line that begins with it, whatever its case and
/// whatever marks of Markdown are around it.
fn labelled(text: &str) -> Option<String> {
    const LABEL: &str = "change:";
    text.lines().rev().find_map(|line| {
        let line = line.trim_matches(|c: char| c.is_whitespace() || "*#->_`".contains(c));
        let rest =
            line.get(..LABEL.len()).filter(|start| start.eq_ignore_ascii_case(LABEL)).map(|_| &line[LABEL.len()..])?;
        sentence(rest.trim_matches(|c: char| c.is_whitespace() || c == '*'))
    })
}

/// Returns the passages between tags, in order. Of nested ones it is the innermost, unless only the
/// text around it has a slot.
fn passages(reply: &str, tags: &[Tag]) -> Vec<Range<usize>> {
    let mut open: Vec<&Tag> = Vec::new();
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, tag) in tags.iter().enumerate() {
        if tag.opens {
            open.push(tag);
            continue;
        }
        let Some(opening) = open.pop() else { continue };
        let mut start = opening.range.end;
        // A stray tag within a line of a prompt that began on a line of its own.
        let last = tags[at + 1..].iter().all(|tag| tag.opens);
        if let Some(earlier) = open.last().filter(|_| last && !begins_line(reply, opening)) {
            let between = &reply[earlier.range.end..opening.range.start];
            if begins_line(reply, earlier) && !between.trim().is_empty() {
                start = earlier.range.end;
                open.pop();
            }
        }
        let outer = start..tag.range.start;
        let inner: Vec<Range<usize>> = found.extract_if(.., |inner| inner.start >= start).collect();
        let mut around = String::new();
        let mut end = outer.start;
        for passage in &inner {
            around.push_str(&reply[end..passage.start]);
            end = passage.end;
        }
        around.push_str(&reply[end..outer.end]);
        let inside = inner.iter().any(|passage| has_slot(&reply[passage.clone()]));
        if inner.is_empty() || has_slot(&around) && !inside { found.push(outer) } else { found.extend(inner) }
    }
    found
}

/// Whether a slot stands after the last passage and before a closing tag that nothing opened: the
/// prompt was closed too early, and where it ends is not known.
fn is_torn(reply: &str, tags: &[Tag], passages: &[Range<usize>]) -> bool {
    let (Some(passage), Some(last)) = (passages.last(), tags.last()) else { return false };
    let rest = reply.get(passage.end..last.range.start).unwrap_or_default();
    !last.opens && !has_slot(&reply[passage.clone()]) && has_slot(rest)
}

fn begins_line(reply: &str, tag: &Tag) -> bool {
    line_before(reply, tag.range.start).trim().is_empty()
}

fn line_before(reply: &str, at: usize) -> &str {
    reply[..at].rsplit('\n').next().unwrap_or_default()
}

/// Whether the prose only names the tags, as in "between <prompt> and </prompt>".
fn is_mentioned(reply: &str, passage: &Range<usize>) -> bool {
    /// Words of which a placeholder, or the text between two names of tags, consists.
    const NO_PROMPT: &[&str] = &[
        "the", "a", "an", "your", "my", "new", "improved", "revised", "updated", "final", "full", "actual", "prompt",
        "text", "here", "goes", "content", "tag", "tags", "and", "or", "to", "opening", "closing", "then", "und",
        "oder", "et", "ou", "y", "e", "和", "与",
    ];
    /// Words before a tag that a sentence names.
    const BEFORE: &[&str] = &["between", "within", "inside", "in", "with", "by", "using", "from"];
    /// Words after it.
    const AFTER: &[&str] = &["and", "or", "then", "to"];
    let text = &reply[passage.clone()];
    if has_slot(text) {
        return false;
    }
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        parts.map(str::to_lowercase).collect()
    };
    let is_one_of = |word: Option<&String>, known: &[&str]| word.is_some_and(|word| known.contains(&word.as_str()));
    let inner = words(text);
    if inner.iter().all(|word| NO_PROMPT.contains(&word.as_str())) {
        // An empty passage that stands alone is an empty prompt.
        let alone = reply[..passage.start].trim_end().eq_ignore_ascii_case("<prompt>");
        return !(inner.is_empty() && alone);
    }
    let before = line_before(reply, passage.start - format!("<{PROMPT_TAG}>").len());
    let quoted = |mark: char| before.ends_with(mark) && text.starts_with(mark);
    let mentioned = is_one_of(words(before).last(), BEFORE) && is_one_of(inner.first(), AFTER);
    "`'\"".chars().any(quoted) || before.ends_with('“') && text.starts_with('”') || mentioned
}

/// Returns `text` without the tags of that name.
fn without_tags(text: &str, name: &str) -> String {
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for tag in tags(text, name) {
        out.push_str(&text[end..tag.range.start]);
        end = tag.range.end;
    }
    out + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &str, expected: Option<&str>) {
        assert_eq!(proposal(reply).as_deref(), expected, "{reply}");
    }

    const SOUND: Option<&str> = Some("Do it ★ {question}");

    #[test]
    fn a_prompt_that_the_start_opens_ends_with_the_reply() {
        let read = |start: &str, rest: &str, is_whole| proposal(&begun_reply(start, rest, is_whole));
        let sound = SOUND.map(str::to_string);
        assert_eq!(read("<prompt>", "Do it ★ {question}", true), sound);
        assert_eq!(read("<prompt>\n", "Do it ★ {question}\n</prompt>\nDone.", true), sound);
        assert_eq!(read("Analysis: ", "<prompt>Do it ★ {question}</prompt>", true), sound);
        assert_eq!(read("<prompt>", "Do it ★ {question}", false), None, "the reply was cut off");
        assert_eq!(read("Analysis: ", "<prompt>Do it ★ {question}", true), None, "the model left its own prompt open");
        assert_eq!(read("", "Do it ★ {question}", true), None);
    }

    #[test]
    fn the_last_passage_between_tags_is_the_prompt() {
        check("<prompt>Do it ★ {question}</prompt>", SOUND);
        check("Analysis first.\n<PROMPT>\nDo it ★ {question}\n</Prompt> Done.", SOUND);
        check("<prompt>Draft {question}</prompt>\n<prompt>Do it ★ {question}</prompt>", SOUND);
        check("\u{feff}<prompt>Do it.\r\n{question}</prompt>\r\n", Some("Do it.\n{question}"));
        check("```\n<prompt>Do it ★ {question}</prompt>\n```", SOUND);
        check("<prompt>Answer briefly.</prompt>", Some("Answer briefly."));
        check("<prompt> {question} </prompt>", Some("{question}"));
        check("<prompt></prompt>", Some(""));
        for reply in
            ["", "Do it ★ {question}", "<prompt>Do it ★ {question}", "Do it</prompt>", "[prompt]Do it[/prompt]"]
        {
            check(reply, None);
        }
    }

    #[test]
    fn nested_and_stray_tags_are_removed() {
        check("<prompt><prompt>Do it ★ {question}</prompt></prompt>", SOUND);
        check("<prompt>\n<prompt>\n<prompt>Do it ★ {question}</prompt>\n</prompt></prompt>", SOUND);
        check("<prompt><prompt>Do it ★ {question}</prompt>", SOUND);
        check("<prompt>Do it ★ {question}</prompt></prompt>", SOUND);
        check("<prompt>Do it <prompt>★ {question}</prompt>", SOUND);
        check("<prompt>Do it <prompt>★</prompt> {question}</prompt>", SOUND);
        check("<prompt>Too long\n<prompt>Do it ★ {question}</prompt>", SOUND);
        check("I use <prompt> tags. <prompt>Do it ★ {question}</prompt>", SOUND);
        check("<prompt>Do it ★ {question}</prompt> I closed it with </prompt>.", SOUND);
        check("<prompt>Do it</prompt> ★ {question}</prompt>", None);
    }

    #[test]
    fn tags_that_the_prose_only_mentions_hold_no_prompt() {
        for mention in [
            "I write it between <prompt> and </prompt> as asked.",
            "It stands between `<prompt>` and `</prompt>`.",
            "Tags: \"<prompt>\" at its start, \"</prompt>\" at its end.",
            "I begin with <prompt> and I end the text with </prompt>.",
            "The format is <prompt>...</prompt>.",
            "The format is <prompt>your new prompt here</prompt>.",
            "In <prompt></prompt> tags.",
            "用 <prompt> 和 </prompt> 包起来。",
        ] {
            check(&format!("{mention} Do it ★ {{question}}"), None);
            check(&format!("{mention}\n<prompt>Do it ★ {{question}}</prompt>"), SOUND);
            check(&format!("<prompt>Do it ★ {{question}}</prompt>\n{mention}"), SOUND);
        }
    }

    #[test]
    fn what_models_put_around_the_prompt_is_removed() {
        for inner in [
            "\n```\nDo it ★ {question}\n```\n",
            "Here is the improved prompt:\n\n```text\nDo it ★ {question}\n```",
            "Here is the improved prompt:\n\nDo it ★ {question}",
            "<data>\nDo it ★ {question}\n</data>",
        ] {
            check(&format!("<prompt>{inner}</prompt>"), SOUND);
        }
    }

    #[test]
    fn the_sentence_of_change_stands_around_the_prompt() {
        let check = |reply: &str, expected: Option<&str>| assert_eq!(change(reply).as_deref(), expected, "{reply}");
        check("It fails. <change>Ask for units.</change>\n<prompt>Do it {question}</prompt>", Some("Ask for units."));
        check("<prompt>Do it {question}</prompt> <CHANGE>\nAsk for units.\nAnd more.</CHANGE>", Some("Ask for units."));
        check("**Change:** Ask for units.\n<prompt>Do it {question}</prompt>", Some("Ask for units."));
        check("- change: Ask for units.\n<prompt>x</prompt>", Some("Ask for units."));
        check("<prompt>Change: keep {question} <change>no</change></prompt>", None);
        check("<change> … </change><prompt>Do it {question}</prompt>", None);
        check("I would rather not.", None);
        check("é", None);
    }

    proptest::proptest! {
        #[test]
        fn no_reply_makes_it_panic_and_no_tag_is_left(
            reply in "((</?prompt>|`{1,3}|\\{question\\}|\n|here is the prompt:|\"|and|é|[a-z ]{0,6})){0,12}",
        ) {
            change(&reply);
            if let Some(prompt) = proposal(&reply) {
                proptest::prop_assert!(tags(&prompt, PROMPT_TAG).is_empty(), "{prompt}");
            }
        }
    }
}
