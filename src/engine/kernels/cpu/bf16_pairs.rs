//! bf16 GEMM that multiplies two inputs in one instruction (AVX512-BF16). The sums are f32, one
//! chain per output over the pairs of inputs in ascending order, so the result does not depend on
//! the register tile.

use super::avx512::Avx512Bf16;
use super::destination::Destination;
use super::simd::{Kernel, Simd};
use super::strip::{self, Blocks, Prefetch, Sums};
use crate::kernels::layout::bf16_rows::{Bf16Rows, STRIP};
use crate::kernels::layout::int8_rows::BLOCK;
use std::arch::x86_64::*;
use std::ops::Range;

/// A rectangle of a product, some rows by some panels, for kernel sets that multiply bf16 pairs.
pub(in crate::kernels) struct Bf16PairsTask<'a> {
    pub(in crate::kernels) x: &'a Bf16Rows,
    pub(in crate::kernels) rows: Range<usize>,
    /// All panels, as `panels` packs them.
    pub(in crate::kernels) panels: &'a [u8],
    /// The panels to multiply.
    pub(in crate::kernels) range: Range<usize>,
    pub(in crate::kernels) to: Destination<'a>,
}

/// The pairs in a block of a row. A block of a panel has two vectors for each of them.
const PAIRS: usize = BLOCK / 2;
/// The bytes of a vector.
const VECTOR: usize = 64;
/// The bytes of a block of a panel.
const BLOCK_BYTES: usize = 2 * PAIRS * VECTOR;

impl Kernel for Bf16PairsTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe { strip::multiply::<Avx512Bf16, Self>(&self, self.rows.clone(), self.range.clone(), self.to) }
    }
}

impl Blocks<Avx512Bf16> for Bf16PairsTask<'_> {
    const ROWS: usize = 12;

    fn count(&self) -> usize {
        self.x.blocks()
    }

    fn bytes(&self) -> usize {
        BLOCK_BYTES
    }

    #[inline(always)]
    unsafe fn multiply<const R: usize, const P: usize>(
        &self,
        mut sums: [Sums<Avx512Bf16, P>; R],
        first: usize,
        blocks: Range<usize>,
        panels: [usize; P],
        prefetch: Prefetch,
    ) -> [Sums<Avx512Bf16, P>; R] {
        let bytes = self.x.blocks() * BLOCK_BYTES;
        let panels = panels.map(|panel| self.panels[panel * bytes..(panel + 1) * bytes].as_ptr());
        let rows: [*const u16; R] = std::array::from_fn(|r| self.x.row(first + r));
        // SAFETY: the blocks are inside the rows and the panels.
        unsafe {
            for block in blocks {
                for (sums_of, panel) in panels.iter().enumerate() {
                    let weights = panel.add(block * BLOCK_BYTES);
                    prefetch.issue::<Avx512Bf16>(weights, P);
                    for pair in 0..PAIRS {
                        let at = weights.add(pair * 2 * VECTOR);
                        let halves = [load(at), load(at.add(VECTOR))];
                        for r in 0..R {
                            let x = splat(rows[r].add(block * STRIP * BLOCK + 2 * pair));
                            for c in 0..2 {
                                let sum = &mut sums[r][sums_of][c];
                                *sum = _mm512_dpbf16_ps(*sum, x, halves[c]);
                            }
                        }
                    }
                }
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn load(from: *const u8) -> __m512bh {
    // SAFETY: the caller's.
    unsafe { std::mem::transmute(_mm512_loadu_si512(from.cast())) }
}

/// Returns a pair of numbers in all lanes.
#[inline(always)]
unsafe fn splat(pair: *const u16) -> __m512bh {
    // SAFETY: the caller's.
    unsafe { std::mem::transmute(_mm512_set1_epi32(pair.cast::<i32>().read_unaligned())) }
}
