//! int8 GEMM on AMX tiles, up to 16 rows at a time. Integer sums are exact, and the floating-point
//! work after them runs in the order of [`super::int8`], so the results are bitwise those of
//! vectors. The instructions are written as assembly because the compiler has no stable intrinsics
//! for them; it never uses the tile registers itself.
//!
//! Tiles store their sums to memory, and vectors load and scale them. The tiles are one block ahead
//! of the vectors, which hides the latency of the way through memory.

use super::int8::{Int8Task, Q4Panel};
use super::simd::Simd;
use super::strip::{PREFETCH_BYTES, stream_pairs};
use crate::kernels::layout::int8_rows::{BLOCK, TILE};
use crate::kernels::layout::panels::PartLayout;
use std::arch::asm;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Fewer rows than this are multiplied by vectors, which are faster then.
const MIN_ROWS: usize = 6;

/// Returns whether the CPU has int8 and bf16 tiles and the operating system lets this process use
/// them.
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_tiles() && permitted())
}

fn has_tiles() -> bool {
    // Leaf 7: bit 22 says AMX-BF16, bit 24 AMX-TILE, bit 25 AMX-INT8. Leaf 1: bit 27 says that the
    // system saves extended state.
    let (most, one) = (std::arch::x86_64::__cpuid(0).eax, std::arch::x86_64::__cpuid(1).ecx);
    most >= 7 && one >> 27 & 1 == 1 && std::arch::x86_64::__cpuid_count(7, 0).edx >> 22 & 0b1101 == 0b1101
}

/// Asks Linux for the permission to use tiles: their state is large, so Linux saves it only for
/// processes that asked.
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

/// The shapes of the tile registers, as `ldtilecfg` reads them. Tiles 0 and 1 are R × 16 sums, 4 is
/// R rows of a block of activations, 6 and 7 are the weights of a block for 16 outputs, four inputs
/// side by side.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The shapes for bf16: all eight tiles are full.
static BF16_SHAPES: Shapes = Shapes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

impl Shapes {
    const fn with_rows(r: u8) -> Self {
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

/// The shapes for int8, indexed by half the number of rows.
static SHAPES: [Shapes; TILE / 2 + 1] = {
    let mut shapes = [const { Shapes::with_rows(0) }; TILE / 2 + 1];
    let mut half = 0;
    while half <= TILE / 2 {
        shapes[half] = Shapes::with_rows(2 * half as u8);
        half += 1;
    }
    shapes
};

/// The number of outputs per panel: two vectors.
const WIDTH: usize = 32;
/// The bytes of the weights of four inputs.
const QUAD: usize = 4 * WIDTH;

/// Integer sums of up to 16 rows with the two halves of a panel, for one block and the block before
/// it.
#[repr(C, align(64))]
struct Sums([[[[i32; 16]; TILE]; 2]; 2]);

/// The number of blocks of unpacked weights that are kept: one is written while the one before it
/// is multiplied.
const UNPACKED: usize = 4;

/// The weights of a part of Q4_K as int8, in the layout of Q8_0.
#[repr(C, align(64))]
struct Unpacked([u8; BLOCK * WIDTH]);

/// Returns whether tiles are faster than vectors for so many rows.
pub(super) fn worth_it(rows: usize) -> bool {
    rows >= MIN_ROWS
}

/// Computes a task.
///
/// # Safety
/// As for [`Kernel::run`](super::simd::Kernel::run); the kernel set must have tiles.
#[inline(always)]
pub(super) unsafe fn run<S: Simd>(task: &Int8Task<'_>) {
    debug_assert!(task.rows.start.is_multiple_of(TILE), "rows lie in tiles");
    let mut tiles = Tiles::unconfigured();
    let mut panels = task.range.clone();
    // SAFETY: the caller's.
    unsafe {
        // If the rows fit one tile, the product waits for the weights from memory, which come
        // faster as two streams.
        if task.rows.len() <= TILE {
            for pair in stream_pairs(&mut panels) {
                tiles.run::<S, 2>(task, pair, task.rows.start);
            }
        }
        for panel in panels {
            for first in task.rows.clone().step_by(TILE) {
                tiles.run::<S, 1>(task, [panel], first);
            }
        }
    }
}

/// The tile registers. They stay configured on this thread until this is dropped.
pub(super) struct Tiles {
    /// The rows of the tiles of activations and sums: 8, 10 or 16, since every height is code of
    /// its own. Rows beyond the matrix are computed and ignored.
    height: usize,
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: `Tiles` is made and dropped inside one task, so on one thread.
        unsafe { asm!("tilerelease", options(nostack)) }
    }
}

impl Tiles {
    /// Returns registers that are not configured yet.
    pub(super) fn unconfigured() -> Self {
        Self { height: 0 }
    }

