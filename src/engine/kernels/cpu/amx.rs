//! Products of signed bytes on AMX tiles: 16 or 32 rows at a time. Integer sums are exact, and what follows them is done in the
//! order of [`super::int8`], so the results are the same bit by bit. The instructions are written as assembly because the
//! compiler has no stable names for them; it never uses the tile registers itself.

use super::int8::{Int8Task, q4_factors};
use super::simd::Simd;
use crate::engine::kernels::int8_rows::{BLOCK, TILE};
use crate::engine::kernels::panels::{PartLayout, Q4_PARTS};
use std::arch::asm;
use std::ops::Range;
use std::sync::OnceLock;

/// Fewer rows than this are left to vectors, which are faster then.
const FEWEST_ROWS: usize = 12;

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

/// The shapes of the tile registers: 0 to 3 are 16 × 16 sums, 4 and 5 are 16 rows of a block of activations, 6 and 7 are the
/// weights of a block for 16 outputs, four inputs side by side.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SHAPES: Shapes = Shapes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, BLOCK as u16, BLOCK as u16, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, TILE as u8, TILE as u8, BLOCK as u8 / 4, BLOCK as u8 / 4, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Outputs per panel: two vectors.
const WIDTH: usize = 32;
/// Bytes of the weights of four inputs.
const QUAD: usize = 4 * WIDTH;

/// Integer sums of up to 32 rows with a panel: tile by tile, two tiles side by side.
#[repr(C, align(64))]
struct Sums([[[[i32; 16]; TILE]; 2]; 2]);

/// Running sums of up to 32 rows with a panel.
#[repr(C, align(64))]
struct Running([[[f32; 16]; 2]; 2 * TILE]);

/// The weights of a part of Q4_K, a byte each, in the layout of Q8_0.
#[repr(C, align(64))]
struct Unpacked([u8; BLOCK * WIDTH]);

/// The tile registers, configured on this thread until dropped.
pub(super) struct Tiles(());

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the registers were configured on this thread: `Tiles` is made and dropped inside one task.
        unsafe { asm!("tilerelease", options(nostack)) }
    }
}

impl Tiles {
    /// Configures the registers if tiles are worth it for so many rows.
    #[inline(always)]
    pub(super) fn new(task: &Int8Task<'_>, rows: Range<usize>) -> Option<Self> {
        if rows.len() < FEWEST_ROWS || task.x.rows() < rows.end {
            return None;
        }
        // SAFETY: the caller's kernel set has AMX; the shapes are within its limits.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, readonly)) }
        Some(Self(()))
    }

