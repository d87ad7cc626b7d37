//! Numbers: exact Gaussian rationals as far as they reach, and rectangles of the complex plane with
//! proven bounds beyond that. Knows nothing of expressions.

mod budget;
mod dyadic;
mod interval;

mod elementary;

mod complex;
mod exact;

mod value;

pub(crate) use budget::{Budget, Stop};
pub(crate) use exact::Gauss;
pub(crate) use interval::{Arithmetic, Interval, MAX_SPREAD};
pub(crate) use value::Number;
