//! The diff of a prompt before and after. What a model wrote is shown and never interpreted:
//! control characters are printed as escapes.

use crate::base::printable;
use similar::{ChangeTag, TextDiff};

/// Whether text may contain terminal colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// Plain text.
    Off,
    /// Text with ANSI escapes.
    On,
}

const REMOVED: &str = "\x1b[31m";
const ADDED: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

/// Texts with at least this similarity are shown as one text with marked words, others one after
/// the other.
const ALIKE: f32 = 0.5;

/// Returns the diff of two prompts; each line is indented and ends with a line break.
pub fn prompt_diff(before: &str, after: &str, colour: Colour) -> String {
    let (before, after) = (printable(before), printable(after));
    let words = TextDiff::from_words(before.as_str(), after.as_str());
    if words.ratio() < ALIKE {
        return block("- ", &before, REMOVED, colour) + &block("+ ", &after, ADDED, colour);
    }
    let mut text = String::new();
    let mut run: Option<(ChangeTag, String)> = None;
    for change in words.iter_all_changes() {
        match &mut run {
            Some((tag, words)) if *tag == change.tag() => words.push_str(change.value()),
            _ => {
                text += &run.take().map_or(String::new(), |(tag, words)| marked(tag, &words, colour));
                run = Some((change.tag(), change.value().to_string()));
            }
        }
    }
    text += &run.map_or(String::new(), |(tag, words)| marked(tag, &words, colour));
    block("  ", &text, "", Colour::Off)
}

/// Marks words as Git's word diff does, so that the diff can be read without colours too.
fn marked(tag: ChangeTag, words: &str, colour: Colour) -> String {
    let (open, close, paint) = match tag {
        ChangeTag::Equal => return words.to_string(),
        ChangeTag::Delete => ("[-", "-]", REMOVED),
        ChangeTag::Insert => ("{+", "+}", ADDED),
    };
    match colour {
        Colour::Off => format!("{open}{words}{close}"),
        Colour::On => format!("{paint}{open}{words}{close}{RESET}"),
    }
}

fn block(mark: &str, text: &str, paint: &str, colour: Colour) -> String {
    text.lines()
        .map(|line| match colour {
            Colour::Off => format!("  {mark}{line}\n"),
            Colour::On => format!("  {paint}{mark}{line}{RESET}\n"),
        })
        .collect()
}