    /// Configures all tiles for bf16, full.
    ///
    /// # Safety
    /// The kernel set must have tiles.
    pub(super) unsafe fn configure_bf16(&mut self) {
        // SAFETY: the caller's; the shapes are within the limits.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const BF16_SHAPES, options(nostack, readonly)) }
    }

    /// Computes the rows of one tile with P panels side by side.
    #[inline(always)]
    unsafe fn run<S: Simd, const P: usize>(&mut self, task: &Int8Task<'_>, panels: [usize; P], first: usize) {
        let height = match task.rows.end - first {
            ..=8 => 8,
            9 | 10 => 10,
            _ => TILE,
        };
        // SAFETY: the caller's kernel set has AMX; the shapes are within its limits. The rest is
        // the caller's.
        unsafe {
            if self.height != height {
                self.height = height;
                asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES[height / 2], options(nostack, readonly));
            }
            match height {
                8 => rows::<S, 8, P>(task, panels, first),
                10 => rows::<S, 10, P>(task, panels, first),
                _ => rows::<S, 16, P>(task, panels, first),
            }
        }
    }
}

/// Computes up to R rows from `first` on.
#[inline(always)]
unsafe fn rows<S: Simd, const R: usize, const P: usize>(task: &Int8Task<'_>, panels: [usize; P], first: usize) {
    let blocks = task.x.blocks();
    let fresh = first == task.rows.start;
    let mut sums = [const { MaybeUninit::<Sums>::uninit() }; P];
    let tiles = sums.each_mut().map(|sums| Tile { x: task.x.bytes(first), sums: sums.as_mut_ptr().cast() });
    let (scales, shifts) = (task.x.scales(first), task.x.shifts(first));
    // SAFETY: the caller's. Tile registers hold R rows; every sum is read after it was written.
    unsafe {
        // Hidden from the compiler, which would otherwise call `memset`; that takes longer than
        // these few stores.
        let zero = S::splat(black_box(0.0));
        let mut acc = [[[zero; 2]; R]; P];
        match task.layout {
            PartLayout::Q8_0 => {
                const PART: usize = (2 + BLOCK) * WIDTH;
                let panels = panels.map(|panel| task.panel::<S>(panel));
                for p in 0..P {
                    tiles[p].multiply(0, panels[p].add(2 * WIDTH));
                }
                for block in 0..blocks {
                    for p in 0..P {
                        let part = panels[p].add(block * PART);
                        if fresh {
                            prefetch::<S>(part, PART, P);
                        }
                        if block + 1 < blocks {
                            tiles[p].multiply(block + 1, part.add(PART + 2 * WIDTH));
                        }
                        let halves = part.cast::<u16>();
                        let factors = [S::load_f16(halves), S::load_f16(halves.add(S::LANES))];
                        for (r, acc) in acc[p].iter_mut().enumerate() {
                            let scale = S::splat(*scales.add(block * TILE + r));
                            for c in 0..2 {
                                acc[c] = S::fma(tiles[p].sum::<S>(block, c, r), S::mul(factors[c], scale), acc[c]);
                            }
                        }
                    }
                }
            }
            PartLayout::Q4K => {
                let panels = panels.map(|panel| Q4Panel::<S>::new(task.panel::<S>(panel)));
                let mut unpacked = [const { [const { MaybeUninit::<Unpacked>::uninit() }; UNPACKED] }; P];
                // Weights are unpacked two blocks before their sums are scaled, and multiplied one
                // block before.
                for p in 0..P {
                    for (block, to) in unpacked[p].iter_mut().enumerate().take(blocks.min(2)) {
                        unpack::<S>(panels[p].part(block).add(2 * WIDTH), to.as_mut_ptr().cast());
                    }
                    tiles[p].multiply(0, unpacked[p][0].as_ptr().cast());
                }
                for block in 0..blocks {
                    for p in 0..P {
                        if fresh {
                            prefetch::<S>(panels[p].part(block), Q4Panel::<S>::PART, P);
                        }
                        if block + 1 < blocks {
                            let weights = unpacked[p][(block + 1) % UNPACKED].as_ptr();
                            tiles[p].multiply(block + 1, weights.cast());
                        }
                        if block + 2 < blocks {
                            let weights = unpacked[p][(block + 2) % UNPACKED].as_mut_ptr();
                            unpack::<S>(panels[p].part(block + 2).add(2 * WIDTH), weights.cast());
                        }
                        let [(f0, m0), (f1, m1)] = [panels[p].factors(block, 0), panels[p].factors(block, 1)];
                        let (factors, minima) = ([f0, f1], [m0, m1]);
                        for (r, acc) in acc[p].iter_mut().enumerate() {
                            let scale = S::splat(*scales.add(block * TILE + r));
                            let shift = S::splat(*shifts.add(block * TILE + r));
                            for c in 0..2 {
                                acc[c] = S::fma(tiles[p].sum::<S>(block, c, r), S::mul(factors[c], scale), acc[c]);
                                acc[c] = S::fma(shift, minima[c], acc[c]);
                            }
                        }
                    }
                }
            }
        }
        for (panel, acc) in panels.iter().zip(&acc) {
            for (r, sums) in acc.iter().enumerate().take(task.rows.end - first) {
                task.to.take::<S>(first + r, *panel, *sums);
            }
        }
    }
}

