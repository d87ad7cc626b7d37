//! bf16 GEMM on AMX tiles, for many rows. Weights that are not bf16 are converted panel by panel in
//! the CPU's cache, once for all rows, and the sums of up to 32 rows stay in tile registers while
//! inputs are added. Every output is one chain of additions in ascending order of the inputs,
//! whatever the number of rows, so the result does not depend on the tile.
//!
//! While the tiles multiply, vector instructions between theirs unpack the next weights.

use super::amx::Tiles;
use super::avx512::Avx512Amx;
use super::destination::Destination;
use super::int8::Q4Panel;
use super::simd::{Kernel, Simd};
use super::strip::PREFETCH_BYTES;
use crate::kernels::layout::bf16_rows::{Bf16Rows, STRIP};
use crate::kernels::layout::int8_rows::{BLOCK, TILE};
use crate::kernels::layout::matrix::Buffer;
use crate::kernels::layout::panels::PartLayout;
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::Cell;
use std::ops::Range;

/// A rectangle of a product, some rows by some panels, for the kernel set with AMX.
pub(in crate::kernels) struct Bf16Task<'a> {
    pub(in crate::kernels) x: &'a Bf16Rows,
    /// The rows; the first one starts a strip.
    pub(in crate::kernels) rows: Range<usize>,
    /// All panels, as `panels` packs them.
    pub(in crate::kernels) panels: &'a [u8],
    /// The layout of quantized weights; `None` for bf16 weights, which are stored as tiles.
    pub(in crate::kernels) layout: Option<PartLayout>,
    /// The panels to multiply.
    pub(in crate::kernels) range: Range<usize>,
    pub(in crate::kernels) to: Destination<'a>,
}

/// The number of outputs per panel: two vectors.
const WIDTH: usize = 32;
/// The bf16 numbers in a tile: 16 rows of a block of inputs, or a block of inputs for 16 outputs.
const TILE_NUMBERS: usize = TILE * BLOCK;
/// The bf16 numbers in a block of a panel.
const BLOCK_NUMBERS: usize = BLOCK * WIDTH;

/// The rows of a unit of work. With [`BLOCKS`] they are chosen so that the activations stay in the
/// cache from panel to panel: 512 rows by 1024 inputs are a megabyte.
const ROWS: usize = 512;
/// The blocks of inputs of a unit of work; see [`ROWS`].
const BLOCKS: usize = 1024 / BLOCK;
/// The number of panels whose sums are kept until their last inputs.
const GROUP: usize = 4;
/// The bf16 numbers of a panel that are unpacked at a time.
const UNPACKED: usize = BLOCKS * BLOCK_NUMBERS;

thread_local! {
    /// Two buffers of a unit's unpacked weights, `[block, half, pair of inputs, 16 outputs, 2]`,
    /// and the sums of a group.
    static SPACE: Cell<(Buffer, Buffer)> = Cell::default();
}

/// Two tiles of weights, one for each half of a panel, block after block.
#[derive(Clone, Copy)]
struct Weights {
    at: *const u16,
    /// The distance from the first half to the second, in numbers.
    half: usize,
    /// The distance from a pair of inputs to the next, in bytes.
    step: usize,
}

impl Weights {
    /// Weights in the layout `[block, half, pair of inputs, 16 outputs, 2]`.
    fn unpacked(at: *const u16) -> Self {
        Self { at, half: TILE_NUMBERS, step: 64 }
    }

    /// Weights in the layout `[pair of inputs, half, 16 outputs, 2]`.
    fn as_stored(at: *const u16) -> Self {
        Self { at, half: 32, step: 128 }
    }

    /// Returns the weights that lie `blocks` blocks further on.
    #[inline(always)]
    fn later(self, blocks: usize) -> Self {
        Self { at: self.at.wrapping_add(blocks * BLOCK_NUMBERS), ..self }
    }
}

