//! One step's work as plain data: packed tokens of many sequences.

use super::SequenceId;
use crate::blocks::BlockId;
use std::ops::Range;

/// What one forward pass computes. Row `i` is the token `tokens[i]` at position `positions[i]` of
/// its sequence. Its key and value go to slot `slots[i]` of the K/V pool (block number × tokens per
/// block + offset in the block).
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct StepPlan {
    /// `[t]`: the token ids.
    pub(crate) tokens: Vec<u32>,
    /// The number of decode rows: generated or drafted tokens. They come first; all further rows
    /// are prefill rows, tokens of prompts. A kernel set may compute the two kinds differently,
    /// because a token's kind depends on its own request alone.
    pub(crate) decode_rows: usize,
    /// `[t]`: positions, counted from 0 in every sequence.
    pub(crate) positions: Vec<u32>,
    /// `[t]`: where each row's key and value are stored.
    pub(crate) slots: Vec<u32>,
    /// The rows of each sequence, in the order of rows.
    pub(crate) spans: Vec<Span>,
    /// The block tables of all spans, one after the other.
    pub(crate) tables: Vec<BlockId>,
    /// The rows whose logits are wanted, ascending.
    pub(crate) logits: Vec<LogitRow>,
    /// Async token feedback: the rows whose token is not known when the plan is made, ascending.
    /// The device takes it from the step before; the entry in `tokens` is not read.
    pub(crate) feedback: Vec<TokenFeedback>,
    /// Questions about rows of logits, ascending, at most one per row. The scheduler asks none.
    pub(crate) questions: Vec<LogitQuestion>,
}

/// The most of a row's largest logits that a question may ask for.
pub(crate) const MOST_TOP: usize = 64;

/// What somebody wants to know of a row of logits without reading the row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LogitQuestion {
    /// The index of the row in [`StepPlan::logits`].
    pub(crate) choice: usize,
    /// The tokens whose logits are wanted.
    pub(crate) tokens: Vec<u32>,
    /// How many of the largest logits are wanted, at most [`MOST_TOP`].
    pub(crate) top: usize,
}

/// A row whose token the previous step chooses greedily.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TokenFeedback {
    /// The row in the step.
    pub(crate) row: usize,
    /// The index of the choice in the previous plan's [`logits`](StepPlan::logits).
    pub(crate) choice: usize,
}

/// The rows of one sequence: consecutive positions, all of them prefill rows or all of them decode
/// rows.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Span {
    /// The sequence.
    pub(crate) id: SequenceId,
    /// Its rows in the step.
    pub(crate) rows: Range<usize>,
    /// The position of its first row.
    pub(crate) position: usize,
    /// Its blocks in [`StepPlan::tables`].
    pub(crate) table: Range<usize>,
}

/// A row whose logits are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogitRow {
    /// The row in the step.
    pub(crate) row: usize,
    /// The sequence that wants it.
    pub(crate) id: SequenceId,
    /// The position of the row's token; the logits are for the token after it.
    pub(crate) position: usize,
}
