//! The few vector operations that all kernels are written in, and the choice of the instruction set at run time.

use std::fmt;

/// One instruction set: a vector of `LANES` f32 and what can be done with it.
///
/// # Safety
/// The functions may use instructions that not every CPU has: call them only inside [`Simd::vectorize`] of the same set.
/// Pointers must be valid for `LANES` floats; they need no alignment.
pub(in crate::kernels) trait Simd: Copy + 'static {
    /// Floats per vector; divides 16.
    const LANES: usize;
    /// Rows of a register tile in a matrix product with two vectors of columns; at most 12.
    const TILE_ROWS: usize;
    /// Vectors per row of a register tile in attention, which has up to `WIDE_ROWS` rows.
    const WIDE_ROWS: usize;
    /// Rows of a register tile in a product of bytes, with two vectors of columns.
    const BYTE_ROWS: usize;
    /// Whether the set multiplies tiles of bytes ([`super::amx`]).
    const TILES: bool = false;
    /// The vector.
    type V: Copy;
    /// As many 32-bit integers, or four times as many bytes.
    type I: Copy;

    /// Runs a kernel with the set's instructions enabled.
    ///
    /// # Safety
    /// The CPU has the set, and whatever the kernel asks for holds.
    unsafe fn vectorize<K: Kernel>(kernel: K) -> K::Output;

    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads `LANES` floats.
    unsafe fn load(from: *const f32) -> Self::V;
    /// Writes `LANES` floats.
    unsafe fn store(to: *mut f32, v: Self::V);
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the set can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of both, lane by lane.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of both, lane by lane.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `2^n` for whole `n` from -127 (which gives 0) to 127.
    unsafe fn pow2(n: Self::V) -> Self::V;

    /// Reads `LANES` bf16 numbers.
    unsafe fn load_bf16(from: *const u16) -> Self::V;
    /// Reads `LANES` f16 numbers.
    unsafe fn load_f16(from: *const u16) -> Self::V;
    /// Writes `LANES` numbers as f16, rounded to the nearest.
    unsafe fn store_f16(to: *mut u16, v: Self::V);
    /// Reads `LANES` unsigned bytes as numbers.
    unsafe fn load_bytes(from: *const u8) -> Self::V;
    /// Reads `LANES` signed bytes as numbers.
    unsafe fn load_signed_bytes(from: *const i8) -> Self::V;

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

    /// Says that the cache line at `from` will be read soon. Any address will do.
    #[inline(always)]
    unsafe fn prefetch(from: *const u8) {
        let _ = from;
    }

    /// The same, into the second-level cache: it will be read later.
    #[inline(always)]
    unsafe fn prefetch_second(from: *const u8) {
        let _ = from;
    }

    /// All lanes `x`.
    unsafe fn int_splat(x: i32) -> Self::I;
    /// Reads `4 * LANES` bytes.
    unsafe fn int_load(from: *const u8) -> Self::I;
    /// The lower half of every byte.
    unsafe fn low_halves(bytes: Self::I) -> Self::I;
    /// The upper half of every byte.
    unsafe fn high_halves(bytes: Self::I) -> Self::I;
    /// Lane by lane, adds to `acc` the products of four signed bytes of `a` (-127 to 127) with four of `x` (-127 to 127) and, in
    /// every lane, `BIAS` times the sum of those of `x`.
    unsafe fn dot(acc: Self::I, a: Self::I, x: Self::I) -> Self::I;
    /// What [`dot`](Self::dot) adds besides: a set that multiplies unsigned bytes adds 128 to every byte of `a`.
    const BIAS: i32;
    /// The same for bytes that are 0 to 127, and without a bias.
    unsafe fn dot_unsigned(acc: Self::I, a: Self::I, x: Self::I) -> Self::I;
    /// To numbers.
    unsafe fn to_float(v: Self::I) -> Self::V;

    /// The sum of the lanes, halves added to halves.
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        // SAFETY: the caller's.
        unsafe { Self::fold(v, |a, b| a + b) }
    }

    /// The largest lane.
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
    /// What comes out.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`, so that they are compiled for the set of the caller.
    ///
    /// # Safety
    /// Called through [`Simd::vectorize`] only, with valid pointers.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// The instruction sets there are kernels for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelSet {
    /// AVX-512 with VNNI, products of bf16, and AMX tiles of bytes and of bf16.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// AVX-512 with VNNI and products of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AVX-512 (F, BW, DQ, VL).
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 with FMA, F16C and AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx2Vnni,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Plain Rust.
    Portable,
}