/// A unit of work: some rows and some inputs with one panel.
#[derive(Clone)]
struct Unit {
    rows: Range<usize>,
    panel: usize,
    /// The panel's index in its group.
    member: usize,
    blocks: Range<usize>,
}

impl Kernel for Bf16Task<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        debug_assert!(
            S::INT8_TILES && self.rows.start.is_multiple_of(STRIP),
            "the set has tiles, and rows lie in strips"
        );
        let (mut unpacked, mut sums) = SPACE.take();
        sums.reach(GROUP * ROWS * WIDTH);
        let of_group = sums.as_mut_slice().as_mut_ptr();
        // SAFETY: the caller's; there is room for the sums of a group.
        unsafe {
            let mut tiles = Tiles::unconfigured();
            tiles.configure_bf16();
            match self.layout {
                None => self.run_as_stored(of_group),
                Some(layout) => self.run_unpacked(layout, &mut unpacked, of_group),
            }
        }
        SPACE.set((unpacked, sums));
    }
}

impl Bf16Task<'_> {
    /// Returns all units in the order of work.
    fn units(&self) -> impl Iterator<Item = Unit> {
        let blocks = pieces(0..self.x.blocks(), BLOCKS);
        let of_group = move |rows: Range<usize>, group: Range<usize>| {
            blocks.clone().flat_map(move |blocks| {
                let (rows, first) = (rows.clone(), group.start);
                group.clone().map(move |panel| Unit {
                    rows: rows.clone(),
                    panel,
                    member: panel - first,
                    blocks: blocks.clone(),
                })
            })
        };
        let groups = pieces(self.range.clone(), GROUP);
        pieces(self.rows.clone(), ROWS).flat_map(move |rows| {
            let of_group = of_group.clone();
            groups.clone().flat_map(move |group| of_group(rows.clone(), group))
        })
    }

    #[inline(always)]
    unsafe fn run_as_stored(&self, sums: *mut f32) {
        for unit in self.units() {
            let weights = self.panel(unit.panel, self.x.blocks() * BLOCK_NUMBERS * size_of::<u16>()).cast::<u16>();
            // SAFETY: the caller's; the blocks are inside the panel.
            unsafe { self.multiply(&unit, Weights::as_stored(weights).later(unit.blocks.start), None, sums) }
        }
    }

    #[inline(always)]
    unsafe fn run_unpacked(&self, layout: PartLayout, unpacked: &mut Buffer, sums: *mut f32) {
        unpacked.reach(UNPACKED);
        let numbers = unpacked.as_mut_slice().as_mut_ptr().cast::<u16>();
        let mut places = [numbers, numbers.wrapping_add(UNPACKED)];
        let mut units = self.units().peekable();
        // SAFETY: the caller's; the weights of every unit are unpacked before they are multiplied,
        // and there is room for two.
        unsafe {
            if let Some(first) = units.peek() {
                let unpack = self.unpack(first, layout, places[0]);
                for block in 0..first.blocks.len() {
                    unpack.unpack_quads(block, 0..unpack.quads_per_block());
                }
            }
            while let Some(unit) = units.next() {
                let next = units.peek().map(|next| self.unpack(next, layout, places[1]));
                self.multiply(&unit, Weights::unpacked(places[0]), next.as_ref(), sums);
                places.swap(0, 1);
            }
        }
    }

    fn panel(&self, panel: usize, bytes: usize) -> *const u8 {
        self.panels[panel * bytes..(panel + 1) * bytes].as_ptr()
    }

    fn unpack(&self, unit: &Unit, layout: PartLayout, to: *mut u16) -> Unpack {
        let panel = self.panel(unit.panel, layout.panel_bytes(self.x.blocks(), WIDTH));
        Unpack { panel, layout, first: unit.blocks.start, blocks: unit.blocks.len(), to }
    }

    /// Multiplies a unit, and meanwhile unpacks the next one if there is one.
    #[inline(always)]
    unsafe fn multiply(&self, unit: &Unit, weights: Weights, next: Option<&Unpack>, sums: *mut f32) {
        let blocks = unit.blocks.len();
        let (first, last) = (unit.blocks.start == 0, unit.blocks.end == self.x.blocks());
        let strips = unit.rows.len().div_ceil(STRIP);
        for strip in 0..strips {
            let row = unit.rows.start + strip * STRIP;
            let both = row + TILE < unit.rows.end;
            // Sums that are complete after one unit need only one place.
            let place = if first && last { 0 } else { unit.member * ROWS / STRIP + strip };
            // SAFETY: the caller's; there is room for the sums of a group.
            unsafe {
                let sums = sums.add(place * STRIP * WIDTH);
                if first {
                    zero()
                } else {
                    load(sums)
                }
                for block in 0..blocks {
                    let a = self.x.strip(row, unit.blocks.start + block);
                    let b = weights.later(block);
                    if both {
                        multiply_two(a, b)
                    } else {
                        multiply_one(a, b)
                    }
                    if let Some(next) = next.filter(|next| block < next.blocks) {
                        let quads = next.quads_per_block();
                        next.unpack_quads(block, quads * strip / strips..quads * (strip + 1) / strips);
                    }
                }
                store(sums);
                if last {
                    for row in row..unit.rows.end.min(row + STRIP) {
                        let at = row % STRIP;
                        let at = sums.add(at / TILE * TILE * WIDTH + at % TILE * 16);
                        let of_row = [_mm512_load_ps(at), _mm512_load_ps(at.add(TILE * 16))];
                        self.to.take::<Avx512Amx>(row, unit.panel, of_row);
                    }
                }
            }
            // The blocks that the next unit has more of than this one.
            if let Some(next) = next.filter(|_| strip + 1 == strips) {
                for block in blocks..next.blocks {
                    // SAFETY: the caller's.
                    unsafe { next.unpack_quads(block, 0..next.quads_per_block()) }
                }
            }
        }
    }
}

