//! Hides the texts of control tokens in data while a template is rendered and split, and puts them
//! back as plain text.

use super::{TextError, Tokenizer};

/// The private-use plane from which the two marks are taken.
const PLANE: std::ops::RangeInclusive<u32> = 0xF_0000..=0xF_FFFD;

/// Which control tokens are hidden in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hide {
    /// Every control token.
    All,
    /// Those marked special; the rest (`</think>`) is the template's to see.
    Special,
}

/// Texts taken out of messages. Each is replaced by `open index close`, where the two marks occur
/// neither in the messages nor in the template, so no message can forge one.
pub(super) struct Masks {
    open: char,
    close: char,
    hidden: Vec<String>,
}

impl Masks {
    /// Chooses marks that occur in none of `texts`.
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, TextError> {
        let used: std::collections::HashSet<char> =
            texts.flat_map(str::chars).filter(|c| PLANE.contains(&u32::from(*c))).collect();
        let mut free = PLANE.filter_map(char::from_u32).filter(|c| !used.contains(c));
        match (free.next(), free.next()) {
            (Some(open), Some(close)) => Ok(Self { open, close, hidden: Vec::new() }),
            // 65,534 private-use characters in one conversation.
            _ => Err(TextError::Rewritten),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// Returns `content` with the texts of control tokens hidden, and with them what could complete
    /// one at either edge.
    pub(super) fn hide(&mut self, tokenizer: &Tokenizer, content: &str, hide: Hide) -> String {
        let mut ranges = tokenizer.control_ranges(content, hide == Hide::Special);
        let first = content.len() - content.trim_start().len();
        let start = tokenizer.dangling_start(&content[first..]);
        if start > 0 && ranges.first().is_none_or(|range| range.0 >= first + start) {
            ranges.insert(0, (first, first + start));
        }
        let last = content.trim_end().len();
        let end = tokenizer.dangling_end(&content[..last]);
        if end > 0 && ranges.last().is_none_or(|range| range.1 <= last - end) {
            ranges.push((last - end, last));
        }
        let mut text = String::with_capacity(content.len() + ranges.len() * 12);
        let mut from = 0;
        for (start, end) in ranges {
            text.push_str(&content[from..start]);
            text.push(self.open);
            text.push_str(&self.hidden.len().to_string());
            text.push(self.close);
            self.hidden.push(content[start..end].to_string());
            from = end;
        }
        text.push_str(&content[from..]);
        text
    }

    /// Returns `text` with everything hidden put back.
    pub(super) fn restore(&self, text: &str) -> Result<String, TextError> {
        let mut restored = String::with_capacity(text.len());
        let mut parts = text.split(self.open);
        restored.push_str(self.whole(parts.next().unwrap_or_default())?);
        for part in parts {
            let (index, rest) = part.split_once(self.close).ok_or(TextError::Rewritten)?;
            let index: usize = index.parse().map_err(|_| TextError::Rewritten)?;
            restored.push_str(self.hidden.get(index).ok_or(TextError::Rewritten)?);
            restored.push_str(self.whole(rest)?);
        }
        Ok(restored)
    }

    /// Checks that a part does not hold half a mask.
    fn whole<'a>(&self, part: &'a str) -> Result<&'a str, TextError> {
        if part.contains(self.close) { Err(TextError::Rewritten) } else { Ok(part) }
    }
}
