//! Interval arithmetic: every result encloses the true value, whatever is rounded on the way.

use super::budget::{Budget, Stop};
use super::dyadic::{Dyadic, Towards};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use std::cmp::Ordering;

/// The largest |t| of a number 2^t.
const MAX_TOP: i64 = 1 << 40;

/// The largest distance, in bits, of two summands.
pub(crate) const MAX_SPREAD: u64 = 4096;

/// A closed interval of real numbers.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    pub(super) low: Dyadic,
    pub(super) high: Dyadic,
}

impl Interval {
    pub(super) fn exactly(value: Dyadic) -> Self {
        Self { low: value.clone(), high: value }
    }

    pub(crate) fn zero() -> Self {
        Self::exactly(Dyadic::zero())
    }

    pub(crate) fn one() -> Self {
        Self::exactly(Dyadic::one())
    }

    /// Returns whether the interval is the number zero itself.
    pub(crate) fn is_zero(&self) -> bool {
        self.low.is_zero() && self.high.is_zero()
    }

    pub(crate) fn contains_zero(&self) -> bool {
        !self.low.is_positive() && !self.high.is_negative()
    }

    pub(crate) fn is_positive(&self) -> bool {
        self.low.is_positive()
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.high.is_negative()
    }

    pub(crate) fn negated(&self) -> Self {
        Self { low: self.high.negated(), high: self.low.negated() }
    }

    /// Returns the interval of absolute values.
    pub(crate) fn magnitude(&self) -> Self {
        if self.low.is_negative() && self.high.is_positive() {
            let turned = self.low.negated();
            let high = if turned.order(&self.high).is_gt() { turned } else { self.high.clone() };
            return Self { low: Dyadic::zero(), high };
        }
        if self.low.is_negative() { self.negated() } else { self.clone() }
    }

    /// Returns the order of two intervals that have no point in common.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        if self.high.order(&other.low).is_lt() {
            return Some(Ordering::Less);
        }
        self.low.order(&other.high).is_gt().then_some(Ordering::Greater)
    }

    /// Returns the t with |x| < 2^t for every x in the interval; `None` for zero itself.
    pub(crate) fn top(&self) -> Option<i64> {
        let ends = [&self.low, &self.high];
        ends.into_iter().filter(|end| !end.is_zero()).map(Dyadic::top).max()
    }

    /// Returns the whole number that is the floor of every point, if there is one.
    pub(crate) fn floor(&self) -> Option<BigInt> {
        if self.top().is_some_and(|top| top > 4096) {
            return None;
        }
        let (low, high) = (self.low.fixed(0), self.high.fixed(0));
        (low == high).then_some(low)
    }
}

/// The precision of interval arithmetic and the account of its work.
pub(crate) struct Arithmetic<'a> {
    /// The bits that mantissas are rounded to.
    pub(super) bits: u64,
    /// The largest distance, in bits, of two summands so far: what the smaller one adds is lost
    /// unless `bits` is larger.
    spread: u64,
    pub(super) budget: &'a mut Budget,
    /// Values of π and ln 2 in fixed point, by their bits.
    pub(super) pi: Vec<(u64, BigInt)>,
    pub(super) ln2: Vec<(u64, BigInt)>,
}

impl<'a> Arithmetic<'a> {
    pub(crate) fn new(bits: u64, budget: &'a mut Budget) -> Self {
        Self { bits, spread: 0, budget, pi: Vec::new(), ln2: Vec::new() }
    }