/// Cuts a range into pieces of `size`, the last of which may be shorter.
fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let end = range.end;
    range.step_by(size).map(move |start| start..end.min(start + size))
}

/// Clears the sums. Registers 0 to 3 are sums, 4 and 5 activations, 6 and 7 weights.
#[inline(always)]
unsafe fn zero() {
    // SAFETY: the caller has configured the tiles.
    unsafe { asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem)) }
}

/// Multiplies a block of one tile of rows.
#[inline(always)]
unsafe fn multiply_one(a: *const u16, b: Weights) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tileloadd tmm4, [{a} + {stride}*1]",
            "tileloadd tmm6, [{first} + {step}*1]",
            "tileloadd tmm7, [{second} + {step}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            a = in(reg) a,
            first = in(reg) b.at,
            second = in(reg) b.at.wrapping_add(b.half),
            step = in(reg) b.step,
            stride = in(reg) 64usize,
            options(nostack, readonly),
        );
    }
}

/// Multiplies a block of two tiles of rows.
#[inline(always)]
unsafe fn multiply_two(a: *const u16, b: Weights) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tileloadd tmm4, [{a} + {stride}*1]",
            "tileloadd tmm6, [{first} + {step}*1]",
            "tileloadd tmm7, [{second} + {step}*1]",
            "tileloadd tmm5, [{a} + {stride}*1 + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            a = in(reg) a,
            first = in(reg) b.at,
            second = in(reg) b.at.wrapping_add(b.half),
            step = in(reg) b.step,
            stride = in(reg) 64usize,
            options(nostack, readonly),
        );
    }
}

/// Stores the sums `[2 tiles of rows, 2 halves of the panel, 16, 16]` to memory.
#[inline(always)]
unsafe fn store(to: *mut f32) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tilestored [{to} + {stride}*1], tmm0",
            "tilestored [{to} + {stride}*1 + 1024], tmm1",
            "tilestored [{to} + {stride}*1 + 2048], tmm2",
            "tilestored [{to} + {stride}*1 + 3072], tmm3",
            to = in(reg) to,
            stride = in(reg) 64usize,
            options(nostack),
        );
    }
}