    /// Computes as many of the task's rows as are worth it; returns the others.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, task: &Int8Task<'_>, panel: usize) -> Range<usize> {
        let mut rest = task.rows.clone();
        while rest.len() >= FEWEST_ROWS {
            let count = rest.len().min(2 * TILE);
            // SAFETY: the caller's; the activations may be read up to a whole tile.
            unsafe {
                if count > TILE {
                    self.rows::<S, 2>(task, panel, rest.start, count)
                } else {
                    self.rows::<S, 1>(task, panel, rest.start, count)
                }
            }
            rest.start += count;
        }
        rest
    }

    /// `count` rows from `first` with a panel, in A tiles.
    #[inline(always)]
    unsafe fn rows<S: Simd, const A: usize>(&self, task: &Int8Task<'_>, panel: usize, first: usize, count: usize) {
        let mut running = Running([[[0.0; 16]; 2]; 2 * TILE]);
        let mut sums = Sums([[[[0; 16]; TILE]; 2]; 2]);
        let mut part = task.panel::<S>(panel);
        let blocks = task.x.blocks();
        let a = task.x.bytes(first);
        // SAFETY: the caller's.
        unsafe {
            match task.layout {
                PartLayout::Q8_0 => {
                    for block in 0..blocks {
                        let halves = part.cast::<u16>();
                        multiply::<A>(a.add(block * BLOCK), blocks * BLOCK, part.add(2 * WIDTH), &mut sums);
                        let factors = [S::load_f16(halves), S::load_f16(halves.add(S::LANES))];
                        add::<S>(task, (first, count), block, &sums, factors, None, &mut running);
                        part = part.add((2 + BLOCK) * WIDTH);
                    }
                }
                PartLayout::Q4K => {
                    let mut weights = Unpacked([0; BLOCK * WIDTH]);
                    for group in 0..blocks / Q4_PARTS {
                        let halves = part.cast::<u16>();
                        let scales = [S::load_f16(halves), S::load_f16(halves.add(S::LANES))];
                        let minima = [S::load_f16(halves.add(WIDTH)), S::load_f16(halves.add(WIDTH + S::LANES))];
                        part = part.add(4 * WIDTH);
                        for block in group * Q4_PARTS..(group + 1) * Q4_PARTS {
                            unpack::<S>(part.add(2 * WIDTH), &mut weights);
                            multiply::<A>(a.add(block * BLOCK), blocks * BLOCK, weights.0.as_ptr(), &mut sums);
                            let [factors, offsets] = q4_factors::<S>(part, scales, minima);
                            add::<S>(task, (first, count), block, &sums, factors, Some(offsets), &mut running);
                            part = part.add((2 + BLOCK / 2) * WIDTH);
                        }
                    }
                }
            }
            for (row, sums) in running.0.iter().enumerate().take(count) {
                task.to.take::<S>(first + row, panel, [S::load(sums[0].as_ptr()), S::load(sums[1].as_ptr())]);
            }
        }
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

/// The integer sums of a block: A tiles of rows `a_stride` bytes apart with the weights of a panel.
#[inline(always)]
unsafe fn multiply<const A: usize>(a: *const u8, a_stride: usize, weights: *const u8, sums: &mut Sums) {
    // SAFETY: the caller's; `sums` has room for four tiles of 1 KiB with rows of 64 bytes.
    unsafe {
        if A == 1 {
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
                a = in(reg) a,
                a_stride = in(reg) a_stride,
                b = in(reg) weights,
                b_stride = in(reg) QUAD,
                c = in(reg) &raw mut *sums,
                c_stride = in(reg) 64usize,
                options(nostack),
            );
        } else {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "tileloadd tmm4, [{a} + {a_stride}*1]",
                "tileloadd tmm6, [{b} + {b_stride}*1]",
                "tileloadd tmm7, [{b} + {b_stride}*1 + 64]",
                "tileloadd tmm5, [{second} + {a_stride}*1]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tdpbssd tmm1, tmm4, tmm7",
                "tdpbssd tmm2, tmm5, tmm6",
                "tdpbssd tmm3, tmm5, tmm7",
                "tilestored [{c} + {c_stride}*1], tmm0",
                "tilestored [{c} + {c_stride}*1 + 1024], tmm1",
                "tilestored [{c} + {c_stride}*1 + 2048], tmm2",
                "tilestored [{c} + {c_stride}*1 + 3072], tmm3",
                a = in(reg) a,
                second = in(reg) a.add(TILE * a_stride),
                a_stride = in(reg) a_stride,
                b = in(reg) weights,
                b_stride = in(reg) QUAD,
                c = in(reg) &raw mut *sums,
                c_stride = in(reg) 64usize,
                options(nostack),
            );
        }
    }
}

/// Adds the sums of a block, scaled, to the running sums.
#[inline(always)]
unsafe fn add<S: Simd>(
    task: &Int8Task<'_>,
    (first, count): (usize, usize),
    block: usize,
    sums: &Sums,
    factors: [S::V; 2],
    offsets: Option<[S::V; 2]>,
    running: &mut Running,
) {
    for row in 0..count {
        let [left, right] = &sums.0[row / TILE];
        // SAFETY: the caller's; a row of sums is one vector.
        unsafe {
            let scale = *task.x.scales(first + row).add(block);
            let scales = S::splat(scale);
            for (c, ints) in [&left[row % TILE], &right[row % TILE]].into_iter().enumerate() {
                let to = running.0[row][c].as_mut_ptr();
                let ints = S::to_float(S::int_load(ints.as_ptr().cast()));
                let mut sum = S::fma(ints, S::mul(factors[c], scales), S::load(to));
                if let Some(offsets) = offsets {
                    let total = *task.x.sums(first + row).add(block);
                    sum = S::fma(S::splat(-scale * total as f32), offsets[c], sum);
                }
                S::store(to, sum);
            }
        }
    }
}
