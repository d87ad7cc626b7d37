//! Four integers, or sixteen bytes, in plain Rust: for kernel sets without instructions for int8
//! products.

/// Four 32-bit integers, which also stand for sixteen bytes.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Ints(pub(super) [i32; 4]);

impl Ints {
    /// Returns the lower nibble of every byte.
    #[inline(always)]
    pub(super) fn low_nibbles(self) -> Self {
        Self(self.0.map(|bytes| bytes & 0x0F0F_0F0F))
    }

    /// Returns the upper nibble of every byte.
    #[inline(always)]
    pub(super) fn high_nibbles(self) -> Self {
        Self(self.0.map(|bytes| (bytes >> 4) & 0x0F0F_0F0F))
    }

    /// Adds, lane by lane, the products of four signed bytes of `a` with four of `x`.
    #[inline(always)]
    pub(super) fn add_products(self, a: Self, x: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            let (a, x) = (a.0[lane].to_ne_bytes(), x.0[lane].to_ne_bytes());
            let product = |i: usize| i32::from(a[i].cast_signed()) * i32::from(x[i].cast_signed());
            self.0[lane] + product(0) + product(1) + product(2) + product(3)
        }))
    }

    /// Adds, lane by lane, the products of four unsigned bytes of `a` with four signed ones of `x`,
    /// as `vpdpbusd` does: no product and no sum is rounded, and an overflow wraps around.
    #[inline(always)]
    pub(super) fn add_unsigned_products(self, a: Self, x: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            let (a, x) = (a.0[lane].to_ne_bytes(), x.0[lane].to_ne_bytes());
            let product = |i: usize| i32::from(a[i]) * i32::from(x[i].cast_signed());
            (0..4).fold(self.0[lane], |sum, i| sum.wrapping_add(product(i)))
        }))
    }
}
