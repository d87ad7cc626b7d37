//! The vector operations that all kernels are written in.

/// One instruction set: a vector of `LANES` f32 numbers and its operations.
///
/// # Safety
/// The functions may use instructions that not every CPU has: call them only inside
/// [`Simd::vectorize`] of the same set. Pointers must be valid for `LANES` floats; they need no
/// alignment.
pub(in crate::kernels) trait Simd: Copy + 'static {
    /// The number of floats per vector; divides 16.
    const LANES: usize;
    /// The rows of a register tile in a matrix product, with two vectors of columns; at most 12.
    const TILE_ROWS: usize;
    /// The most rows of a register tile in attention, with four vectors of columns.
    const WIDE_ROWS: usize;
    /// The most rows of a register tile in attention with two vectors of columns, which more than
    /// `WIDE_ROWS` rows take where it is not 0. In 16 registers such a tile reads less for every
    /// multiply-add.
    const TALL_ROWS: usize = 0;
    /// The rows of a register tile in an int8 GEMM, with two vectors of columns.
    const INT8_TILE_ROWS: usize;
    /// Whether a tile of 4-bit weights goes through its two vectors of outputs one after the other
    /// and reads the activations twice. Where a product of bytes takes several instructions, that
    /// is faster than keeping both vectors of weights, and what becomes of them, in 16 registers.
    const INT8_ONE_VECTOR: bool = false;
    /// Whether the set multiplies int8 on AMX tiles ([`super::amx`]).
    const INT8_TILES: bool = false;
    /// A vector of floats.
    type V: Copy;
    /// A vector of as many 32-bit integers, or four times as many bytes.
    type I: Copy;

    /// Runs a kernel with the set's instructions enabled.
    ///
    /// # Safety
    /// The CPU must have the set, and the kernel's own conditions must hold.
    unsafe fn vectorize<K: Kernel>(kernel: K) -> K::Output;

    /// Returns `x` in all lanes.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads `LANES` floats.
    unsafe fn load(from: *const f32) -> Self::V;
    /// Writes `LANES` floats.
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Returns `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// Returns `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// Returns `a * b`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// Returns `a / b`.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// Returns `a * b + c`, rounded once if the set has a fused multiply-add.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Returns the larger of both, lane by lane.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Returns the smaller of both, lane by lane.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Returns `2^n` for whole `n` from -127 (which gives 0) to 127.
    unsafe fn pow2(n: Self::V) -> Self::V;

    /// Reads `LANES` bf16 numbers.
    unsafe fn load_bf16(from: *const u16) -> Self::V;
    /// Reads `LANES` f16 numbers.
    unsafe fn load_f16(from: *const u16) -> Self::V;
    /// Writes `LANES` numbers as f16, rounded to the nearest.
    unsafe fn store_f16(to: *mut u16, v: Self::V);
    /// Reads `LANES` unsigned bytes as floats.
    unsafe fn load_u8(from: *const u8) -> Self::V;
    /// Reads `LANES` int8 numbers as floats.
    unsafe fn load_i8(from: *const i8) -> Self::V;

    /// Writes the lowest byte of every lane.
    #[inline(always)]
    unsafe fn store_low_bytes(to: *mut u8, v: Self::V) {
        let mut lanes = [0.0f32; 16];
        // SAFETY: the caller's; a vector has at most 16 lanes.
        unsafe {
            Self::store(lanes.as_mut_ptr(), v);
            for (i, lane) in lanes[..Self::LANES].iter().enumerate() {
                *to.add(i) = lane.to_bits() as u8;
            }
        }
    }

    /// Prefetches the cache line at `from` into the L1 cache. Any address is allowed.
    #[inline(always)]
    unsafe fn prefetch_l1(from: *const u8) {
        let _ = from;
    }

    /// Prefetches the cache line at `from` into the L2 cache. Any address is allowed.
    #[inline(always)]
    unsafe fn prefetch_l2(from: *const u8) {
        let _ = from;
    }

    /// Returns `x` in all lanes.
    unsafe fn int_splat(x: i32) -> Self::I;
    /// Reads `4 * LANES` bytes.
    unsafe fn int_load(from: *const u8) -> Self::I;
    /// Returns the lower nibble of every byte.
    unsafe fn low_nibbles(bytes: Self::I) -> Self::I;
    /// Returns the upper nibble of every byte.
    unsafe fn high_nibbles(bytes: Self::I) -> Self::I;
    /// Adds to every lane of `acc` the four int8 products of the weights `a` and of `x` (each from
    /// -127 to 127), and `BIAS` times the sum of the four numbers of `x`. The weights are as the
    /// set's panels have them: plus 128 where
    /// [`KernelSet::has_offset_weights`](super::set::KernelSet::has_offset_weights).
    unsafe fn dot(acc: Self::I, a: Self::I, x: Self::I) -> Self::I;
    /// The bias of [`dot`](Self::dot): where a set multiplies unsigned bytes, every weight has 128
    /// too much.
    const BIAS: i32;
    /// Adds to `acc`, which starts at 0, the int8 products of `a` (each byte from 0 to 15) and `x`
    /// (each from -127 to 127). After at most eight calls, [`nibble_sums`](Self::nibble_sums) makes
    /// sums of it. A set without a four-way product adds up pairs in 16 bits: eight times two
    /// products are 30,480 at most.
    unsafe fn dot_nibbles(acc: Self::I, a: Self::I, x: Self::I) -> Self::I;
    /// Returns the sums of four products a lane that [`dot_nibbles`](Self::dot_nibbles) added up.
    #[inline(always)]
    unsafe fn nibble_sums(acc: Self::I) -> Self::I {
        acc
    }
    /// Keeps the compiler from reading ahead of this point. In a set with few registers it would
    /// otherwise read the weights of a whole block first and put them aside in memory.
    #[inline(always)]
    fn read_in_order() {}
    /// Converts integers to floats.
    unsafe fn to_float(v: Self::I) -> Self::V;

    /// Returns the sum of the lanes, halves added to halves.
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        // SAFETY: the caller's.
        unsafe { Self::fold(v, |a, b| a + b) }
    }

    /// Returns the largest lane.
    #[inline(always)]
    unsafe fn largest(v: Self::V) -> f32 {
        // SAFETY: the caller's.
        unsafe { Self::fold(v, f32::max) }
    }

    /// Folds the lanes as a balanced tree.
    #[inline(always)]
    unsafe fn fold(v: Self::V, combine: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = [0.0f32; 16];
        // SAFETY: `LANES` is at most 16.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        let mut width = Self::LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] = combine(lanes[i], lanes[i + width]);
            }
        }
        lanes[0]
    }
}

/// A piece of work that any instruction set can do.
pub(in crate::kernels) trait Kernel {
    /// The kernel's result.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`, so that they are compiled for the
    /// caller's instruction set.
    ///
    /// # Safety
    /// To be called through [`Simd::vectorize`] only, with valid pointers.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}
