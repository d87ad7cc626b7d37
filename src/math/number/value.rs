//! Numbers as an evaluation meets them: exact as long as they are rational and short, rectangles of
//! the plane after that.

use super::budget::Stop;
use super::complex::Complex;
use super::exact::Gauss;
use super::interval::{Arithmetic, Interval, rational_root};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::cmp::Ordering;

/// The largest degree of a root that is computed as one; others are powers.
const MAX_DEGREE: u32 = 16;

/// A complex number.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    /// The number itself.
    Exact(Gauss),
    /// A rectangle that contains the number.
    Near(Complex),
}

impl From<BigRational> for Number {
    fn from(value: BigRational) -> Self {
        Self::Exact(value.into())
    }
}

impl From<Interval> for Number {
    fn from(value: Interval) -> Self {
        Self::Near(value.into())
    }
}

impl Number {
    pub(crate) fn integer(value: i64) -> Self {
        Self::Exact(Gauss::integer(value))
    }

    pub(crate) fn rectangle(re: Interval, im: Interval) -> Self {
        Self::Near(Complex { re, im })
    }

    /// Returns the value if it is known to be this rational number.
    pub(crate) fn as_rational(&self) -> Option<&BigRational> {
        match self {
            Self::Exact(value) if value.is_real() => Some(&value.re),
            _ => None,
        }
    }

    /// Returns the value if it is known to be this whole number.
    pub(crate) fn as_integer(&self) -> Option<&BigInt> {
        self.as_rational().filter(|value| value.is_integer()).map(BigRational::numer)
    }

    pub(crate) fn is_real(&self) -> bool {
        match self {
            Self::Exact(value) => value.is_real(),
            Self::Near(value) => value.is_real(),
        }
    }

    /// Returns whether the value may be zero, as far as is known.
    pub(crate) fn contains_zero(&self) -> bool {
        match self {
            Self::Exact(value) => value.is_zero(),
            Self::Near(value) => value.contains_zero(),
        }
    }

    pub(crate) fn negated(&self) -> Self {
        match self {
            Self::Exact(value) => Self::Exact(value.negated()),
            Self::Near(value) => Self::Near(value.negated()),
        }
    }

    /// Returns the t with |z| < 2^(t+1); `None` for zero itself.
    pub(crate) fn top(&self) -> Option<i64> {
        let rational = |value: &BigRational| {
            (!value.is_zero()).then(|| value.numer().bits() as i64 - value.denom().bits() as i64 + 1)
        };
        match self {
            Self::Exact(value) => rational(&value.re).max(rational(&value.im)),
            Self::Near(value) => value.top(),
        }
    }
}

