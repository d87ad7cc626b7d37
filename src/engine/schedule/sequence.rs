//! One sequence of tokens and how far it is computed.

use crate::blocks::{Table, chain_hashes};
use std::collections::VecDeque;

/// The order of arrival; lower means older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SequenceId(pub(crate) u64);

/// A sequence's tokens, how many of them have their keys and values computed, and the blocks that
/// hold those.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The prompt and the tokens generated so far.
    pub(super) tokens: Vec<u32>,
    /// The draft: guesses at the tokens after those, which are part of the step that is planned or
    /// was carried out last. No other sequence shares their keys and values, which count as
    /// computed only once the guess is accepted.
    pub(super) draft: VecDeque<u32>,
    /// If the last of `tokens` is pending, its index among the choices of the step that was planned
    /// last.
    pub(super) pending_choice: Option<usize>,
    pub(super) prompt_len: usize,
    /// The position from which on logits are wanted.
    pub(super) logits_from: usize,
    /// The number of leading tokens whose keys and values are in `table`.
    pub(super) computed: usize,
    pub(super) table: Table,
    /// Hashes of the whole-block prefixes that another sequence could wait for or share.
    pub(super) chain: Vec<u64>,
    /// The number of prompt tokens found in the prefix tree when the sequence first ran.
    pub(super) reused: Option<usize>,
}

impl Sequence {
    /// Creates a sequence of which nothing is computed. `shared_block_tokens` is the size of the
    /// blocks that sequences share, or `None` if they share none.
    pub(super) fn new(tokens: Vec<u32>, logits_from: usize, shared_block_tokens: Option<usize>) -> Self {
        assert!(logits_from < tokens.len(), "somebody wants the logits of the last token");
        let chain = shared_block_tokens.map_or(Vec::new(), |size| chain_hashes(&tokens[..logits_from], size));
        let (prompt_len, table) = (tokens.len(), Table::default());
        Self {
            tokens,
            draft: VecDeque::new(),
            pending_choice: None,
            prompt_len,
            logits_from,
            computed: 0,
            table,
            chain,
            reused: None,
        }
    }

    /// Returns the prompt tokens that need not be computed if another sequence has: those whose
    /// logits are not wanted.
    pub(super) fn reusable(&self) -> &[u32] {
        &self.tokens[..self.logits_from.min(self.prompt_len - 1)]
    }

    /// Returns the number of tokens that are still to be computed.
    pub(super) fn uncomputed(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Returns how many of the uncomputed tokens one step may take: prefill rows or decode rows,
    /// never both.
    pub(super) fn uncomputed_in_step(&self) -> usize {
        let end = if self.in_prompt() { self.prompt_len } else { self.tokens.len() };
        end - self.computed
    }

    /// Returns whether the next token to compute is part of the prompt.
    pub(super) fn in_prompt(&self) -> bool {
        self.computed < self.prompt_len
    }

    /// Returns the number of leading tokens whose keys and values any sequence with this prefix can
    /// share. These are the computed tokens of the prompt.
    pub(super) fn shareable(&self) -> usize {
        self.computed.min(self.prompt_len)
    }

    /// Returns whether the next step computes the latest generated token only.
    pub(super) fn decodes(&self) -> bool {
        self.uncomputed() == 1 && self.computed >= self.prompt_len
    }
}
