//! Rectangles of the complex plane: an interval for each of the two parts.

use super::budget::Stop;
use super::interval::{Arithmetic, Interval};

/// A complex number known to lie in a rectangle. A real number has zero itself as imaginary part.
#[derive(Clone, Debug)]
pub(crate) struct Complex {
    pub(crate) re: Interval,
    pub(crate) im: Interval,
}

impl From<Interval> for Complex {
    fn from(re: Interval) -> Self {
        Self { re, im: Interval::zero() }
    }
}

impl Complex {
    pub(crate) fn is_real(&self) -> bool {
        self.im.is_zero()
    }

    pub(crate) fn contains_zero(&self) -> bool {
        self.re.contains_zero() && self.im.contains_zero()
    }

    pub(crate) fn negated(&self) -> Self {
        Self { re: self.re.negated(), im: self.im.negated() }
    }

    /// Returns the t with |z| < 2^(t+1) for every z in the rectangle; `None` for zero itself.
    pub(crate) fn top(&self) -> Option<i64> {
        self.re.top().max(self.im.top())
    }
}

impl Arithmetic<'_> {
    pub(crate) fn add_complex(&mut self, a: &Complex, b: &Complex) -> Result<Complex, Stop> {
        Ok(Complex { re: self.add(&a.re, &b.re)?, im: self.add(&a.im, &b.im)? })
    }

    pub(crate) fn multiply_complex(&mut self, a: &Complex, b: &Complex) -> Result<Complex, Stop> {
        if a.is_real() && b.is_real() {
            return Ok(self.multiply(&a.re, &b.re)?.into());
        }
        let (re_re, im_im) = (self.multiply(&a.re, &b.re)?, self.multiply(&a.im, &b.im)?);
        let (re_im, im_re) = (self.multiply(&a.re, &b.im)?, self.multiply(&a.im, &b.re)?);
        Ok(Complex { re: self.subtract(&re_re, &im_im)?, im: self.add(&re_im, &im_re)? })
    }

    pub(crate) fn invert_complex(&mut self, a: &Complex) -> Result<Complex, Stop> {
        if a.is_real() {
            return Ok(self.invert(&a.re)?.into());
        }
        let norm = self.norm(a)?;
        let inverse = self.invert(&norm)?;
        Ok(Complex { re: self.multiply(&a.re, &inverse)?, im: self.multiply(&a.im.negated(), &inverse)? })
    }

    pub(crate) fn power_complex(&mut self, a: &Complex, n: u64) -> Result<Complex, Stop> {
        if a.is_real() {
            return Ok(self.power(&a.re, n)?.into());
        }
        let mut result = Complex::from(Interval::one());
        for bit in (0..u64::BITS - n.leading_zeros()).rev() {
            result = self.multiply_complex(&result.clone(), &result)?;
            if n >> bit & 1 == 1 {
                result = self.multiply_complex(&result, a)?;
            }
        }
        Ok(result)
    }

    /// Returns |z|².
    fn norm(&mut self, a: &Complex) -> Result<Interval, Stop> {
        let (re, im) = (self.power(&a.re, 2)?, self.power(&a.im, 2)?);
        self.add(&re, &im)
    }

    pub(crate) fn absolute(&mut self, a: &Complex) -> Result<Interval, Stop> {
        if a.is_real() {
            return Ok(a.re.magnitude());
        }
        let norm = self.norm(a)?;
        self.root(&norm, 2)
    }

    pub(crate) fn exp_complex(&mut self, a: &Complex) -> Result<Complex, Stop> {
        let size = self.exp(&a.re)?;
        if a.is_real() {
            return Ok(size.into());
        }
        let (sin, cos) = self.sin_cos(&a.im)?;
        Ok(Complex { re: self.multiply(&size, &cos)?, im: self.multiply(&size, &sin)? })
    }

    /// Returns the principal logarithm. A rectangle across the cut leaves the question open.
    pub(crate) fn ln_complex(&mut self, a: &Complex) -> Result<Complex, Stop> {
        if a.is_real() && a.re.is_positive() {
            return Ok(self.ln(&a.re)?.into());
        }
        if a.re.is_zero() && a.im.is_zero() {
            return Err(Stop::Undefined);
        }
        let size = self.absolute(a)?;
        Ok(Complex { re: self.ln(&size)?, im: self.argument(a)? })
    }

    /// Returns the angle in (−π, π] of a number that is not a positive real one.
    fn argument(&mut self, a: &Complex) -> Result<Interval, Stop> {
        let pi = self.pi()?;
        if a.is_real() {
            return if a.re.is_negative() { Ok(pi) } else { Err(Stop::Exhausted) };
        }
        let half = self.rational(&num_rational::BigRational::new(1.into(), 2.into()))?;
        let half_pi = self.multiply(&pi, &half)?;
        if a.re.is_positive() {
            let inverse = self.invert(&a.re)?;
            let slope = self.multiply(&a.im, &inverse)?;
            return self.arctangent(&slope);
        }
        // Off the real axis: ±π/2 − atan(re / im).
        if a.im.contains_zero() {
            return Err(Stop::Exhausted);
        }
        let inverse = self.invert(&a.im)?;
        let slope = self.multiply(&a.re, &inverse)?;
        let angle = self.arctangent(&slope)?;
        let right = if a.im.is_positive() { half_pi } else { half_pi.negated() };
        self.subtract(&right, &angle)
    }
}
