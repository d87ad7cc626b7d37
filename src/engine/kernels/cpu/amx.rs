//! Products of signed bytes on AMX tiles: up to 16 rows at a time. Integer sums are exact, and what follows them is done in the
//! order of [`super::int8`], so the results are the same bit by bit. The instructions are written as assembly because the
//! compiler has no stable names for them; it never uses the tile registers itself.
//!
//! Tiles give their sums to memory, and vectors scale them from there. The tiles are one block ahead of the vectors, so that
//! nobody waits for the way through memory.

use super::int8::{Int8Task, prefetch, q4_factors};
use super::simd::Simd;
use crate::engine::kernels::int8_rows::{BLOCK, TILE};
use crate::engine::kernels::panels::{PartLayout, Q4_PARTS};
use std::arch::asm;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Fewer rows than this are left to vectors, which are faster then.
const FEWEST_ROWS: usize = 6;

/// Whether the CPU has tiles of bytes and the kernel lets this process use them.
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_tiles() && permitted())
}

fn has_tiles() -> bool {
    // Leaf 7: bit 24 says AMX-TILE, bit 25 AMX-INT8. Leaf 1: bit 27 says that the system saves extended state.
    let (most, one) = (std::arch::x86_64::__cpuid(0).eax, std::arch::x86_64::__cpuid(1).ecx);
    most >= 7 && one >> 27 & 1 == 1 && std::arch::x86_64::__cpuid_count(7, 0).edx >> 24 & 3 == 3
}

/// Tile data is large; Linux saves it only for processes that asked.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// The shapes of the tile registers: 0 and 1 are R × 16 sums, 4 is R rows of a block of activations, 6 and 7 are the weights
/// of a block for 16 outputs, four inputs side by side.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    const fn of_rows(r: u8) -> Self {
        let (block, quads) = (BLOCK as u16, BLOCK as u8 / 4);
        Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [64, 64, 0, 0, block, 0, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
            rows: [r, r, 0, 0, r, 0, quads, quads, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }
}

/// By half the number of rows.
static SHAPES: [Shapes; TILE / 2 + 1] = {
    let mut shapes = [const { Shapes::of_rows(0) }; TILE / 2 + 1];
    let mut half = 0;
    while half <= TILE / 2 {
        shapes[half] = Shapes::of_rows(2 * half as u8);
        half += 1;
    }
    shapes
};

/// Outputs per panel: two vectors.
const WIDTH: usize = 32;
/// Bytes of the weights of four inputs.
const QUAD: usize = 4 * WIDTH;

/// Integer sums of up to 16 rows with the two halves of a panel, of a block and of the one before.
#[repr(C, align(64))]
struct Sums([[[[i32; 16]; TILE]; 2]; 2]);

/// The weights of a part of Q4_K, a byte each, in the layout of Q8_0.
#[repr(C, align(64))]
struct Unpacked([u8; BLOCK * WIDTH]);

/// The tile registers, configured on this thread until dropped.
pub(super) struct Tiles {
    /// How many tiles the rows are cut into.
    tiles: usize,
    /// Rows of each: 8, 10 or 16, since every height is code of its own. Rows beyond the last are computed along.
    height: usize,
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: `Tiles` is made and dropped inside one task, so on one thread.
        unsafe { asm!("tilerelease", options(nostack)) }
    }
}

impl Tiles {
    /// The registers, if tiles are worth it for so many rows.
    #[inline(always)]
    pub(super) fn new(rows: usize) -> Option<Self> {
        let tiles = rows.div_ceil(TILE);
        let height = match rows.div_ceil(tiles.max(1)) {
            ..=8 => 8,
            9 | 10 => 10,
            _ => TILE,
        };
        (rows >= FEWEST_ROWS).then(|| {
            // SAFETY: the caller's kernel set has AMX; the shapes are within its limits.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES[height / 2], options(nostack, readonly)) }
            Self { tiles, height }
        })
    }

