//! Converts activations to the form that a product's kernel reads: int8 for quantized weights, bf16
//! for products of bf16 numbers.

#[cfg(target_arch = "x86_64")]
use crate::kernels::cpu::bf16_rows::RoundTask;
use crate::kernels::cpu::compute::{Compute, part};
use crate::kernels::cpu::int8_rows::QuantizeTask;
#[cfg(target_arch = "x86_64")]
use crate::kernels::layout::bf16_rows::{Bf16Rows, STRIP};
use crate::kernels::layout::int8_rows::{BLOCK, Int8Rows, TILE, block_index};
use crate::kernels::layout::matrix::Matrix;
use std::ops::Range;

/// The cost of quantizing one number, in multiply-adds.
const QUANTIZE_COST: usize = 16;

/// The number of rows that one task rounds to bf16.
#[cfg(target_arch = "x86_64")]
const ROUND_ROWS: usize = 8;

/// Quantizes some rows of `x` to int8, each padded to `blocks` blocks; the first of them is row 0
/// in `to`.
pub(super) fn quantize(compute: &Compute, x: &Matrix, rows: Range<usize>, blocks: usize, to: &mut Int8Rows) {
    let (first, rows) = (rows.start, rows.len());
    let room = to.reach(rows, blocks);
    // Tasks share no cache line: each has some blocks of a tile of rows.
    let tiles = rows.div_ceil(TILE);
    let pieces = (2 * compute.threads()).div_ceil(tiles.max(1)).min(blocks);
    let all_blocks = blocks;
    compute.parallel(tiles * pieces, QUANTIZE_COST * rows * blocks * BLOCK, |task| {
        let (tile, blocks) = (task / pieces, part(all_blocks, pieces, task % pieces));
        for row in tile * TILE..rows.min((tile + 1) * TILE) {
            let at = block_index(row, all_blocks) + blocks.start * TILE;
            // SAFETY: every block of a row has one task and places of its own in the four buffers.
            unsafe {
                let quantize = QuantizeTask {
                    x: &x.row(first + row)[(blocks.start * BLOCK).min(x.cols())..(blocks.end * BLOCK).min(x.cols())],
                    blocks: blocks.len(),
                    bytes: room.bytes.get().cast::<[i8; BLOCK]>().add(at),
                    scales: room.scales.get().add(at),
                    biases: room.biases.get().cast::<i32>().add(at),
                    shifts: room.shifts.get().add(at),
                };
                compute.kernels().run_int8(quantize);
            }
        }
    });
}

/// Rounds some rows of `x` to bf16, each padded to `blocks` blocks; the first of them is row 0 in
/// `to`.
#[cfg(target_arch = "x86_64")]
pub(super) fn round(compute: &Compute, x: &Matrix, rows: Range<usize>, blocks: usize, to: &mut Bf16Rows) {
    let numbers = to.reach(rows.len(), blocks);
    compute.parallel(rows.len().div_ceil(ROUND_ROWS), rows.len() * blocks * BLOCK, |task| {
        for row in task * ROUND_ROWS..rows.len().min((task + 1) * ROUND_ROWS) {
            let at = (row / STRIP * STRIP * blocks + row % STRIP) * BLOCK;
            // SAFETY: every row has one task and places of its own in the buffer.
            unsafe {
                let to = numbers.get().cast::<u16>().add(at).cast();
                compute.kernels().run(RoundTask { x: x.row(rows.start + row), blocks, to });
            }
        }
    });
}
