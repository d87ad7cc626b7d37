//! What a step plan becomes in device memory: numbers of rows, block tables, tiles of prefill.

use super::buckets::Bucket;
use super::buffers::{MOST_PICKS, RowInputs};
use crate::kernels::gpu::{NO_SLOT, Tile};
use crate::schedule::{LogitQuestion, StepPlan};

/// Rows of one sequence up to which a step counts as decoding: drafts are a few rows.
const DECODE_ROWS: usize = 17;

/// The shape of a step's launches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum StepShape {
    /// Rows that each attend alone and whose logits are all wanted, filled up to a bucket.
    Decode(Bucket),
    /// Rows of prompts in tiles, with decode rows before them; the logits of some.
    Prefill {
        /// All of them.
        rows: usize,
        /// The decode rows, which attend alone, and how many keys they see; `None` where there are
        /// none, or so many that they go in tiles, too.
        alone: Option<Bucket>,
        /// Tiles of the other rows.
        tiles: usize,
        /// Rows whose logits are wanted.
        wanted: usize,
    },
}

impl StepShape {
    /// The shape of `plan`, where a tile has at most `tile_tokens` rows and a sequence at most
    /// `positions` tokens.
    pub(super) fn of(plan: &StepPlan, tile_tokens: usize, positions: usize) -> Self {
        let rows = plan.tokens.len();
        let keys = plan.spans.iter().map(|span| span.position + span.rows.len()).max().unwrap_or(0);
        let decodes = plan.logits.len() == rows && plan.spans.iter().all(|span| span.rows.len() <= DECODE_ROWS);
        if let Some(bucket) = Bucket::of(rows, keys, positions).filter(|_| decodes) {
            return Self::Decode(bucket);
        }
        let (first, others) =
            plan.spans.split_at(plan.spans.partition_point(|span| span.rows.start < plan.decode_rows));
        let keys = first.iter().map(|span| span.position + span.rows.len()).max().unwrap_or(0);
        let alone =
            Bucket::of(plan.decode_rows, keys, positions).map(|bucket| Bucket { rows: plan.decode_rows, ..bucket });
        let tiled = if alone.is_some() { others } else { &plan.spans };
        let tiles = tiled.iter().map(|span| span.rows.len().div_ceil(tile_tokens)).sum();
        Self::Prefill { rows, alone, tiles, wanted: plan.logits.len() }
    }

    /// Rows, filling ones included.
    pub(super) fn rows(self) -> usize {
        match self {
            Self::Decode(bucket) => bucket.rows,
            Self::Prefill { rows, .. } => rows,
        }
    }
}

/// The numbers of one step, kept from step to step so that little is allocated.
#[derive(Default)]
pub(super) struct Inputs {
    /// [`RowInputs`], `stride` numbers each.
    pub(super) rows: Vec<u32>,
    pub(super) tables: Vec<u32>,
    pub(super) tiles: Vec<u32>,
    /// Rows of logits that are asked about, where the tokens of each end, and the tokens.
    pub(super) questions: Vec<u32>,
}

/// The size of what a plan asks about its logits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// Rows that are asked about.
    pub(super) rows: usize,
    /// Tokens whose logits are wanted, of all rows together.
    pub(super) picks: usize,
    /// How many of the largest logits of each row are wanted; a row that wants fewer gets as many.
    pub(super) top: usize,
}

impl Asked {
    pub(super) fn of(questions: &[LogitQuestion]) -> Self {
        Self {
            rows: questions.len(),
            picks: questions.iter().map(|question| question.tokens.len()).sum(),
            top: questions.iter().map(|question| question.top).max().unwrap_or(0),
        }
    }

    /// Returns the bytes of the answers.
    pub(super) fn answer_bytes(self) -> usize {
        4 * (self.rows * (2 + 2 * self.top) + self.picks)
    }

    /// Returns whether there is room for the questions.
    pub(super) fn fits(self, most_rows: usize) -> bool {
        self.rows <= most_rows && self.picks <= MOST_PICKS
    }
}

impl Inputs {
    /// Takes `plan` over, in buffers of `stride` rows.
    pub(super) fn fill(&mut self, plan: &StepPlan, shape: StepShape, stride: usize, tile_tokens: usize) {
        self.rows.clear();
        self.rows.resize(RowInputs::COUNT * stride, 0);
        let (tokens, rest) = self.rows.split_at_mut(stride);
        let (positions, rest) = rest.split_at_mut(stride);
        let (slots, rest) = rest.split_at_mut(stride);
        let (lengths, rest) = rest.split_at_mut(stride);
        let (table_starts, picks) = rest.split_at_mut(stride);
        let rows = plan.tokens.len();
        tokens[..rows].copy_from_slice(&plan.tokens);
        positions[..rows].copy_from_slice(&plan.positions);
        slots[..rows].copy_from_slice(&plan.slots);
        slots[rows..shape.rows()].fill(NO_SLOT);
        for (pick, wanted) in picks.iter_mut().zip(&plan.logits) {
            *pick = wanted.row as u32;
        }
        self.questions.clear();
        self.questions.extend(plan.questions.iter().map(|question| question.choice as u32));
        let mut end = 0;
        for question in &plan.questions {
            end += question.tokens.len() as u32;
            self.questions.push(end);
        }
        self.questions.extend(plan.questions.iter().flat_map(|question| &question.tokens));
        self.tables.clear();
        self.tables.extend(plan.tables.iter().map(|block| block.0));
        self.tiles.clear();
        for span in &plan.spans {
            for row in span.rows.clone() {
                lengths[row] = plan.positions[row] + 1;
                table_starts[row] = span.table.start as u32;
            }
            let tiled = match shape {
                StepShape::Decode(_) => false,
                StepShape::Prefill { alone, .. } => span.rows.start >= alone.map_or(0, |rows| rows.rows),
            };
            if tiled {
                for first in span.rows.clone().step_by(tile_tokens) {
                    let tile = Tile {
                        first_row: first as u32,
                        tokens: tile_tokens.min(span.rows.end - first) as u32,
                        position: plan.positions[first],
                        table_start: span.table.start as u32,
                    };
                    self.tiles.extend([tile.first_row, tile.tokens, tile.position, tile.table_start]);
                }
            }
        }
    }
}
