//! A product of plain bf16 rows, which a device's own library (cuBLAS) does: as the executor asks
//! for it, and as BLAS takes it.

use super::args::Epilogue;
#[cfg(any(feature = "cuda", test))]
use super::args::Type;
#[cfg(any(feature = "cuda", test))]
use std::ffi::c_int;
use std::ffi::c_void;

/// `y [rows, outputs] = x [rows, inputs] Wᵀ`, or added to `y`; W is bf16 `[outputs, inputs]`,
/// nothing is padded.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(any(feature = "cuda", test)),
    expect(dead_code, reason = "Metal has no such library, and reads none of it")
)]
pub(in crate::engine) struct Gemm {
    pub(in crate::engine) x: *const u16,
    pub(in crate::engine) weights: *const u16,
    pub(in crate::engine) y: *mut c_void,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) inputs: u32,
    pub(in crate::engine) outputs: u32,
    /// Any but `Gated`.
    pub(in crate::engine) epilogue: Epilogue,
}

/// The sizes of the same product in BLAS's terms, `C = Aᵀ B + beta C` with columns first: a matrix
/// whose rows lie one behind the other is there its own transpose. So A `[k, m]` is W, B `[k, n]`
/// is x and C `[m, n]` is y; sums are f32.
#[cfg(any(feature = "cuda", test))]
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::engine) struct BlasSizes {
    pub(in crate::engine) m: c_int,
    pub(in crate::engine) n: c_int,
    pub(in crate::engine) k: c_int,
    /// From column to column of A, B and C.
    pub(in crate::engine) lda: c_int,
    pub(in crate::engine) ldb: c_int,
    pub(in crate::engine) ldc: c_int,
    pub(in crate::engine) beta: f32,
    /// The type of C.
    pub(in crate::engine) c_type: Type,
}

#[cfg(any(feature = "cuda", test))]
impl Gemm {
    /// As BLAS takes it.
    ///
    /// # Panics
    /// A gated product, which BLAS does not have.
    pub(in crate::engine) fn sizes(&self) -> BlasSizes {
        let (beta, c_type) = match self.epilogue {
            Epilogue::StoreF32 => (0.0, Type::F32),
            Epilogue::AddF32 => (1.0, Type::F32),
            Epilogue::StoreBf16 => (0.0, Type::Bf16),
            Epilogue::Gated => unreachable!("gates are an operation of their own behind such a product"),
        };
        let [rows, inputs, outputs] = [self.rows, self.inputs, self.outputs].map(|size| size as c_int);
        BlasSizes { m: outputs, n: rows, k: inputs, lda: inputs, ldb: inputs, ldc: outputs, beta, c_type }
    }
}

/// What BLAS promises, word by word: every element by its definition, in f32.
///
/// # Safety
/// The addresses are those of memory of these sizes, on the host.
#[cfg(test)]
pub(in crate::engine) unsafe fn multiply(of: &Gemm) {
    let BlasSizes { m, n, k, lda, ldb, ldc, beta, c_type } = of.sizes();
    let [m, n, k, lda, ldb, ldc] = [m, n, k, lda, ldb, ldc].map(|size| size as usize);
    let float = |bits: u16| half::bf16::from_bits(bits).to_f32();
    for (j, i) in (0..n).flat_map(|j| (0..m).map(move |i| (j, i))) {
        // SAFETY: the caller's.
        unsafe {
            let product = |l: usize| float(*of.weights.add(i * lda + l)) * float(*of.x.add(j * ldb + l));
            let sum: f32 = (0..k).map(product).sum();
            let at = j * ldc + i;
            match c_type {
                Type::F32 => {
                    let c = of.y.cast::<f32>().add(at);
                    // With beta 0, C is not read: it may be anything.
                    *c = if beta == 0.0 { sum } else { sum + beta * *c };
                }
                Type::Bf16 => *of.y.cast::<u16>().add(at) = half::bf16::from_f32(sum).to_bits(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernels::reference;

    #[test]
    fn blas_takes_rows_for_columns() {
        let (rows, inputs, outputs) = (3usize, 8usize, 5usize);
        let bits = |count: usize, factor: f32| -> Vec<u16> {
            (0..count).map(|i| half::bf16::from_f32((i as f32 * factor).sin()).to_bits()).collect()
        };
        let floats = |bits: &[u16]| -> Vec<f32> { bits.iter().map(|&x| half::bf16::from_bits(x).to_f32()).collect() };
        let (x, w) = (bits(rows * inputs, 0.7), bits(outputs * inputs, 1.3));
        let exact = reference::linear(&floats(&x), &floats(&w), inputs);
        for (epilogue, before) in [(Epilogue::StoreF32, f32::NAN), (Epilogue::AddF32, 2.0)] {
            let mut y = vec![before; rows * outputs];
            let (x, weights, to) = (x.as_ptr(), w.as_ptr(), y.as_mut_ptr().cast());
            let gemm = Gemm { x, weights, y: to, rows: 3, inputs: 8, outputs: 5, epilogue };
            // SAFETY: the vectors have these sizes.
            unsafe { multiply(&gemm) };
            let added = if epilogue == Epilogue::AddF32 { 2.0 } else { 0.0 };
            assert!(y.iter().zip(&exact).all(|(y, exact)| (f64::from(*y) - exact - added).abs() < 1e-5), "{y:?}");
        }
    }
}
