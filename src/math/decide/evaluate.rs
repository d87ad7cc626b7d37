//! The value of an expression at a point.

use super::point::Point;
use crate::number::{Arithmetic, Gauss, Number, Stop};
use crate::syntax::{Constant, Function, Node};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

/// The largest argument of a factorial and the largest lower number of a binomial.
const MAX_FACTORIAL: u64 = 20_000;

/// How irrational numbers are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Only rational operations are allowed. The constant, if there is one, is transcendental and
    /// the only one in either expression: a rational function of it is known by its values at
    /// rational points, as one of a variable is.
    Exact(Option<Constant>),
    /// Irrational numbers are enclosed by intervals. With the flag, a result off the real line is
    /// undefined.
    Near { reals_only: bool },
}

pub(super) struct Evaluator<'a, 'b> {
    pub(super) arithmetic: &'a mut Arithmetic<'b>,
    pub(super) point: Point,
    pub(super) mode: Mode,
}

impl Evaluator<'_, '_> {
    pub(super) fn value(&mut self, node: &Node) -> Result<Number, Stop> {
        self.arithmetic.spend(4)?;
        let value = self.unchecked(node)?;
        if self.mode == (Mode::Near { reals_only: true }) && !value.is_real() {
            return Err(Stop::Undefined);
        }
        Ok(value)
    }

    fn unchecked(&mut self, node: &Node) -> Result<Number, Stop> {
        match node {
            Node::Number(value, _) => Ok(value.clone().into()),
            Node::Numeral(value, _) => Ok(value.clone().into()),
            Node::Variable(name) => Ok(self.point.value(name).into()),
            Node::Constant(constant) => self.constant(*constant),
            Node::Negative(of) => Ok(self.value(of)?.negated()),
            Node::Sum(terms) => {
                let mut sum: Option<Number> = None;
                for term in terms {
                    let term = self.value(term)?;
                    sum = Some(match sum {
                        Some(sum) => self.arithmetic.plus(&sum, &term)?,
                        None => term,
                    });
                }
                Ok(sum.unwrap_or_else(|| Number::integer(0)))
            }
            Node::Product(factors) => {
                let mut product: Option<Number> = None;
                for factor in factors {
                    let factor = self.value(factor)?;
                    product = Some(match product {
                        Some(product) => self.arithmetic.times(&product, &factor)?,
                        None => factor,
                    });
                }
                Ok(product.unwrap_or_else(|| Number::integer(1)))
            }
            Node::Inverse(of) => {
                let of = self.value(of)?;
                self.arithmetic.inverse(&of)
            }
            Node::Power(base, exponent) => self.power(base, exponent),
            Node::Root(degree, of) => {
                let of = self.value(of)?;
                self.irrational()?;
                let root = self.arithmetic.root_of(&of, *degree)?;
                self.exact_if_wanted(root)
            }
            Node::Apply(function, of) => {
                let of = self.value(of)?;
                self.apply(*function, &of)
            }
            Node::Logarithm(base, of) => {
                let (base, of) = (self.value(base)?, self.value(of)?);
                let (base, of) = (self.apply(Function::Ln, &base)?, self.apply(Function::Ln, &of)?);
                let inverse = self.arithmetic.inverse(&base)?;
                self.arithmetic.times(&of, &inverse)
            }
            Node::Factorial(of, step) => {
                let of = self.value(of)?;
                self.factorial(&of, u64::from(*step))
            }
            Node::Binomial(top, bottom) => {
                let (top, bottom) = (self.value(top)?, self.value(bottom)?);
                self.binomial(&top, &bottom)
            }
            Node::Degrees(of) => {
                let of = self.value(of)?;
                let pi = self.constant(Constant::Pi)?;
                let radians = self.arithmetic.times(&of, &pi)?;
                self.arithmetic.times(&radians, &BigRational::new(1.into(), 180.into()).into())
            }
            _ => Err(Stop::Undefined),
        }
    }

    fn constant(&mut self, constant: Constant) -> Result<Number, Stop> {
        match (constant, self.mode) {
            (Constant::I, _) => Ok(Number::Exact(Gauss::i())),
            (Constant::Infinity, _) => Err(Stop::Undefined),
            (own, Mode::Exact(Some(known))) if own == known => Ok(self.point.stand_in().into()),
            (_, Mode::Exact(_)) => Err(Stop::Inexact),
            (Constant::Pi, _) => Ok(self.arithmetic.pi()?.into()),
            (Constant::E, _) => self.apply(Function::Exp, &Number::integer(1)),
        }
    }

    /// Fails where irrational results are not wanted. Of a number that stands in for another, not
    /// even the square root of a square may be taken.
    pub(super) fn irrational(&self) -> Result<(), Stop> {
        match self.mode {
            Mode::Exact(Some(_)) => Err(Stop::Inexact),
            Mode::Exact(None) | Mode::Near { .. } => Ok(()),
        }
    }

    fn power(&mut self, base: &Node, exponent: &Node) -> Result<Number, Stop> {
        let exponent = self.value(exponent)?;
        if let (Node::Constant(Constant::E), Mode::Near { .. }, false) =
            (base, self.mode, exponent.as_integer().is_some_and(|n| n.bits() < 8))
        {
            return self.apply(Function::Exp, &exponent);
        }
        let base = self.value(base)?;
        if exponent.as_integer().is_none() {
            self.irrational()?;
        }
        let power = self.arithmetic.raise(&base, &exponent)?;
        self.exact_if_wanted(power)
    }

    /// Refuses a rectangle in exact evaluation.
    pub(super) fn exact_if_wanted(&self, value: Number) -> Result<Number, Stop> {
        match (self.mode, &value) {
            (Mode::Exact(_), Number::Near(_)) => Err(Stop::Inexact),
            _ => Ok(value),
        }
    }

    fn factorial(&mut self, of: &Number, step: u64) -> Result<Number, Stop> {
        let n = whole(of)?;
        let mut product = Number::integer(1);
        let mut factor = n;
        while factor > 1 {
            product = self.arithmetic.times(&product, &Number::integer(factor as i64))?;
            factor = factor.saturating_sub(step);
        }
        self.exact_if_wanted(product)
    }

    /// Returns n·(n−1)·…·(n−k+1) / k! for any n and a whole k.
    fn binomial(&mut self, top: &Number, bottom: &Number) -> Result<Number, Stop> {
        let mut k = whole(bottom)?;
        if let Some(n) = top.as_integer().filter(|n| !n.is_negative()).and_then(ToPrimitive::to_u64) {
            if k > n {
                return Ok(Number::integer(0));
            }
            k = k.min(n - k);
        }
        let mut product = Number::integer(1);
        for j in 0..k {
            let factor = self.arithmetic.minus(top, &Number::integer(j as i64))?;
            product = self.arithmetic.times(&product, &factor)?;
            let divisor = BigRational::new(1.into(), BigInt::from(j + 1));
            product = self.arithmetic.times(&product, &divisor.into())?;
        }
        self.exact_if_wanted(product)
    }
}

/// Returns the whole number that a factorial is taken of.
fn whole(of: &Number) -> Result<u64, Stop> {
    match of.as_integer() {
        Some(n) if n.is_negative() => Err(Stop::Undefined),
        Some(n) if n.is_zero() => Ok(0),
        Some(n) => n.to_u64().filter(|n| *n <= MAX_FACTORIAL).ok_or(Stop::Exhausted),
        None => Err(Stop::Undefined),
    }
}