/// Prefetches `bytes` bytes of weights ahead of `part`, which belongs to one of `streams` streams.
#[inline(always)]
unsafe fn prefetch<S: Simd>(part: *const u8, bytes: usize, streams: usize) {
    for line in (0..bytes).step_by(64) {
        // SAFETY: the caller's.
        unsafe { S::prefetch_l1(part.wrapping_add(PREFETCH_BYTES / streams + line)) }
    }
}

/// R rows of activations, and the memory for their integer sums.
struct Tile {
    x: *const u8,
    sums: *mut [[[i32; 16]; TILE]; 2],
}

impl Tile {
    /// Computes the integer sums of a block with its weights.
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
                a = in(reg) self.x.add(block * TILE * BLOCK),
                a_stride = in(reg) BLOCK,
                b = in(reg) weights,
                b_stride = in(reg) QUAD,
                c = in(reg) self.sums.add(block % 2),
                c_stride = in(reg) 64usize,
                options(nostack),
            );
        }
    }

    /// Loads the sums of a row with one half of the panel, as floats.
    #[inline(always)]
    unsafe fn sum<S: Simd>(&self, block: usize, half: usize, row: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::to_float(S::int_load((&raw const (*self.sums.add(block % 2))[half][row]).cast())) }
    }
}

/// Unpacks the nibbles of a part to int8.
#[inline(always)]
unsafe fn unpack<S: Simd>(nibbles: *const u8, to: *mut u8) {
    const HALF: usize = BLOCK / 2 * WIDTH;
    for at in (0..HALF).step_by(4 * S::LANES) {
        // SAFETY: the caller's; every vector lies inside its half.
        unsafe {
            let bytes = S::int_load(nibbles.add(at));
            to.add(at).cast::<S::I>().write_unaligned(S::low_nibbles(bytes));
            to.add(HALF + at).cast::<S::I>().write_unaligned(S::high_nibbles(bytes));
        }
    }
}
