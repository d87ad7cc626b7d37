//! Prompt lookup: where the last tokens of a sequence occurred before, what followed them there is
//! the draft of what comes next. A draft only saves steps, because the model verifies every token.
//! Drafts depend on tokens alone, never on the clock.

/// The number of last tokens that must have occurred together before. With four, the optimizer
/// model's drafts save a tenth less. With two, agents, which rarely copy text, get five times as
/// many rejected draft tokens.
const MATCH_TOKENS: usize = 3;

/// The most tokens of the first draft. A later draft is at most one token longer than what was
/// accepted of the one before.
const FIRST_DRAFT_TOKENS: usize = 4;

/// The number of drafts in a row that may be rejected from their first token on. After one more,
/// the next match is skipped; after another one, the next three; then seven, and so on.
const MISSES_BEFORE_PAUSE: u32 = 2;

/// At most 2^5 - 1 matches in a row are skipped.
const MAX_PAUSE_EXPONENT: u32 = 5;

/// The most entries of the table (256 KiB). In longer sequences, later positions overwrite earlier
/// ones.
const MAX_ENTRIES: usize = 1 << 16;

/// The index of one generation's own text, and how its drafts fared.
pub(super) struct Drafter {
    /// A hash table. The entry for [`MATCH_TOKENS`] tokens is the position of the token that
    /// followed their last occurrence, or 0 if there was none. Sequences with equal hashes
    /// overwrite each other.
    table: Vec<u32>,
    /// The first position that is not in the table yet.
    indexed: usize,
    /// The last draft, and the number of tokens that came before it.
    last: Option<(Vec<u32>, usize)>,
    length: usize,
    misses: u32,
    pause: u32,
}

impl Drafter {
    /// Creates a drafter for a sequence of at most `most_tokens` tokens.
    pub(super) fn new(most_tokens: usize) -> Self {
        let entries = most_tokens.saturating_mul(2).clamp(64, MAX_ENTRIES).next_power_of_two();
        Self {
            table: vec![0; entries],
            indexed: MATCH_TOKENS,
            last: None,
            length: FIRST_DRAFT_TOKENS,
            misses: 0,
            pause: 0,
        }
    }

    /// Returns up to `most` tokens that may come after `tokens`, none of which ends the output.
    /// `tokens` must extend those of the call before by at least one.
    pub(super) fn draft(&mut self, tokens: &[u32], most: usize, is_end: impl Fn(u32) -> bool) -> Vec<u32> {
        self.rate_last_draft(tokens);
        let Some(from) = self.find_match(tokens) else { return Vec::new() };
        if self.pause > 0 {
            self.pause -= 1;
            return Vec::new();
        }
        let mut draft = Vec::with_capacity(self.length.min(most));
        for at in from..from + self.length.min(most) {
            // Behind the end of the text the draft continues itself, so that a loop goes on.
            let token = tokens.get(at).copied().unwrap_or_else(|| draft[at - tokens.len()]);
            if is_end(token) {
                break;
            }
            draft.push(token);
        }
        self.last = (!draft.is_empty()).then(|| (draft.clone(), tokens.len()));
        draft
    }

    /// Sets the next draft's length, or a pause, by how much of the last draft was accepted.
    fn rate_last_draft(&mut self, tokens: &[u32]) {
        let Some((draft, before)) = self.last.take() else { return };
        let accepted = draft.iter().zip(&tokens[before..]).take_while(|(guess, token)| guess == token).count();
        if accepted < draft.len() || accepted >= self.length {
            self.length = accepted + 1;
        }
        self.misses = if accepted > 0 { 0 } else { self.misses + 1 };
        self.pause = (1 << self.misses.saturating_sub(MISSES_BEFORE_PAUSE).min(MAX_PAUSE_EXPONENT)) - 1;
    }

    /// Returns the position after the latest earlier occurrence of the last [`MATCH_TOKENS`]
    /// tokens.
    fn find_match(&mut self, tokens: &[u32]) -> Option<usize> {
        for end in self.indexed..tokens.len() {
            let entry = self.entry(&tokens[end - MATCH_TOKENS..end]);
            self.table[entry] = end as u32;
        }
        self.indexed = self.indexed.max(tokens.len());
        let last = tokens.len().checked_sub(MATCH_TOKENS).map(|from| &tokens[from..])?;
        let from = self.table[self.entry(last)] as usize;
        (from > 0 && &tokens[from - MATCH_TOKENS..from] == last).then_some(from)
    }

    fn entry(&self, tokens: &[u32]) -> usize {
        // Fibonacci hashing: the upper bits are the mixed ones.
        let mix =
            |hash: u64, &token: &u32| (hash ^ u64::from(token)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let hash = tokens.iter().fold(0, mix).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> (64 - self.table.len().ilog2())) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generates `text[given..]` and compares what is drafted at each step with `expected`.
    fn check(text: &[u32], given: usize, most: usize, expected: &[&[u32]]) {
        let mut drafter = Drafter::new(text.len());
        let mut tokens = text[..given].to_vec();
        let mut drafts = Vec::new();
        while tokens.len() < text.len() {
            let draft = drafter.draft(&tokens, most, |token| token == 99);
            let rest = &text[tokens.len()..];
            let accepted = draft.iter().zip(rest).take_while(|(guess, token)| guess == token).count();
            tokens.extend(&rest[..rest.len().min(accepted + 1)]);
            drafts.push(draft);
        }
        assert_eq!(drafts, expected, "{text:?} after {given}");
    }

    #[test]
    fn what_followed_the_same_three_tokens_is_drafted() {
        check(&[1, 2], 1, 9, &[&[]]);
        check(&[1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3], 10, 9, &[&[4, 5, 6, 7], &[2, 3, 4, 5, 6]]);
        check(&[1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 8], 10, 2, &[&[4, 5], &[7, 1]]);
    }

    #[test]
    fn the_latest_place_counts_and_ends_are_not_drafted() {
        check(&[1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3, 5], 11, 9, &[&[5, 1, 2, 3]]);
        check(&[1, 2, 3, 4, 99, 1, 2, 3, 4], 8, 9, &[&[4]]);
        check(&[1, 2, 3, 99, 1, 2, 3, 4], 7, 9, &[&[]]);
    }

    #[test]
    fn a_loop_goes_on() {
        check(&[7; 16], 5, 9, &[&[7; 4], &[7; 5]]);
    }

    #[test]
    fn who_copies_nothing_drafts_ever_less() {
        // The three tokens 1, 2, 3 always come back, and never with the same one after them.
        let text: Vec<u32> = (0..400).flat_map(|i| [1, 2, 3, 100 + i]).collect();
        let mut drafter = Drafter::new(text.len());
        let drafted: Vec<usize> = (3..text.len())
            .filter(|&end| !drafter.draft(&text[..end], 9, |_| false).is_empty())
            .map(|end| end / 4)
            .collect();
        assert_eq!(drafted[..8], [1, 2, 3, 5, 9, 17, 33, 65]);
    }
}
