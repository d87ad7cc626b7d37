//! Dyadic numbers m·2^e, the ends of intervals, with directed rounding.

use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, Zero};
use std::cmp::Ordering;

/// The direction in which a result is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Towards {
    /// Towards minus infinity.
    Below,
    /// Towards plus infinity.
    Above,
}

/// The number `mantissa · 2^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Dyadic {
    mantissa: BigInt,
    exponent: i64,
}

impl Dyadic {
    pub(super) fn new(mantissa: BigInt, exponent: i64) -> Self {
        let exponent = if mantissa.is_zero() { 0 } else { exponent };
        Self { mantissa, exponent }
    }

    pub(super) fn zero() -> Self {
        Self::new(BigInt::zero(), 0)
    }

    pub(super) fn one() -> Self {
        Self::new(BigInt::one(), 0)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.mantissa.is_zero()
    }

    pub(super) fn is_negative(&self) -> bool {
        self.mantissa.is_negative()
    }

    pub(super) fn is_positive(&self) -> bool {
        self.mantissa.is_positive()
    }

    /// Returns the t with 2^(t−1) ≤ |x| < 2^t; for zero it is 0.
    pub(super) fn top(&self) -> i64 {
        self.exponent + self.mantissa.bits() as i64
    }

    /// Returns the number with at most `bits` bits of mantissa.
    pub(super) fn rounded(self, bits: u64, towards: Towards) -> Self {
        let excess = self.mantissa.bits().saturating_sub(bits);
        if excess == 0 {
            return self;
        }
        let mantissa = match towards {
            Towards::Below => self.mantissa >> excess,
            Towards::Above => -(-self.mantissa >> excess),
        };
        Self::new(mantissa, self.exponent + excess as i64)
    }

    pub(super) fn negated(&self) -> Self {
        Self::new(-&self.mantissa, self.exponent)
    }

    /// Returns the exact sum. The caller bounds the distance of the exponents.
    pub(super) fn sum(&self, other: &Self) -> Self {
        if self.is_zero() {
            return other.clone();
        }
        if other.is_zero() {
            return self.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        Self::new(self.shifted(exponent) + other.shifted(exponent), exponent)
    }

    /// Returns the mantissa of the same number with a lower exponent.
    fn shifted(&self, exponent: i64) -> BigInt {
        &self.mantissa << (self.exponent - exponent) as u64
    }

    /// Returns the exact product.
    pub(super) fn product(&self, other: &Self) -> Self {
        Self::new(&self.mantissa * &other.mantissa, self.exponent.saturating_add(other.exponent))
    }

    /// Returns `self · 2^by`.
    pub(super) fn scaled(&self, by: i64) -> Self {
        Self::new(self.mantissa.clone(), self.exponent.saturating_add(by))
    }

    /// Returns the quotient by a number that is not zero, with at least `bits` correct bits.
    pub(super) fn quotient(&self, other: &Self, bits: u64, towards: Towards) -> Self {
        let shift = (bits + other.mantissa.bits() + 1).saturating_sub(self.mantissa.bits());
        let numerator = &self.mantissa << shift;
        let quotient = match towards {
            Towards::Below => floor(&numerator, &other.mantissa),
            Towards::Above => -floor(&-numerator, &other.mantissa),
        };
        Self::new(quotient, self.exponent - other.exponent - shift as i64)
    }

    /// Returns the `degree`-th root of a number that is not negative, with at least `bits` correct
    /// bits.
    pub(super) fn root(&self, degree: u32, bits: u64, towards: Towards) -> Self {
        if self.is_zero() {
            return Self::zero();
        }
        let wanted = (bits + 2) * u64::from(degree);
        let mut shift = wanted.saturating_sub(self.mantissa.bits()) as i64;
        shift += (self.exponent - shift).rem_euclid(i64::from(degree));
        let radicand = &self.mantissa << shift as u64;
        let mut root = if degree == 2 { radicand.sqrt() } else { radicand.nth_root(degree) };
        if towards == Towards::Above && root.pow(degree) != radicand {
            root += 1;
        }
        Self::new(root, (self.exponent - shift) / i64::from(degree))
    }

    /// Returns ⌊self · 2^bits⌋.
    pub(super) fn fixed(&self, bits: i64) -> BigInt {
        let shift = self.exponent.saturating_add(bits);
        if shift >= 0 { &self.mantissa << shift as u64 } else { &self.mantissa >> shift.unsigned_abs() }
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match number.mantissa.sign() {
            Sign::Minus => -1,
            Sign::NoSign => 0,
            Sign::Plus => 1,
        };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign.is_ne() || self.is_zero() {
            return by_sign;
        }
        let by_size = self.top().cmp(&other.top());
        if by_size.is_ne() {
            return if self.is_negative() { by_size.reverse() } else { by_size };
        }
        let exponent = self.exponent.min(other.exponent);
        self.shifted(exponent).cmp(&other.shifted(exponent))
    }
}

/// Returns ⌊numerator / denominator⌋ for a denominator of either sign that is not zero.
pub(super) fn floor(numerator: &BigInt, denominator: &BigInt) -> BigInt {
    let quotient = numerator / denominator;
    let remainder = numerator - &quotient * denominator;
    if !remainder.is_zero() && remainder.is_negative() != denominator.is_negative() { quotient - 1 } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dyadic(mantissa: i64, exponent: i64) -> Dyadic {
        Dyadic::new(BigInt::from(mantissa), exponent)
    }

    #[test]
    fn rounding_keeps_to_its_direction() {
        for (mantissa, below, above) in [(13, 12, 14), (-13, -14, -12), (12, 12, 12)] {
            assert!(dyadic(mantissa, 0).rounded(3, Towards::Below).order(&dyadic(below, 0)).is_eq());
            assert!(dyadic(mantissa, 0).rounded(3, Towards::Above).order(&dyadic(above, 0)).is_eq());
        }
    }

    #[test]
    fn quotients_and_roots_enclose() {
        for (a, b) in [(1, 3), (-1, 3), (1, -3), (-7, -2)] {
            let low = dyadic(a, 0).quotient(&dyadic(b, 0), 40, Towards::Below);
            let high = dyadic(a, 0).quotient(&dyadic(b, 0), 40, Towards::Above);
            assert!(low.order(&high).is_le());
            let (low, high) = (low.product(&dyadic(b, 0)), high.product(&dyadic(b, 0)));
            let (low, high) = if b > 0 { (low, high) } else { (high, low) };
            assert!(low.order(&dyadic(a, 0)).is_le() && high.order(&dyadic(a, 0)).is_ge());
        }
        for (x, degree) in [(2, 2), (9, 2), (5, 3), (8, 3), (7, 7)] {
            let low = dyadic(x, -4).root(degree, 40, Towards::Below);
            let high = dyadic(x, -4).root(degree, 40, Towards::Above);
            let power = |y: &Dyadic| (1..degree).fold(y.clone(), |product, _| product.product(y));
            assert!(power(&low).order(&dyadic(x, -4)).is_le() && power(&high).order(&dyadic(x, -4)).is_ge());
        }
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        let sorted = [dyadic(-3, 4), dyadic(-47, 0), dyadic(-1, -9), dyadic(0, 0), dyadic(1, -9), dyadic(3, 0)];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(a.order(b), i.cmp(&j));
            }
        }
        assert!(dyadic(4, 0).order(&dyadic(1, 2)).is_eq());
    }
}