/// Loads the sums that [`store`] has stored.
#[inline(always)]
unsafe fn load(from: *const f32) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tileloadd tmm0, [{from} + {stride}*1]",
            "tileloadd tmm1, [{from} + {stride}*1 + 1024]",
            "tileloadd tmm2, [{from} + {stride}*1 + 2048]",
            "tileloadd tmm3, [{from} + {stride}*1 + 3072]",
            from = in(reg) from,
            stride = in(reg) 64usize,
            options(nostack, readonly),
        );
    }
}

/// Some blocks of a panel of quantized weights that are converted to bf16.
#[derive(Clone, Copy)]
struct Unpack {
    panel: *const u8,
    layout: PartLayout,
    first: usize,
    blocks: usize,
    to: *mut u16,
}

/// Converts vectors of four bytes per output to floats: each byte u becomes `256 + u` by placing
/// its bits in the mantissa of 256, and a multiply-add scales and shifts it.
struct Dequantize {
    mask: __m512i,
    /// The scale of the weights.
    factor: __m512,
    shift: __m512,
}

impl Unpack {
    /// Returns the vectors of packed weights in a block, per half of the panel.
    fn quads_per_block(&self) -> usize {
        match self.layout {
            PartLayout::Q8_0 => BLOCK / 4,
            PartLayout::Q4K => BLOCK / 8,
        }
    }

    /// Unpacks some vectors of a block, for both halves of the panel. Each has four inputs (eight
    /// nibbles) of 16 outputs.
    #[inline(always)]
    unsafe fn unpack_quads(&self, block: usize, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        // SAFETY: the caller's.
        unsafe {
            match self.layout {
                PartLayout::Q8_0 => {
                    const PART: usize = (2 + BLOCK) * WIDTH;
                    let part = self.panel.add((self.first + block) * PART);
                    self.unpack_q8_0(block, 0, range.clone(), part, Dequantize::q8_0(part.cast()));
                    self.unpack_q8_0(block, 1, range, part, Dequantize::q8_0(part.cast::<u16>().add(16)));
                }
                PartLayout::Q4K => {
                    let panel = Q4Panel::<Avx512Amx>::new(self.panel);
                    let at = self.first + block;
                    self.unpack_q4_k(block, 0, range.clone(), panel.part(at), Dequantize::q4_k(panel.factors(at, 0)));
                    self.unpack_q4_k(block, 1, range, panel.part(at), Dequantize::q4_k(panel.factors(at, 1)));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn unpack_q8_0(
        &self,
        block: usize,
        half: usize,
        range: Range<usize>,
        part: *const u8,
        dequantize: Dequantize,
    ) {
        for quad in range {
            // SAFETY: the caller's; the bytes lie after a scale for every output.
            unsafe {
                let at = part.add((2 + 4 * quad) * WIDTH + half * 64);
                Avx512Amx::prefetch_l1(at.wrapping_add(PREFETCH_BYTES));
                // Bytes from -128 to 127 become 0 to 255.
                let v = _mm512_xor_si512(_mm512_loadu_si512(at.cast()), _mm512_set1_epi8(-128));
                dequantize
                    .put([shl::<15>(v), shl::<7>(v), shr::<1>(v), shr::<9>(v)], self.destination(block, half, quad));
            }
        }
    }

    #[inline(always)]
    unsafe fn unpack_q4_k(
        &self,
        block: usize,
        half: usize,
        range: Range<usize>,
        part: *const u8,
        dequantize: Dequantize,
    ) {
        for quad in range {
            // SAFETY: the caller's; the half bytes lie after two bytes for every output.
            unsafe {
                let at = part.add((2 + 4 * quad) * WIDTH + half * 64);
                Avx512Amx::prefetch_l1(at.wrapping_add(PREFETCH_BYTES));
                let v = _mm512_loadu_si512(at.cast());
                dequantize
                    .put([shl::<15>(v), shl::<7>(v), shr::<1>(v), shr::<9>(v)], self.destination(block, half, quad));
                let upper = self.destination(block, half, quad + BLOCK / 8);
                dequantize.put([shl::<11>(v), shl::<3>(v), shr::<5>(v), shr::<13>(v)], upper);
            }
        }
    }

    /// Returns where inputs `4 * quad` to `4 * quad + 3` of one half of the panel go.
    fn destination(&self, block: usize, half: usize, quad: usize) -> *mut u16 {
        self.to.wrapping_add(block * BLOCK_NUMBERS + half * TILE_NUMBERS + quad * 4 * 16)
    }
}

// There are no closures here, because they would not be compiled for the kernel set.
impl Dequantize {
    /// Converts Q8_0, with one scale per output.
    #[inline(always)]
    unsafe fn q8_0(scales: *const u16) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let factor = Avx512Amx::load_f16(scales);
            // A scale has 11 significant bits, so 384 times the scale is exact, and so is every
            // weight.
            Self { mask: _mm512_set1_epi32(0xff << 15), factor, shift: times(factor, -384.0) }
        }
    }

    /// Converts Q4_K, with a scale and a minimum per output.
    #[inline(always)]
    unsafe fn q4_k((factor, minimum): (__m512, __m512)) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let shift = _mm512_sub_ps(times(factor, -256.0), minimum);
            Self { mask: _mm512_set1_epi32(0xf << 15), factor, shift }
        }
    }

