//! Prompt lookup: the last tokens of a sequence stood somewhere before, so what followed them there
//! may follow again. A guess only saves steps; what is generated is the model's choice at every
//! position. Depends on tokens alone, never on the clock.

/// Tokens that must have stood together before. With four, the optimizer's drafts save a tenth
/// less; with two, agents, which hardly copy, draft five times as much in vain.
const MATCH: usize = 3;

/// The first draft's length at most. A later one is at most one token longer than what came true of
/// the one before.
const FIRST: usize = 4;

/// So many drafts in a row may be wrong from their first token on. After one more, the next match
/// is passed over, after another one the next three, then seven, and so on.
const PATIENCE: u32 = 2;

/// At most 2^5 - 1 matches in a row are passed over.
const LONGEST_PAUSE: u32 = 5;

/// Entries of the table at most (256 KiB); longer sequences forget some of where their tokens
/// stood.
const MOST_ENTRIES: usize = 1 << 16;

/// What one generation knows about its own text, and how its drafts fared.
pub(super) struct Drafter {
    /// By hash of `MATCH` tokens: the position of what followed them last; 0 is none. Entries
    /// overwrite each other.
    table: Vec<u32>,
    /// The first position that is not in the table.
    known: usize,
    /// The last draft, and how many tokens there were then.
    last: Option<(Vec<u32>, usize)>,
    length: usize,
    misses: u32,
    pause: u32,
}

impl Drafter {
    /// For a sequence of `most_tokens` at most.
    pub(super) fn new(most_tokens: usize) -> Self {
        let entries = most_tokens.saturating_mul(2).clamp(64, MOST_ENTRIES).next_power_of_two();
        Self { table: vec![0; entries], known: MATCH, last: None, length: FIRST, misses: 0, pause: 0 }
    }

    /// Up to `most` tokens that may come after `tokens`, none of them an end. `tokens` are those of
    /// the call before and at least one more.
    pub(super) fn draft(&mut self, tokens: &[u32], most: usize, is_end: impl Fn(u32) -> bool) -> Vec<u32> {
        self.learn(tokens);
        let Some(from) = self.followed(tokens) else { return Vec::new() };
        if self.pause > 0 {
            self.pause -= 1;
            return Vec::new();
        }
        let mut draft = Vec::with_capacity(self.length.min(most));
        for at in from..from + self.length.min(most) {
            // After the end of the text comes the draft itself: a loop goes on.
            let token = tokens.get(at).copied().unwrap_or_else(|| draft[at - tokens.len()]);
            if is_end(token) {
                break;
            }
            draft.push(token);
        }
        self.last = (!draft.is_empty()).then(|| (draft.clone(), tokens.len()));
        draft
    }

    /// Draws the lesson from the last draft.
    fn learn(&mut self, tokens: &[u32]) {
        let Some((draft, before)) = self.last.take() else { return };
        let came_true = draft.iter().zip(&tokens[before..]).take_while(|(guess, token)| guess == token).count();
        if came_true < draft.len() || came_true >= self.length {
            self.length = came_true + 1;
        }
        self.misses = if came_true > 0 { 0 } else { self.misses + 1 };
        self.pause = (1 << self.misses.saturating_sub(PATIENCE).min(LONGEST_PAUSE)) - 1;
    }

    /// The position of what followed the last `MATCH` tokens where they stood before, the latest
    /// such place.
    fn followed(&mut self, tokens: &[u32]) -> Option<usize> {
        for end in self.known..tokens.len() {
            let entry = self.entry(&tokens[end - MATCH..end]);
            self.table[entry] = end as u32;
        }
        self.known = self.known.max(tokens.len());
        let last = tokens.len().checked_sub(MATCH).map(|from| &tokens[from..])?;
        let from = self.table[self.entry(last)] as usize;
        (from > 0 && &tokens[from - MATCH..from] == last).then_some(from)
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

    /// Generates `text[given..]` and returns what was drafted at each step.
    fn check(text: &[u32], given: usize, most: usize, expected: &[&[u32]]) {
        let mut drafter = Drafter::new(text.len());
        let mut tokens = text[..given].to_vec();
        let mut drafts = Vec::new();
        while tokens.len() < text.len() {
            let draft = drafter.draft(&tokens, most, |token| token == 99);
            let rest = &text[tokens.len()..];
            let came_true = draft.iter().zip(rest).take_while(|(guess, token)| guess == token).count();
            tokens.extend(&rest[..rest.len().min(came_true + 1)]);
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
        // Three tokens always come back, and never with the same one after them.
        let text: Vec<u32> = (0..400).flat_map(|i| [1, 2, 3, 100 + i]).collect();
        let mut drafter = Drafter::new(text.len());
        let drafted: Vec<usize> = (3..text.len())
            .filter(|&end| !drafter.draft(&text[..end], 9, |_| false).is_empty())
            .map(|end| end / 4)
            .collect();
        assert_eq!(drafted[..8], [1, 2, 3, 5, 9, 17, 33, 65]);
    }
}
