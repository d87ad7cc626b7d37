//! Elementary functions of intervals: π, exp, ln, sine, cosine and arctangent.
//!
//! Each is computed in fixed point with guard bits and widened by a bound on everything that was
//! rounded: a series of n terms loses at most two units of the last place per term, and what
//! follows it multiplies that as said where it happens. The guard of 96 bits is larger than every
//! such bound, which [`SLACK`] rounds up to 2^60 units.

use super::budget::Stop;
use super::dyadic::Dyadic;
use super::interval::{Arithmetic, Interval};
use num_bigint::BigInt;
use num_traits::{One, Signed, Zero};

/// Bits of fixed-point numbers beyond the precision.
const GUARD: u64 = 96;

/// The logarithm to base 2 of the error that a fixed-point result is widened by, in units of its
/// last place.
const SLACK: u64 = 60;

/// The largest argument, as a power of two: reductions multiply constants by at most this.
const MAX_ARGUMENT: i64 = 40;

impl Arithmetic<'_> {
    /// Pays for a series of `bits` bits with one product a term.
    fn spend_series(&mut self, bits: u64) -> Result<(), Stop> {
        let words = bits / 64 + 1;
        self.budget.spend((bits / 4 + 16) * (words * words + 8))
    }

    /// Returns the interval around a fixed-point result.
    fn widen(&self, value: &BigInt, bits: u64) -> Result<Interval, Stop> {
        let slack = BigInt::one() << SLACK;
        let end = |mantissa| Dyadic::new(mantissa, -(bits as i64));
        self.close(end(value - &slack), end(value + slack))
    }

    /// Returns an interval around π.
    pub(crate) fn pi(&mut self) -> Result<Interval, Stop> {
        let bits = self.bits + GUARD;
        let pi = self.fixed_pi(bits)?;
        self.widen(&pi, bits)
    }

    /// Returns π·2^bits by Machin's formula, wrong by less than 2^10 units.
    fn fixed_pi(&mut self, bits: u64) -> Result<BigInt, Stop> {
        if let Some((_, pi)) = self.pi.iter().find(|(known, _)| *known == bits) {
            return Ok(pi.clone());
        }
        self.spend_series(bits)?;
        let pi: BigInt = (arctangent_of_inverse(5, bits) * 4 - arctangent_of_inverse(239, bits)) * 4;
        self.pi.push((bits, pi.clone()));
        Ok(pi)
    }

    /// Returns ln 2 · 2^bits as 2·artanh(1/3), wrong by less than 2^12 units.
    fn fixed_ln2(&mut self, bits: u64) -> Result<BigInt, Stop> {
        if let Some((_, ln2)) = self.ln2.iter().find(|(known, _)| *known == bits) {
            return Ok(ln2.clone());
        }
        self.spend_series(bits)?;
        let third: BigInt = (BigInt::one() << bits) / 3;
        let ln2: BigInt = artanh(&third, bits) * 2;
        self.ln2.push((bits, ln2.clone()));
        Ok(ln2)
    }

    pub(crate) fn exp(&mut self, x: &Interval) -> Result<Interval, Stop> {
        if x.is_zero() {
            return Ok(Interval::one());
        }
        let (low, high) = (self.exp_at(&x.low)?, self.exp_at(&x.high)?);
        self.close(low.low, high.high)
    }

    fn exp_at(&mut self, x: &Dyadic) -> Result<Interval, Stop> {
        if x.top() > MAX_ARGUMENT - 1 {
            return Err(Stop::Exhausted);
        }
        let bits = self.bits + GUARD;
        self.spend_series(bits)?;
        let ln2 = self.fixed_ln2(bits)?;
        let x = x.fixed(bits as i64);
        // x = k·ln 2 + r with |k| ≤ 2^40: the error of r is at most 2^53 units.
        let k = super::dyadic::floor(&x, &ln2);
        let r: BigInt = (x - &k * ln2) >> 6;
        // exp(r / 64) by its series, then six squarings, each of which at most quadruples what
        // was rounded. The error of r shrinks with r and grows back: exp(r) ≤ 2 and exp' = exp.
        let one = BigInt::one() << bits;
        let (mut term, mut sum) = (one.clone(), one);
        for n in 1u32.. {
            term = ((term * &r) >> bits) / n;
            if term.is_zero() {
                break;
            }
            sum += &term;
        }
        for _ in 0..6 {
            sum = (&sum * &sum) >> bits;
        }
        let k: i64 = (&k).try_into().map_err(|_| Stop::Exhausted)?;
        let near = self.widen(&sum, bits)?;
        self.close(near.low.scaled(k), near.high.scaled(k))
    }

    /// Returns the natural logarithm of an interval of positive numbers.
    pub(crate) fn ln(&mut self, x: &Interval) -> Result<Interval, Stop> {
        if !x.is_positive() {
            return Err(if x.high.is_positive() { Stop::Exhausted } else { Stop::Undefined });
        }
        let (low, high) = (self.ln_at(&x.low)?, self.ln_at(&x.high)?);
        self.close(low.low, high.high)
    }

    fn ln_at(&mut self, x: &Dyadic) -> Result<Interval, Stop> {
        if x.order(&Dyadic::one()).is_eq() {
            return Ok(Interval::zero());
        }
        let bits = self.bits + GUARD;
        self.spend_series(bits)?;
        // x = m·2^k with m in [2/3, 4/3), |k| ≤ 2^40.
        let mut k = x.top();
        let mut m = x.scaled(-k).fixed(bits as i64);
        let one = BigInt::one() << bits;
        if &m * 3 < &one * 2 {
            (m, k) = (m * 2, k - 1);
        }
        let ratio: BigInt = ((&m - &one) << bits) / (m + one);
        let ln = artanh(&ratio, bits) * 2 + self.fixed_ln2(bits)? * k;
        self.widen(&ln, bits)
    }

    /// Returns the sine and the cosine.
    pub(crate) fn sin_cos(&mut self, x: &Interval) -> Result<(Interval, Interval), Stop> {
        if x.is_zero() {
            return Ok((Interval::zero(), Interval::one()));
        }
        let (sin_low, cos_low) = self.sin_cos_at(&x.low)?;
        let width = x.high.sum(&x.low.negated());
        // Neither function changes by more than its argument does.
        let spread = Interval { low: width.negated(), high: width };
        let around = |near: Interval, arithmetic: &Self| {
            arithmetic.close(near.low.sum(&spread.low), near.high.sum(&spread.high))
        };
        Ok((around(sin_low, self)?, around(cos_low, self)?))
    }

    fn sin_cos_at(&mut self, x: &Dyadic) -> Result<(Interval, Interval), Stop> {
        if x.top() > MAX_ARGUMENT {
            return Err(Stop::Exhausted);
        }
        let bits = self.bits + GUARD + small(x)?;
        self.spend_series(bits)?;
        let half_pi = self.fixed_pi(bits)? >> 1;
        let x = x.fixed(bits as i64);
        // x = q·π/2 + r with |q| ≤ 2^40: the error of r is at most 2^51 units.
        let q = super::dyadic::floor(&(&x + (&half_pi >> 1)), &half_pi);
        let r = x - &q * half_pi;
        let square: BigInt = (&r * &r) >> bits;
        let series = |first: BigInt, offset: u32| {
            let (mut term, mut sum, mut n) = (first.clone(), first, 2 + offset);
            while !term.is_zero() {
                term = -((term * &square) >> bits) / (n * (n - 1));
                sum += &term;
                n += 2;
            }
            sum
        };
        let (sin, cos) = (series(r.clone(), 1), series(BigInt::one() << bits, 0));
        let quarter: BigInt = ((q % 4) + 4) % 4;
        let (sin, cos) = match quarter.try_into().unwrap_or(0u8) {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        };
        Ok((self.widen(&sin, bits)?, self.widen(&cos, bits)?))
    }

    pub(crate) fn arctangent(&mut self, x: &Interval) -> Result<Interval, Stop> {
        if x.is_zero() {
            return Ok(Interval::zero());
        }
        let (low, high) = (self.arctangent_at(&x.low)?, self.arctangent_at(&x.high)?);
        self.close(low.low, high.high)
    }

    fn arctangent_at(&mut self, x: &Dyadic) -> Result<Interval, Stop> {
        if x.is_zero() {
            return Ok(Interval::zero());
        }
        let bits = self.bits + GUARD + small(x)?;
        self.spend_series(bits)?;
        let one = BigInt::one() << bits;
        // atan x = π/2 − atan(1/x) for x > 1.
        let size = if x.is_negative() { x.negated() } else { x.clone() };
        let turned = size.top() > 0;
        let mut t = if turned {
            Dyadic::one().quotient(&size, bits, super::dyadic::Towards::Below).fixed(bits as i64)
        } else {
            size.fixed(bits as i64)
        };
        // atan t = 2·atan(t / (1 + √(1 + t²))), three times: the error grows eightfold.
        for _ in 0..3 {
            let root = ((&one << bits) + &t * &t).sqrt();
            t = (t << bits) / (&one + root);
        }
        let square: BigInt = (&t * &t) >> bits;
        let (mut power, mut sum) = (t.clone(), t);
        for n in 1u32.. {
            power = -((power * &square) >> bits);
            if power.magnitude() <= BigInt::one().magnitude() {
                break;
            }
            sum += &power / (2 * n + 1);
        }
        let mut angle: BigInt = sum << 3;
        if turned {
            angle = (self.fixed_pi(bits)? >> 1) - angle;
        }
        self.widen(&if x.is_negative() { -angle } else { angle }, bits)
    }
}

/// Returns the further bits that a small argument needs for its relative precision.
fn small(x: &Dyadic) -> Result<u64, Stop> {
    let extra = if x.is_zero() { 0 } else { (-x.top()).max(0) as u64 };
    if extra > 8192 { Err(Stop::Exhausted) } else { Ok(extra) }
}

/// Returns atan(1/n)·2^bits, wrong by less than two units a term.
fn arctangent_of_inverse(n: u32, bits: u64) -> BigInt {
    let mut power: BigInt = (BigInt::one() << bits) / n;
    let mut sum = power.clone();
    for k in 1u32.. {
        power = -power / (n * n);
        if power.is_zero() {
            break;
        }
        sum += &power / (2 * k + 1);
    }
    sum
}

/// Returns artanh(t)·2^bits for |t| ≤ 1/3, wrong by less than two units a term.
fn artanh(t: &BigInt, bits: u64) -> BigInt {
    let square: BigInt = (t * t) >> bits;
    let (mut power, mut sum) = (t.clone(), t.clone());
    for n in 1u32.. {
        power = (power * &square) >> bits;
        if power.abs() <= BigInt::one() {
            break;
        }
        sum += &power / (2 * n + 1);
    }
    sum
}
