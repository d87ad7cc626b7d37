//! The functions of one argument, real where they can be.

use super::evaluate::{Evaluator, Mode};
use crate::number::{Interval, Number, Stop};
use crate::syntax::Function;
use num_rational::BigRational;

impl Evaluator<'_, '_> {
    pub(super) fn apply(&mut self, function: Function, of: &Number) -> Result<Number, Stop> {
        match function {
            Function::Absolute => {
                self.irrational()?;
                let value = self.arithmetic.absolute_value(of)?;
                self.exact_if_wanted(value)
            }
            Function::Floor => self.floor(of),
            Function::Ceiling => Ok(self.floor(&of.negated())?.negated()),
            _ if matches!(self.mode, Mode::Exact(_)) => Err(Stop::Inexact),
            Function::Exp => {
                let near = self.arithmetic.near(of)?;
                Ok(Number::Near(self.arithmetic.exp_complex(&near)?))
            }
            Function::Ln => {
                let near = self.arithmetic.near(of)?;
                Ok(Number::Near(self.arithmetic.ln_complex(&near)?))
            }
            Function::Cis => {
                let near = self.arithmetic.near_real(of)?;
                let (im, re) = self.arithmetic.sin_cos(&near)?;
                Ok(Number::rectangle(re, im))
            }
            Function::Sin | Function::Cos | Function::Tan | Function::Cot | Function::Sec | Function::Csc => {
                self.trigonometric(function, of)
            }
            Function::Sinh | Function::Cosh | Function::Tanh => self.hyperbolic(function, of),
            Function::Arcsin | Function::Arccos | Function::Arctan => {
                let near = self.arithmetic.near_real(of)?;
                self.inverse_trigonometric(function, &near)
            }
        }
    }

    fn floor(&mut self, of: &Number) -> Result<Number, Stop> {
        self.irrational()?;
        if let Some(value) = of.as_rational() {
            return Ok(value.floor().into());
        }
        let near = self.arithmetic.near_real(of)?;
        Ok(BigRational::from_integer(near.floor().ok_or(Stop::Exhausted)?).into())
    }

    fn trigonometric(&mut self, function: Function, of: &Number) -> Result<Number, Stop> {
        let near = self.arithmetic.near_real(of)?;
        let (sin, cos) = self.arithmetic.sin_cos(&near)?;
        let (top, bottom) = match function {
            Function::Sin => return Ok(sin.into()),
            Function::Cos => return Ok(cos.into()),
            Function::Tan => (sin, cos),
            Function::Cot => (cos, sin),
            Function::Sec => (Interval::one(), cos),
            _ => (Interval::one(), sin),
        };
        let inverse = self.arithmetic.invert(&bottom)?;
        Ok(self.arithmetic.multiply(&top, &inverse)?.into())
    }

    fn hyperbolic(&mut self, function: Function, of: &Number) -> Result<Number, Stop> {
        let near = self.arithmetic.near_real(of)?;
        let (up, down) = (self.arithmetic.exp(&near)?, self.arithmetic.exp(&near.negated())?);
        let (sum, difference) = (self.arithmetic.add(&up, &down)?, self.arithmetic.subtract(&up, &down)?);
        let half = self.arithmetic.rational(&BigRational::new(1.into(), 2.into()))?;
        match function {
            Function::Sinh => Ok(self.arithmetic.multiply(&difference, &half)?.into()),
            Function::Cosh => Ok(self.arithmetic.multiply(&sum, &half)?.into()),
            _ => {
                let inverse = self.arithmetic.invert(&sum)?;
                Ok(self.arithmetic.multiply(&difference, &inverse)?.into())
            }
        }
    }

    fn inverse_trigonometric(&mut self, function: Function, of: &Interval) -> Result<Number, Stop> {
        if function == Function::Arctan {
            return Ok(self.arithmetic.arctangent(of)?.into());
        }
        let pi = self.arithmetic.pi()?;
        let half = self.arithmetic.rational(&BigRational::new(1.into(), 2.into()))?;
        let half_pi = self.arithmetic.multiply(&pi, &half)?;
        // asin x = atan(x / √(1 − x²)); at ±1 it is ±π/2.
        let square = self.arithmetic.power(of, 2)?;
        let rest = self.arithmetic.subtract(&Interval::one(), &square)?;
        let arcsine = if rest.is_zero() {
            if of.is_positive() { half_pi.clone() } else { half_pi.negated() }
        } else {
            let root = self.arithmetic.root(&rest, 2)?;
            let inverse = self.arithmetic.invert(&root)?;
            let slope = self.arithmetic.multiply(of, &inverse)?;
            self.arithmetic.arctangent(&slope)?
        };
        if function == Function::Arcsin {
            return Ok(arcsine.into());
        }
        Ok(self.arithmetic.subtract(&half_pi, &arcsine)?.into())
    }
}