    /// Converts four inputs, each at its own bit position in the vectors, and writes two rows of
    /// pairs.
    #[inline(always)]
    unsafe fn put(&self, inputs: [__m512i; 4], to: *mut u16) {
        // SAFETY: the caller's.
        unsafe {
            let [a, b, c, d] = inputs;
            _mm512_store_si512(to.cast(), pair(self.rounded(a), self.rounded(b)));
            _mm512_store_si512(to.add(32).cast(), pair(self.rounded(c), self.rounded(d)));
        }
    }

    /// Returns the numbers, rounded so that their upper halves are the nearest bf16.
    #[inline(always)]
    unsafe fn rounded(&self, v: __m512i) -> __m512i {
        // SAFETY: the caller's set.
        unsafe {
            // (v & mask) | the bits of 256.
            let numbers = _mm512_ternarylogic_epi32::<0xea>(v, self.mask, _mm512_set1_epi32(0x4380_0000));
            let numbers = _mm512_fmadd_ps(_mm512_castsi512_ps(numbers), self.factor, self.shift);
            _mm512_add_epi32(_mm512_castps_si512(numbers), _mm512_set1_epi32(0x8000))
        }
    }
}

#[inline(always)]
unsafe fn times(v: __m512, x: f32) -> __m512 {
    // SAFETY: the caller's set.
    unsafe { _mm512_mul_ps(v, _mm512_set1_ps(x)) }
}

#[inline(always)]
unsafe fn shl<const BITS: u32>(v: __m512i) -> __m512i {
    // SAFETY: the caller's set.
    unsafe { _mm512_slli_epi32::<BITS>(v) }
}

#[inline(always)]
unsafe fn shr<const BITS: u32>(v: __m512i) -> __m512i {
    // SAFETY: the caller's set.
    unsafe { _mm512_srli_epi32::<BITS>(v) }
}

/// Pairs the upper halves of both vectors, lane by lane: those of `low` below those of `high`.
#[inline(always)]
unsafe fn pair(low: __m512i, high: __m512i) -> __m512i {
    // SAFETY: the caller's set.
    unsafe {
        // Bytes 2 and 3 of every lane to its bytes 0 and 1.
        let down = _mm512_broadcast_i32x4(_mm_setr_epi8(2, 3, 0, 0, 6, 7, 0, 0, 10, 11, 0, 0, 14, 15, 0, 0));
        _mm512_mask_shuffle_epi8(high, 0x3333_3333_3333_3333, low, down)
    }
}