    /// Computes the task's rows with a panel.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, task: &Int8Task<'_>, panel: usize) {
        let rows = task.rows.clone();
        for tile in 0..self.tiles {
            let first = rows.start + rows.len() * tile / self.tiles;
            let count = rows.start + rows.len() * (tile + 1) / self.tiles - first;
            // SAFETY: the caller's; the activations may be read up to a whole tile.
            unsafe {
                match self.height {
                    8 => self.rows::<S, 8>(task, panel, first, count),
                    10 => self.rows::<S, 10>(task, panel, first, count),
                    _ => self.rows::<S, 16>(task, panel, first, count),
                }
            }
        }
    }

    /// R rows from `first`, of which `count` are wanted.
    #[inline(always)]
    unsafe fn rows<S: Simd, const R: usize>(&self, task: &Int8Task<'_>, panel: usize, first: usize, count: usize) {
        let mut sums = MaybeUninit::<Sums>::uninit();
        let sums = sums.as_mut_ptr().cast::<[[[i32; 16]; TILE]; 2]>();
        let panel_at = task.panel::<S>(panel);
        let (blocks, fresh) = (task.x.blocks(), first == task.rows.start);
        let tile = Tile { x: task.x.bytes(first), stride: blocks * BLOCK, sums };
        let scales = task.x.scales(first);
        // SAFETY: the caller's. Tile registers hold R rows; every sum is read after it was written.
        unsafe {
            let mut acc = [[S::splat(0.0); 2]; R];
            match task.layout {
                PartLayout::Q8_0 => {
                    let part = |block: usize| panel_at.wrapping_add(block * (2 + BLOCK) * WIDTH);
                    tile.multiply(0, part(0).add(2 * WIDTH));
                    for block in 0..blocks {
                        if fresh {
                            prefetch::<S>(part(block), (2 + BLOCK) * WIDTH);
                        }
                        if block + 1 < blocks {
                            tile.multiply(block + 1, part(block + 1).add(2 * WIDTH));
                        }
                        let halves = part(block).cast::<u16>();
                        let factors = [S::load_f16(halves), S::load_f16(halves.add(S::LANES))];
                        for (r, acc) in acc.iter_mut().enumerate() {
                            let scale = S::splat(*scales.add(r * blocks + block));
                            for c in 0..2 {
                                acc[c] = S::fma(tile.sum::<S>(block, c, r), S::mul(factors[c], scale), acc[c]);
                            }
                        }
                    }
                }
                PartLayout::Q4K => {
                    const PART: usize = (2 + BLOCK / 2) * WIDTH;
                    const GROUP: usize = 4 * WIDTH + Q4_PARTS * PART;
                    let group = |block: usize| panel_at.wrapping_add(block / Q4_PARTS * GROUP);
                    let part = |block: usize| group(block).wrapping_add(4 * WIDTH + block % Q4_PARTS * PART);
                    let totals = task.x.sums(first);
                    let mut weights = [const { Unpacked([0; BLOCK * WIDTH]) }; 2];
                    unpack::<S>(part(0).add(2 * WIDTH), &mut weights[0]);
                    tile.multiply(0, weights[0].0.as_ptr());
                    for block in 0..blocks {
                        if fresh {
                            prefetch::<S>(part(block), PART);
                        }
                        if block + 1 < blocks {
                            let weights = &mut weights[(block + 1) % 2];
                            unpack::<S>(part(block + 1).add(2 * WIDTH), weights);
                            tile.multiply(block + 1, weights.0.as_ptr());
                        }
                        let halves = group(block).cast::<u16>();
                        let pair = |at: usize| [S::load_f16(halves.add(at)), S::load_f16(halves.add(at + S::LANES))];
                        let [factors, offsets] = q4_factors::<S>(part(block), pair(0), pair(WIDTH));
                        for (r, acc) in acc.iter_mut().enumerate() {
                            let (scale, total) = (*scales.add(r * blocks + block), *totals.add(r * blocks + block));
                            let (scale, total) = (S::splat(scale), S::splat(-scale * total as f32));
                            for c in 0..2 {
                                acc[c] = S::fma(tile.sum::<S>(block, c, r), S::mul(factors[c], scale), acc[c]);
                                acc[c] = S::fma(total, offsets[c], acc[c]);
                            }
                        }
                    }
                }
            }
            for (r, sums) in acc.iter().enumerate().take(count) {
                task.to.take::<S>(first + r, panel, *sums);
            }
        }
    }
}

/// R rows of activations, and where their integer sums go.
struct Tile {
    x: *const u8,
    /// Bytes from row to row.
    stride: usize,
    sums: *mut [[[i32; 16]; TILE]; 2],
}

impl Tile {
    /// The integer sums of a block with its weights.
    #[inline(always)]
    unsafe fn multiply(&self, block: usize, weights: *const u8) {
        // SAFETY: the caller's; there is room for the sums of two blocks.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tileloadd tmm4, [{a} + {a_stride}*1]",
                "tileloadd tmm6, [{b} + {b_stride}*1]",
                "tileloadd tmm7, [{b} + {b_stride}*1 + 64]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tdpbssd tmm1, tmm4, tmm7",
                "tilestored [{c} + {c_stride}*1], tmm0",
                "tilestored [{c} + {c_stride}*1 + 1024], tmm1",
                a = in(reg) self.x.add(block * BLOCK),
                a_stride = in(reg) self.stride,
                b = in(reg) weights,
                b_stride = in(reg) QUAD,
                c = in(reg) self.sums.add(block % 2),
                c_stride = in(reg) 64usize,
                options(nostack),
            );
        }
    }

    /// The sums of a row with one half of the panel, as numbers.
    #[inline(always)]
    unsafe fn sum<S: Simd>(&self, block: usize, half: usize, row: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::to_float(S::int_load((&raw const (*self.sums.add(block % 2))[half][row]).cast())) }
    }
}

/// Half bytes to bytes.
#[inline(always)]
unsafe fn unpack<S: Simd>(nibbles: *const u8, weights: &mut Unpacked) {
    let (low, high) = weights.0.split_at_mut(BLOCK / 2 * WIDTH);
    for at in (0..BLOCK / 2 * WIDTH).step_by(4 * S::LANES) {
        // SAFETY: the caller's; every vector lies inside its half.
        unsafe {
            let bytes = S::int_load(nibbles.add(at));
            low.as_mut_ptr().add(at).cast::<S::I>().write_unaligned(S::low_halves(bytes));
            high.as_mut_ptr().add(at).cast::<S::I>().write_unaligned(S::high_halves(bytes));
        }
    }
}
