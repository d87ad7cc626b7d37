//! The values that options may have. Each options struct declares its bounds once, as [`Bounded`];
//! whoever checks, documents or describes an option reads them there.

use std::fmt;

/// Options whose numbers have bounds.
pub trait Bounded: Sized + 'static {
    /// The options' section of the experiment file.
    const SECTION: &'static str;

    /// The bounds. An option that is not listed may have every value of its type.
    const BOUNDS: &'static [Bound<Self>];

    /// Returns every option that is outside its bounds, in the order of [`BOUNDS`](Self::BOUNDS).
    fn out_of_bounds(&self) -> impl Iterator<Item = OutOfBounds> {
        Self::BOUNDS.iter().filter_map(|bound| {
            let value = (bound.value)(self).filter(|value| !bound.rule.allows(*value))?;
            Some(OutOfBounds { section: Self::SECTION, key: bound.key, value, rule: bound.rule })
        })
    }

    /// Returns the rule for the option `key`; an option that is not listed has none.
    fn rule(key: &str) -> Option<Rule> {
        Self::BOUNDS.iter().find(|bound| bound.key == key).map(|bound| bound.rule)
    }
}

/// The bounds of one option of `T`.
#[derive(Debug)]
pub struct Bound<T> {
    /// The name of the option, which is also that of its field.
    pub key: &'static str,
    /// The values that are allowed.
    pub rule: Rule,
    value: fn(&T) -> Option<Number>,
}

impl<T> Bound<T> {
    /// The bounds of the option `key`, whose value `value` reads; `None` is an option that is not
    /// set.
    pub const fn new(key: &'static str, rule: Rule, value: fn(&T) -> Option<Number>) -> Self {
        Self { key, rule, value }
    }
}

/// The values that an option may have.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// Whole numbers from the first to the second.
    Whole(u64, u64),
    /// Real numbers from the first to the second.
    Real(f64, f64),
    /// A few whole numbers.
    OneOf(&'static [u64]),
}

impl Rule {
    /// Whole numbers of `min` and more.
    pub const fn at_least(min: u64) -> Self {
        Self::Whole(min, u64::MAX)
    }

    /// Real numbers of 0 and more.
    pub const NOT_NEGATIVE: Self = Self::Real(0.0, f64::INFINITY);

    /// Whether an option may have the value.
    pub fn allows(self, value: Number) -> bool {
        match (self, value) {
            (Self::Whole(min, max), Number::Whole(value)) => (min..=max).contains(&value),
            (Self::Real(min, max), Number::Real(value)) => (min..=max).contains(&value),
            (Self::OneOf(allowed), Number::Whole(value)) => allowed.contains(&value),
            (Self::Real(..), Number::Whole(_)) | (Self::Whole(..) | Self::OneOf(_), Number::Real(_)) => false,
        }
    }
}

/// What the rule demands, to follow "it must": `be between 1 and 64`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(min, u64::MAX) => write!(f, "be at least {min}"),
            Self::Whole(min, max) => write!(f, "be between {min} and {max}"),
            Self::Real(0.0, f64::INFINITY) => f.write_str("not be negative"),
            Self::Real(min, f64::INFINITY) => write!(f, "be at least {min}"),
            Self::Real(min, max) => write!(f, "be between {min} and {max}"),
            Self::OneOf(allowed) => {
                f.write_str("be ")?;
                for (at, value) in allowed.iter().enumerate() {
                    let separator = match at {
                        0 => "",
                        _ if at + 1 == allowed.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{separator}{value}")?;
                }
                Ok(())
            }
        }
    }
}

/// The value of an option.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// A whole number.
    Whole(u64),
    /// A real number.
    Real(f64),
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
        }
    }
}

/// An option outside its bounds.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
#[error("`{section}.{key}` is {value}; it must {rule}")]
pub struct OutOfBounds {
    /// The option's section of the experiment file.
    pub section: &'static str,
    /// The option's name.
    pub key: &'static str,
    /// Its value.
    pub value: Number,
    /// The values that it may have.
    pub rule: Rule,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: Rule, text: &str, right: &[Number], wrong: &[Number]) {
        assert_eq!(rule.to_string(), text);
        for value in right {
            assert!(rule.allows(*value), "{rule:?} {value:?}");
        }
        for value in wrong {
            assert!(!rule.allows(*value), "{rule:?} {value:?}");
        }
    }

    #[test]
    fn rules_say_what_they_allow() {
        use Number::{Real, Whole};
        check(Rule::at_least(1), "be at least 1", &[Whole(1), Whole(u64::MAX)], &[Whole(0), Real(2.0)]);
        check(Rule::Whole(0, 64), "be between 0 and 64", &[Whole(0), Whole(64)], &[Whole(65)]);
        check(Rule::NOT_NEGATIVE, "not be negative", &[Real(0.0), Real(9.5)], &[Real(-0.1), Real(f64::NAN)]);
        check(Rule::Real(0.0, 1.0), "be between 0 and 1", &[Real(0.5)], &[Real(1.01), Real(-0.1), Whole(1)]);
        check(Rule::OneOf(&[16, 32, 64]), "be 16, 32 or 64", &[Whole(32)], &[Whole(48), Real(16.0)]);
    }
}
