//! Gaussian rationals: exact complex numbers with rational parts.

use super::budget::Stop;
use super::interval::{Arithmetic, is_long, length};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

/// The longest numerator or denominator, in bits; 1/3000! is shorter.
pub(super) const MAX_BITS: u64 = 1 << 15;

/// The number `re + im·i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gauss {
    pub(crate) re: BigRational,
    pub(crate) im: BigRational,
}

impl From<BigRational> for Gauss {
    fn from(re: BigRational) -> Self {
        Self { re, im: BigRational::zero() }
    }
}

impl Gauss {
    pub(crate) fn integer(value: i64) -> Self {
        BigRational::from_integer(BigInt::from(value)).into()
    }

    pub(crate) fn i() -> Self {
        Self { re: BigRational::zero(), im: BigRational::one() }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.re.is_zero() && self.im.is_zero()
    }

    pub(crate) fn is_real(&self) -> bool {
        self.im.is_zero()
    }

    pub(crate) fn negated(&self) -> Self {
        Self { re: -&self.re, im: -&self.im }
    }

    /// Returns whether the number is too long for exact arithmetic.
    pub(super) fn is_long(&self) -> bool {
        is_long(&self.re, MAX_BITS) || is_long(&self.im, MAX_BITS)
    }

    fn is_integer(&self) -> bool {
        self.re.is_integer() && self.im.is_integer()
    }

    fn length(&self) -> u64 {
        length(&self.re) + length(&self.im)
    }
}

impl Arithmetic<'_> {
    /// Pays for one operation on two exact numbers, with the reduction of the fraction after it.
    pub(super) fn spend_exact(&mut self, a: &Gauss, b: &Gauss) -> Result<(), Stop> {
        let words = |value: &Gauss| value.length() / 64 + 1;
        if a.is_integer() && b.is_integer() {
            return self.spend(words(a) * words(b) + 8);
        }
        // A common divisor is found bit by bit.
        let words = words(a) + words(b);
        self.spend(32 * words * words + 8)
    }

    pub(super) fn add_exact(&mut self, a: &Gauss, b: &Gauss) -> Result<Gauss, Stop> {
        self.spend_exact(a, b)?;
        Ok(Gauss { re: sum(&a.re, &b.re), im: sum(&a.im, &b.im) })
    }

    pub(super) fn multiply_exact(&mut self, a: &Gauss, b: &Gauss) -> Result<Gauss, Stop> {
        self.spend_exact(a, b)?;
        if a.is_real() && b.is_real() {
            return Ok(product(&a.re, &b.re).into());
        }
        Ok(Gauss { re: &a.re * &b.re - &a.im * &b.im, im: &a.re * &b.im + &a.im * &b.re })
    }

    pub(super) fn invert_exact(&mut self, a: &Gauss) -> Result<Gauss, Stop> {
        if a.is_zero() {
            return Err(Stop::Undefined);
        }
        if a.is_real() {
            self.spend(a.length() / 64)?;
            return Ok(a.re.recip().into());
        }
        self.spend_exact(a, a)?;
        let norm = &a.re * &a.re + &a.im * &a.im;
        Ok(Gauss { re: &a.re / &norm, im: -&a.im / norm })
    }

    /// Returns a^n, or `None` if that would be too long.
    pub(super) fn power_exact(&mut self, a: &Gauss, n: u64) -> Result<Option<Gauss>, Stop> {
        let is_unit = a.is_real() && a.re.is_integer() && a.re.numer().bits() <= 1 || a.re.is_zero() && a.length() <= 3;
        if !is_unit && u128::from(a.length().saturating_sub(4).max(1)) * u128::from(n) > u128::from(4 * MAX_BITS) {
            return Ok(None);
        }
        let n = if is_unit { n % 4 + if n >= 4 { 4 } else { 0 } } else { n };
        let mut result = Gauss::integer(1);
        for bit in (0..u64::BITS - n.leading_zeros()).rev() {
            result = self.multiply_exact(&result.clone(), &result)?;
            if n >> bit & 1 == 1 {
                result = self.multiply_exact(&result, a)?;
            }
        }
        Ok((!result.is_long()).then_some(result))
    }
}

/// Returns a + b. Integers need no common divisor, which would take longer than all the rest.
fn sum(a: &BigRational, b: &BigRational) -> BigRational {
    if a.is_integer() && b.is_integer() { BigRational::from_integer(a.numer() + b.numer()) } else { a + b }
}

/// Returns a·b, with the same care.
fn product(a: &BigRational, b: &BigRational) -> BigRational {
    if a.is_integer() && b.is_integer() { BigRational::from_integer(a.numer() * b.numer()) } else { a * b }
}
