//! One step's work as plain data: packed tokens of many sequences.

use super::SequenceId;
use crate::blocks::BlockId;
use std::ops::Range;

/// What one forward pass computes. Row `i` is token `tokens[i]` at position `positions[i]` of its
/// sequence, whose key and value go to slot `slots[i]` (block number × tokens per block + offset)
/// of the K/V pool.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct StepPlan {
    /// Token ids, T of them.
    pub(crate) tokens: Vec<u32>,
    /// How many of the rows are of tokens that were generated, or guessed. They come first; the
    /// others are of prompts. A kernel set may compute the two kinds differently, since which of
    /// them a token is depends on its request alone.
    pub(crate) generated: usize,
    /// Positions, from 0 in every sequence.
    pub(crate) positions: Vec<u32>,
    /// Where each row's key and value are stored.
    pub(crate) slots: Vec<u32>,
    /// The sequences' consecutive rows, in the order of rows.
    pub(crate) spans: Vec<Span>,
    /// The block tables of all spans, one after the other.
    pub(crate) tables: Vec<BlockId>,
    /// The rows whose logits are wanted, ascending.
    pub(crate) logits: Vec<LogitRow>,
    /// The rows whose token nobody knew when the plan was made, ascending; `tokens` has any token
    /// there.
    pub(crate) carried: Vec<Carried>,
}

/// A row whose token is what the step before chooses greedily.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Carried {
    /// The row in the step.
    pub(crate) row: usize,
    /// Which of the logits that the step before wants.
    pub(crate) choice: usize,
}

/// The rows of one sequence: consecutive positions, all of its prompt or all of what was generated.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Span {
    /// Whose rows.
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
    /// Who wants it.
    pub(crate) id: SequenceId,
    /// The position of the row's token; the logits are for the token after it.
    pub(crate) position: usize,
}