impl KernelSet {
    /// All sets that this machine has, the best first.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("f16c");
            let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            let vnni = avx512 && has!("avx512vnni");
            let bf16 = vnni && has!("avx512bf16");
            let found = [
                (Self::Amx, bf16 && super::amx::available()),
                (Self::Avx512Bf16, bf16),
                (Self::Avx512Vnni, vnni),
                (Self::Avx512, avx512),
                (Self::Avx2Vnni, avx2 && has!("avxvnni")),
                (Self::Avx2, avx2),
            ];
            sets.extend(found.into_iter().filter(|(_, found)| *found).map(|(set, _)| set));
        }
        sets.extend([
            #[cfg(target_arch = "aarch64")]
            Self::Neon,
            Self::Portable,
        ]);
        sets
    }

    /// The name, as `MASPO_KERNELS` takes it.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "amx",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => "avx512bf16",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni => "avx2vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// What of the set results depend on, for caches that outlive the program: it changes when the arithmetic does.
    pub(crate) fn arithmetic(self) -> &'static str {
        if self.has_bf16_tiles() { "amx, prompts in bf16" } else { self.name() }
    }

    /// Floats per vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx | Self::Avx512Bf16 | Self::Avx512Vnni | Self::Avx512 => super::avx512::Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni | Self::Avx2 => super::avx2::Avx2::LANES,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => super::neon::Neon::LANES,
            Self::Portable => super::portable::Portable::LANES,
        }
    }

    /// Whether the set multiplies bf16 weights, two inputs at once, with activations that it rounds to bf16; they are packed for that.
    pub(in crate::kernels) fn has_bf16_pairs(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(self, Self::Amx | Self::Avx512Bf16);
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether the set multiplies the rows of prompts with quantized weights and those in bf16 on tiles of bf16.
    pub(in crate::kernels) fn has_bf16_tiles(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Amx;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Runs a kernel of floats in this set. Sets that differ in products of bytes only share the code.
    ///
    /// # Safety
    /// What the kernel asks for holds. A set is only ever made by [`KernelSet::available`], so the CPU has it.
    pub(in crate::kernels) unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: the CPU has the set; the rest is the caller's.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Amx | Self::Avx512Bf16 | Self::Avx512Vnni | Self::Avx512 => {
                    super::avx512::Avx512::vectorize(kernel)
                }
                #[cfg(target_arch = "x86_64")]
                Self::Avx2Vnni | Self::Avx2 => super::avx2::Avx2::vectorize(kernel),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => super::neon::Neon::vectorize(kernel),
                Self::Portable => super::portable::Portable::vectorize(kernel),
            }
        }
    }

    /// Runs a kernel that multiplies bytes in this set.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    pub(in crate::kernels) unsafe fn run_on_bytes<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: as above.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Amx => super::avx512::Avx512Amx::vectorize(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Bf16 | Self::Avx512Vnni => super::avx512::Avx512Vnni::vectorize(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2Vnni => super::avx2::Avx2Vnni::vectorize(kernel),
                other => other.run(kernel),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl KernelSet {
    /// Runs a kernel that multiplies pairs of bf16; the set [has them](Self::has_bf16_pairs).
    ///
    /// # Safety
    /// As [`run`](Self::run).
    pub(in crate::kernels) unsafe fn run_on_pairs<K: Kernel>(self, kernel: K) -> K::Output {
        assert!(self.has_bf16_pairs(), "{self} has no products of bf16");
        // SAFETY: as above.
        unsafe { super::avx512::Avx512Bf16::vectorize(kernel) }
    }
}

impl fmt::Display for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