impl Arithmetic<'_> {
    /// Returns the rectangle around a number.
    pub(crate) fn near(&mut self, a: &Number) -> Result<Complex, Stop> {
        match a {
            Number::Near(value) => Ok(value.clone()),
            Number::Exact(value) if value.is_real() => Ok(self.rational(&value.re)?.into()),
            Number::Exact(value) => Ok(Complex { re: self.rational(&value.re)?, im: self.rational(&value.im)? }),
        }
    }

    /// Returns the interval around a real number.
    pub(crate) fn near_real(&mut self, a: &Number) -> Result<Interval, Stop> {
        let near = self.near(a)?;
        if near.is_real() { Ok(near.re) } else { Err(Stop::Undefined) }
    }

    /// Keeps an exact result if it is short.
    fn settle(&mut self, value: Gauss) -> Result<Number, Stop> {
        if value.is_long() {
            return Ok(Number::Near(self.near(&Number::Exact(value))?));
        }
        Ok(Number::Exact(value))
    }

    pub(crate) fn plus(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        if let (Number::Exact(a), Number::Exact(b)) = (a, b) {
            let sum = self.add_exact(a, b)?;
            return self.settle(sum);
        }
        let (a, b) = (self.near(a)?, self.near(b)?);
        Ok(Number::Near(self.add_complex(&a, &b)?))
    }

    pub(crate) fn minus(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        self.plus(a, &b.negated())
    }

    pub(crate) fn times(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        match (a, b) {
            (Number::Exact(a), Number::Exact(b)) => {
                let product = self.multiply_exact(a, b)?;
                self.settle(product)
            }
            (Number::Exact(zero), _) | (_, Number::Exact(zero)) if zero.is_zero() => Ok(Number::integer(0)),
            _ => {
                let (a, b) = (self.near(a)?, self.near(b)?);
                Ok(Number::Near(self.multiply_complex(&a, &b)?))
            }
        }
    }

    pub(crate) fn inverse(&mut self, a: &Number) -> Result<Number, Stop> {
        match a {
            Number::Exact(a) => Ok(Number::Exact(self.invert_exact(a)?)),
            Number::Near(a) => Ok(Number::Near(self.invert_complex(a)?)),
        }
    }

    pub(crate) fn absolute_value(&mut self, a: &Number) -> Result<Number, Stop> {
        if let Some(value) = a.as_rational() {
            return Ok(value.abs().into());
        }
        if let Number::Exact(value) = a {
            let norm = &value.re * &value.re + &value.im * &value.im;
            return self.root_of(&norm.into(), 2);
        }
        let near = self.near(a)?;
        Ok(self.absolute(&near)?.into())
    }

    /// Returns base^exponent: for whole exponents by multiplication, for fractions with an odd
    /// denominator by the real root, else the principal value.
    pub(crate) fn raise(&mut self, base: &Number, exponent: &Number) -> Result<Number, Stop> {
        if let Some(n) = exponent.as_integer() {
            return self.raise_to_integer(base, n);
        }
        if let Some(exponent) = exponent.as_rational()
            && let Some(degree) = exponent.denom().to_u32().filter(|degree| *degree <= MAX_DEGREE)
        {
            let root = self.root_of(base, degree)?;
            return self.raise_to_integer(&root, exponent.numer());
        }
        if matches!(base, Number::Exact(zero) if zero.is_zero()) {
            let exponent = self.near_real(exponent)?;
            return if exponent.is_positive() { Ok(Number::integer(0)) } else { Err(Stop::Undefined) };
        }
        let (base, exponent) = (self.near(base)?, self.near(exponent)?);
        let ln = self.ln_complex(&base)?;
        let product = self.multiply_complex(&ln, &exponent)?;
        Ok(Number::Near(self.exp_complex(&product)?))
    }

    fn raise_to_integer(&mut self, base: &Number, exponent: &BigInt) -> Result<Number, Stop> {
        let size = exponent.magnitude();
        let is_unit = base.as_integer().is_some_and(|base| base.magnitude().bits() <= 1);
        let n = match size.to_u64() {
            Some(n) => n,
            None if is_unit => 2 + u64::from(size.bit(0)),
            None => return Err(Stop::Exhausted),
        };
        let power = match base {
            Number::Exact(value) => match self.power_exact(value, n)? {
                Some(power) => Number::Exact(power),
                None => {
                    let near = self.near(base)?;
                    Number::Near(self.power_complex(&near, n)?)
                }
            },
            Number::Near(value) => Number::Near(self.power_complex(value, n)?),
        };
        if exponent.is_negative() { self.inverse(&power) } else { Ok(power) }
    }

    /// Returns the root of a degree: the real one where there is one, else the principal one.
    pub(crate) fn root_of(&mut self, a: &Number, degree: u32) -> Result<Number, Stop> {
        if degree == 0 {
            return Err(Stop::Undefined);
        }
        if degree == 1 {
            return Ok(a.clone());
        }
        if let Some(value) = a.as_rational() {
            let words = (value.numer().bits() + value.denom().bits()) / 64 + 1;
            self.spend(16 * words * words)?;
            if let Some(root) = rational_root(&value.abs(), degree) {
                return match (value.is_negative(), degree) {
                    (false, _) => Ok(root.into()),
                    (true, 2) => Ok(Number::Exact(Gauss { re: BigRational::zero(), im: root })),
                    (true, _) if degree % 2 == 1 => Ok((-root).into()),
                    (true, _) => self.principal_root(a, degree),
                };
            }
        }
        let near = self.near(a)?;
        if near.is_real() && degree <= MAX_DEGREE {
            if near.re.is_negative() && degree % 2 == 1 {
                return Ok(self.root(&near.re.negated(), degree)?.negated().into());
            }
            if near.re.is_negative() && degree == 2 {
                let im = self.root(&near.re.negated(), 2)?;
                return Ok(Number::Near(Complex { re: Interval::zero(), im }));
            }
            if !near.re.is_negative() {
                return Ok(self.root(&near.re, degree)?.into());
            }
        }
        self.principal_root(a, degree)
    }

    fn principal_root(&mut self, a: &Number, degree: u32) -> Result<Number, Stop> {
        let near = self.near(a)?;
        let exponent = self.rational(&BigRational::new(BigInt::one(), degree.into()))?;
        let ln = self.ln_complex(&near)?;
        let product = self.multiply_complex(&ln, &exponent.into())?;
        Ok(Number::Near(self.exp_complex(&product)?))
    }

    /// Returns the order of two real numbers if the precision settles it. Equal numbers are only
    /// known to be equal if both are exact.
    pub(crate) fn order(&mut self, a: &Number, b: &Number) -> Result<Option<Ordering>, Stop> {
        if let (Some(a), Some(b)) = (a.as_rational(), b.as_rational()) {
            return Ok(Some(a.cmp(b)));
        }
        let (a, b) = (self.near_real(a)?, self.near_real(b)?);
        Ok(a.order(&b))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Budget;
    use super::*;

    /// Evaluates with a precision of 200 bits and compares with a decimal of up to 40 digits.
    fn check(digits: &str, value: impl FnOnce(&mut Arithmetic) -> Result<Number, Stop>) {
        let mut budget = Budget::new(10_000_000);
        let mut arithmetic = Arithmetic::new(200, &mut budget);
        let value = value(&mut arithmetic).unwrap();
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let scale = BigInt::from(10).pow(part.len() as u32);
        let wanted = BigRational::new(format!("{whole}{part}").parse().unwrap(), scale.clone());
        let unit = BigRational::new(BigInt::one(), scale);
        let (low, high) = ((&wanted - &unit).into(), (&wanted + &unit).into());
        assert_eq!(arithmetic.order(&low, &value), Ok(Some(Ordering::Less)), "{digits}");
        assert_eq!(arithmetic.order(&value, &high), Ok(Some(Ordering::Less)), "{digits}");
        let width = arithmetic.near_real(&value).unwrap();
        let width = arithmetic.subtract(&width, &width).unwrap();
        assert!(width.is_zero() || width.top().unwrap() < value.top().unwrap() - 150, "{digits} is wide");
    }

    fn real(arithmetic: &mut Arithmetic, n: i64, d: i64) -> Interval {
        arithmetic.rational(&BigRational::new(n.into(), d.into())).unwrap()
    }

    #[test]
    fn elementary_functions_have_their_known_digits() {
        check("3.14159265358979323846264338327950288419", |a| Ok(a.pi()?.into()));
        check("2.71828182845904523536028747135266249775", |a| Ok(a.exp(&Interval::one())?.into()));
        check("0.00004539992976248485153559151556055061", |a| {
            let x = real(a, -10, 1);
            Ok(a.exp(&x)?.into())
        });
        check("0.69314718055994530941723212145817656807", |a| {
            let x = real(a, 2, 1);
            Ok(a.ln(&x)?.into())
        });
        check("-1.09861228866810969139524523692252570464", |a| {
            let x = real(a, 1, 3);
            Ok(a.ln(&x)?.into())
        });
        check("0.84147098480789650665250232163029899962", |a| Ok(a.sin_cos(&Interval::one())?.0.into()));
        check("0.86231887228768393410193851395084253551", |a| {
            let x = real(a, 100, 1);
            Ok(a.sin_cos(&x)?.1.into())
        });
        check("-0.8390715290764524522588639478240648345", |a| {
            let x = real(a, -10, 1);
            Ok(a.sin_cos(&x)?.1.into())
        });
        check("0.78539816339744830961566084581987572104", |a| Ok(a.arctangent(&Interval::one())?.into()));
        check("-1.47112767430373459185287557176173085185", |a| {
            let x = real(a, -10, 1);
            Ok(a.arctangent(&x)?.into())
        });
    }

    #[test]
    fn powers_and_roots_are_exact_where_they_are_rational() {
        let mut budget = Budget::new(10_000_000);
        let mut arithmetic = Arithmetic::new(100, &mut budget);
        let ratio = |n: i64, d: i64| Number::from(BigRational::new(n.into(), d.into()));
        let mut raised = |base: &Number, exponent: &Number| match arithmetic.raise(base, exponent).unwrap() {
            Number::Exact(value) => format!("{} + {}i", value.re, value.im),
            Number::Near(_) => "near".to_string(),
        };
        assert_eq!(raised(&ratio(8, 27), &ratio(-2, 3)), "9/4 + 0i");
        assert_eq!(raised(&ratio(-8, 1), &ratio(1, 3)), "-2 + 0i");
        assert_eq!(raised(&ratio(-4, 1), &ratio(1, 2)), "0 + 2i");
        assert_eq!(raised(&Number::Exact(Gauss::i()), &ratio(1_000_003, 1)), "0 + -1i");
        assert_eq!(raised(&ratio(-1, 1), &ratio(1_000_003, 1)), "-1 + 0i");
        assert_eq!(raised(&ratio(2, 1), &ratio(1, 2)), "near");
        assert_eq!(raised(&ratio(9, 1), &ratio(387_420_489, 1)), "near");
    }
}
