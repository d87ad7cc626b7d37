//! The kernel sets of a CPU, and which of them it has.

use super::simd::{Kernel, Simd};
use std::fmt;

/// The instruction sets that there are kernels for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelSet {
    /// AVX-512 with VNNI, bf16 dot products, and AMX tiles of int8 and bf16.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// AVX-512 with VNNI and bf16 dot products.
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
    /// NEON, which every AArch64 CPU has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Plain Rust, for every CPU.
    Portable,
    /// Plain Rust that multiplies bytes as AVX-VNNI does, so that every machine can test what only
    /// that set does with weights.
    #[cfg(test)]
    EmulatedVnni,
}

impl KernelSet {
    /// Returns all kernel sets that this machine has, the best first.
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
            #[cfg(test)]
            Self::EmulatedVnni,
        ]);
        sets
    }

    /// Returns the name that `MASPO_KERNELS` takes.
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
            #[cfg(test)]
            Self::EmulatedVnni => "emulated AVX-VNNI",
        }
    }

    /// Returns what results depend on, for caches that outlive the program. It changes when the
    /// arithmetic of the set does.
    pub(crate) fn arithmetic(self) -> &'static str {
        if self.has_bf16_tiles() { "amx, prompts in bf16" } else { self.name() }
    }

    /// Returns the number of floats per vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx | Self::Avx512Bf16 | Self::Avx512Vnni | Self::Avx512 => super::avx512::Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni | Self::Avx2 => super::avx2::Avx2::LANES,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => super::neon::Neon::LANES,
            Self::Portable => super::portable::Portable::LANES,
            #[cfg(test)]
            Self::EmulatedVnni => super::portable::EmulatedVnni::LANES,
        }
    }

    /// Returns whether the set multiplies bf16 weights, two inputs at once, with activations
    /// rounded to bf16. Weights are packed for that.
    pub(in crate::kernels) fn has_bf16_pairs(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(self, Self::Amx | Self::Avx512Bf16);
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Returns whether the set multiplies unsigned weights of Q8_0, packed with 128 added to each.
    pub(in crate::kernels) fn has_offset_weights(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni => true,
            #[cfg(test)]
            Self::EmulatedVnni => true,
            _ => false,
        }
    }

    /// Returns whether the set multiplies prefill rows on bf16 tiles, with bf16 weights and with
    /// quantized ones.
    pub(in crate::kernels) fn has_bf16_tiles(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Amx;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Runs a kernel in this set. Sets that differ only in products of int8 or bf16 share the
    /// compiled code.
    ///
    /// # Safety
    /// The kernel's own conditions must hold. The CPU has the set, because only
    /// [`KernelSet::available`] makes one.
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
                #[cfg(test)]
                Self::EmulatedVnni => super::portable::Portable::vectorize(kernel),
            }
        }
    }

    /// Runs a kernel that multiplies int8, with the set's instructions for that.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    pub(in crate::kernels) unsafe fn run_int8<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: as above.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Amx => super::avx512::Avx512Amx::vectorize(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Bf16 | Self::Avx512Vnni => super::avx512::Avx512Vnni::vectorize(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2Vnni => super::avx2::Avx2Vnni::vectorize(kernel),
                #[cfg(test)]
                Self::EmulatedVnni => super::portable::EmulatedVnni::vectorize(kernel),
                other => other.run(kernel),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl KernelSet {
    /// Runs a kernel that multiplies pairs of bf16, which the set must
    /// [have](Self::has_bf16_pairs).
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    pub(in crate::kernels) unsafe fn run_bf16_pairs<K: Kernel>(self, kernel: K) -> K::Output {
        assert!(self.has_bf16_pairs(), "{self} has no products of bf16");
        // SAFETY: as above.
        unsafe { super::avx512::Avx512Bf16::vectorize(kernel) }
    }

    /// Runs a kernel of bf16 tiles, which the set must [have](Self::has_bf16_tiles).
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    pub(in crate::kernels) unsafe fn run_bf16_tiles<K: Kernel>(self, kernel: K) -> K::Output {
        assert!(self.has_bf16_tiles(), "{self} has no bf16 tiles");
        // SAFETY: as above.
        unsafe { super::avx512::Avx512Amx::vectorize(kernel) }
    }
}

impl fmt::Display for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
