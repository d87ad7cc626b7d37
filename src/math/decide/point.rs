//! The points at which expressions with variables are evaluated. They depend on the variables'
//! names and the point's number only, so that every comparison is the same on every machine.

use num_bigint::BigInt;
use num_rational::BigRational;

/// What variables stand for at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Rational numbers of several sizes and both signs.
    Rational(u64),
    /// Whole numbers from 1 to 12, for expressions such as (−1)^n that are real nowhere else.
    Whole(u64),
}

impl Point {
    /// Returns the value of a variable.
    pub(super) fn value(self, name: &str) -> BigRational {
        let draw = |number: u64, round: u64| mix(hash(name) ^ mix(number.wrapping_mul(0x9e37_79b9) ^ round << 48));
        match self {
            Self::Whole(number) => BigRational::from_integer(BigInt::from(1 + (draw(number, 1) + number) % 12)),
            Self::Rational(number) => {
                let denominator = 1009 + 2 * (draw(number, 2) % 500);
                // Ranges where roots, logarithms and inverse sines are real, and others.
                let (low, width) = match (draw(number, 3) + number) % 6 {
                    0 | 1 => (0, 1),
                    2 => (1, 3),
                    3 => (-1, 1),
                    4 => (4, 30),
                    _ => (-8, 7),
                };
                let offset = 1 + draw(number, 4) % (denominator * width - 1);
                let denominator = BigInt::from(denominator);
                BigRational::new(BigInt::from(low) * &denominator + offset, denominator)
            }
        }
    }

    /// Returns a rational number in the place of a transcendental one.
    pub(super) fn stand_in(self) -> BigRational {
        let (Self::Rational(number) | Self::Whole(number)) = self;
        let draw = mix(number.wrapping_mul(0x2545_f491) ^ 0x7f4a);
        BigRational::new(BigInt::from(2_000_003 + draw % 3_000_000), BigInt::from(1_000_003))
    }
}

/// Returns the FNV-1a hash of a name.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Scrambles the bits of a number (the finalizer of SplitMix64).
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn points_differ_by_variable_and_number() {
        let values: BTreeSet<BigRational> =
            ["x", "y", "z"].iter().flat_map(|name| (0..24).map(|number| Point::Rational(number).value(name))).collect();
        assert_eq!(values.len(), 72);
        let whole: BTreeSet<BigRational> = (0..24).map(|number| Point::Whole(number).value("n")).collect();
        assert!(whole.len() > 6);
    }
}
