//! One sequence of tokens on its way through the engine.

use crate::blocks::{Table, chain_hashes};
use std::collections::VecDeque;

/// The order of arrival; lower means older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SequenceId(pub(crate) u64);

/// Tokens, how far their keys and values are computed, and where those are.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Prompt and what was generated so far.
    pub(super) tokens: Vec<u32>,
    /// Guesses at the tokens after those, part of the step that is planned or was carried out last.
    /// Their keys and values are nobody else's: they count as computed once the guess has come
    /// true.
    pub(super) draft: VecDeque<u32>,
    /// The last of `tokens` is not known yet: it is this choice of the step that was planned last.
    pub(super) open: Option<usize>,
    pub(super) prompt_len: usize,
    /// Logits are wanted from this position on.
    pub(super) logits_from: usize,
    /// Leading tokens whose keys and values are in `table`.
    pub(super) computed: usize,
    pub(super) table: Table,
    /// Hashes of the whole-block prefixes that another sequence could wait for or share.
    pub(super) chain: Vec<u64>,
    /// Prompt tokens found in the tree when the sequence first ran.
    pub(super) reused: Option<usize>,
}

impl Sequence {
    /// `shared_block_tokens` is the size of the blocks that sequences share, if they share any.
    pub(super) fn new(tokens: Vec<u32>, logits_from: usize, shared_block_tokens: Option<usize>) -> Self {
        assert!(logits_from < tokens.len(), "somebody wants the logits of the last token");
        let chain = shared_block_tokens.map_or(Vec::new(), |size| chain_hashes(&tokens[..logits_from], size));
        let (prompt_len, table) = (tokens.len(), Table::default());
        Self {
            tokens,
            draft: VecDeque::new(),
            open: None,
            prompt_len,
            logits_from,
            computed: 0,
            table,
            chain,
            reused: None,
        }
    }

    /// The tokens that need not be computed if somebody else has: those of the prompt whose logits
    /// nobody wants.
    pub(super) fn reusable(&self) -> &[u32] {
        &self.tokens[..self.logits_from.min(self.prompt_len - 1)]
    }

    /// Tokens still to compute.
    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Of those, the ones that may be in one step: of the prompt, or of what was generated.
    pub(super) fn pending_of_a_kind(&self) -> usize {
        let end = if self.in_prompt() { self.prompt_len } else { self.tokens.len() };
        end - self.computed
    }

    /// Whether the next token to compute is of the prompt.
    pub(super) fn in_prompt(&self) -> bool {
        self.computed < self.prompt_len
    }

    /// Leading tokens whose keys and values are what any sequence with the same prefix would
    /// compute: those of the prompt.
    pub(super) fn shareable(&self) -> usize {
        self.computed.min(self.prompt_len)
    }

    /// Whether the next step only extends what was generated.
    pub(super) fn decodes(&self) -> bool {
        self.pending() == 1 && self.computed >= self.prompt_len
    }
}