    pub(crate) fn spread(&self) -> u64 {
        self.spread
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Stop> {
        self.budget.spend(steps)
    }

    /// Pays for products of numbers with as many bits as the precision has.
    fn spend_products(&mut self, count: u64) -> Result<(), Stop> {
        let words = self.bits / 64 + 1;
        self.budget.spend(count * (words * words + 4))
    }

    /// Rounds the ends outward.
    pub(super) fn close(&self, low: Dyadic, high: Dyadic) -> Result<Interval, Stop> {
        if low.top().abs().max(high.top().abs()) > MAX_TOP {
            return Err(Stop::Exhausted);
        }
        Ok(Interval { low: low.rounded(self.bits, Towards::Below), high: high.rounded(self.bits, Towards::Above) })
    }

    /// Returns an interval around a rational number.
    pub(crate) fn rational(&mut self, value: &BigRational) -> Result<Interval, Stop> {
        let (numerator, denominator) = (value.numer(), value.denom());
        self.spend((numerator.bits() + denominator.bits() + self.bits) / 8)?;
        let (numerator, denominator) = (Dyadic::new(numerator.clone(), 0), Dyadic::new(denominator.clone(), 0));
        let end = |towards| numerator.quotient(&denominator, self.bits, towards);
        if value.is_integer() {
            return self.close(numerator.clone(), numerator);
        }
        self.close(end(Towards::Below), end(Towards::Above))
    }

    pub(crate) fn add(&mut self, a: &Interval, b: &Interval) -> Result<Interval, Stop> {
        self.spend_products(1)?;
        if !a.contains_zero() && !b.contains_zero() {
            let distance = a.top().unwrap_or(0).abs_diff(b.top().unwrap_or(0));
            self.spread = self.spread.max(distance);
        }
        // An interval around zero may have ends of very different sizes.
        for (x, y) in [(&a.low, &b.low), (&a.high, &b.high)] {
            if !x.is_zero() && !y.is_zero() && x.top().abs_diff(y.top()) > 4 * MAX_SPREAD {
                return Err(Stop::Exhausted);
            }
        }
        self.close(a.low.sum(&b.low), a.high.sum(&b.high))
    }

    pub(crate) fn subtract(&mut self, a: &Interval, b: &Interval) -> Result<Interval, Stop> {
        self.add(a, &b.negated())
    }

    pub(crate) fn multiply(&mut self, a: &Interval, b: &Interval) -> Result<Interval, Stop> {
        self.spend_products(4)?;
        if !a.low.is_negative() && !b.low.is_negative() {
            return self.close(a.low.product(&b.low), a.high.product(&b.high));
        }
        let products = [a.low.product(&b.low), a.low.product(&b.high), a.high.product(&b.low), a.high.product(&b.high)];
        let pick = |wanted: Ordering| {
            let better = |best: Dyadic, next: &Dyadic| if next.order(&best) == wanted { next.clone() } else { best };
            products[1..].iter().fold(products[0].clone(), better)
        };
        self.close(pick(Ordering::Less), pick(Ordering::Greater))
    }

    /// Returns 1 / a. Zero itself has no inverse; an interval around zero leaves the question open.
    pub(crate) fn invert(&mut self, a: &Interval) -> Result<Interval, Stop> {
        self.spend_products(4)?;
        if a.is_zero() {
            return Err(Stop::Undefined);
        }
        if a.contains_zero() {
            return Err(Stop::Exhausted);
        }
        let one = Dyadic::one();
        let (low, high) =
            (one.quotient(&a.high, self.bits, Towards::Below), one.quotient(&a.low, self.bits, Towards::Above));
        self.close(low, high)
    }

    /// Returns a^n by repeated squaring.
    pub(crate) fn power(&mut self, a: &Interval, n: u64) -> Result<Interval, Stop> {
        // The magnitude of an even power keeps an interval around zero from growing below zero.
        let base = if n.is_multiple_of(2) { a.magnitude() } else { a.clone() };
        let mut result = Interval::one();
        for bit in (0..u64::BITS - n.leading_zeros()).rev() {
            result = self.multiply(&result, &result)?;
            if n >> bit & 1 == 1 {
                result = self.multiply(&result, &base)?;
            }
        }
        Ok(result)
    }

    /// Returns the `degree`-th root of an interval without negative numbers.
    pub(crate) fn root(&mut self, a: &Interval, degree: u32) -> Result<Interval, Stop> {
        self.spend_products(8 * u64::from(degree) * u64::from(degree))?;
        if a.low.is_negative() {
            // The true value is known to be no less than zero only if the interval reaches there.
            return Err(if a.high.is_negative() { Stop::Undefined } else { Stop::Exhausted });
        }
        let low = a.low.root(degree, self.bits, Towards::Below);
        let high = a.high.root(degree, self.bits, Towards::Above);
        self.close(low, high)
    }
}

/// Returns whether a rational number is too long for exact arithmetic.
pub(super) fn is_long(value: &BigRational, bits: u64) -> bool {
    value.numer().bits() > bits || value.denom().bits() > bits
}

/// Returns the bits of numerator and denominator together.
pub(super) fn length(value: &BigRational) -> u64 {
    value.numer().bits() + value.denom().bits()
}

/// Returns the exact `degree`-th root of a rational number that is not negative, if it is rational.
pub(super) fn rational_root(value: &BigRational, degree: u32) -> Option<BigRational> {
    let root = |n: &BigInt| {
        let root = if n.is_zero() { BigInt::zero() } else { n.nth_root(degree) };
        (root.pow(degree) == *n).then_some(root)
    };
    if value.is_negative() {
        return None;
    }
    Some(BigRational::new(root(value.numer())?, root(value.denom())?))
}
