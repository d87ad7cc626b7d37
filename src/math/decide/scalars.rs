//! Comparisons of two expressions.
//!
//! Equality is decided by exact rational arithmetic wherever both sides are rational functions of
//! their variables and of at most one of π and e: at six random points, or at the one value if
//! there is nothing to vary. Everything else is enclosed by intervals. Intervals that do not meet
//! prove that the values differ. "Equal" is believed when the difference is smaller than 2^−256
//! times the values (2^−256 where they are zero themselves) at every one of six points, with a
//! precision that also covers the smallest summand of either side.

use super::evaluate::{Evaluator, Mode};
use super::point::Point;
use crate::number::{Arithmetic, Budget, MAX_SPREAD, Number, Stop};
use crate::syntax::{Constant, Node};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed;
use std::cmp::Ordering;

/// The points at which expressions with variables have to agree.
const POINTS: usize = 6;

/// The points that are tried to find as many where both sides are defined.
const TRIES: u64 = 30;

/// The fewest points that are enough if no more are found.
const FEWEST: usize = 3;

/// The bits of a first look, and of the values that are believed.
const QUICK_BITS: u64 = 128;
const SURE_BITS: u64 = 512;

/// What two expressions are compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equal,
    /// One is a constant multiple of the other; with the flag, by a positive constant.
    Proportional {
        positive: bool,
    },
}

/// Two values, and the spread of the summands they came from.
struct Pair {
    a: Number,
    b: Number,
    spread: u64,
}

/// What occurs in either of two expressions.
struct Facts {
    has_variables: bool,
    has_i: bool,
    has_pi: bool,
    has_e: bool,
    has_infinity: bool,
}

impl Facts {
    fn of(a: &Node, b: &Node) -> Self {
        let has = |wanted: &dyn Fn(&Node) -> bool| a.any(&mut |node| wanted(node)) || b.any(&mut |node| wanted(node));
        let constant = |own: Constant| move |node: &Node| *node == Node::Constant(own);
        Self {
            has_variables: has(&|node| matches!(node, Node::Variable(_))),
            has_i: has(&constant(Constant::I)),
            has_pi: has(&constant(Constant::Pi)) || has(&|node| matches!(node, Node::Degrees(_))),
            has_e: has(&constant(Constant::E)),
            has_infinity: has(&constant(Constant::Infinity)),
        }
    }
}

/// Decides about scalars until its budget is spent.
pub(crate) struct Decider {
    budget: Budget,
}

impl Decider {
    pub(crate) fn new(steps: u64) -> Self {
        Self { budget: Budget::new(steps) }
    }

    /// Takes steps for work elsewhere; returns whether there were enough.
    pub(crate) fn spend(&mut self, steps: u64) -> bool {
        self.budget.spend(steps).is_ok()
    }

    /// Returns whether the budget is spent.
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.is_empty()
    }

    /// Returns whether two expressions are equal wherever both are defined.
    pub(crate) fn equal(&mut self, a: &Node, b: &Node) -> Result<bool, Stop> {
        self.budget.spend(1)?;
        if a == b { Ok(true) } else { self.decide(a, b, Test::Equal) }
    }

    /// Returns whether one expression is a constant multiple of the other, and neither is zero
    /// everywhere.
    pub(crate) fn proportional(&mut self, a: &Node, b: &Node, positive: bool) -> Result<bool, Stop> {
        self.decide(a, b, Test::Proportional { positive })
    }

    /// Returns the order of two real constants.
    pub(crate) fn order(&mut self, a: &Node, b: &Node) -> Result<Ordering, Stop> {
        let facts = Facts::of(a, b);
        if facts.has_variables || facts.has_infinity {
            return Err(Stop::Undefined);
        }
        for bits in [QUICK_BITS, SURE_BITS, 4 * SURE_BITS] {
            let mut arithmetic = Arithmetic::new(bits, &mut self.budget);
            let mode = Mode::Near { reals_only: false };
            let mut evaluator = Evaluator { arithmetic: &mut arithmetic, point: Point::Rational(0), mode };
            let (a, b) = (evaluator.value(a)?, evaluator.value(b)?);
            if let Some(order) = arithmetic.order(&a, &b)? {
                return Ok(order);
            }
        }
        if self.equal(a, b)? { Ok(Ordering::Equal) } else { Err(Stop::Exhausted) }
    }

    /// Returns whether a number rounds to a decimal with so many places.
    pub(crate) fn rounds_to(&mut self, number: &Node, decimal: &Node, places: u32) -> Result<bool, Stop> {
        let half = BigRational::new(BigInt::from(1), BigInt::from(10).pow(places) * 2);
        for decimal in [
            Node::difference(number.clone(), Node::Sum(vec![decimal.clone(), Node::Number(half.clone(), 0)])),
            Node::difference(Node::difference(decimal.clone(), Node::Number(half, 0)), number.clone()),
        ] {
            if self.order(&decimal, &Node::integer(0))?.is_gt() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn decide(&mut self, a: &Node, b: &Node, test: Test) -> Result<bool, Stop> {
        let facts = Facts::of(a, b);
        if facts.has_infinity {
            return Err(Stop::Undefined);
        }
        let transcendental = match (facts.has_pi, facts.has_e) {
            (true, false) => Some(Constant::Pi),
            (false, true) => Some(Constant::E),
            _ => None,
        };
        if !(facts.has_pi && facts.has_e)
            && let Some(decision) = self.exactly(a, b, test, facts.has_variables, transcendental)?
        {
            return Ok(decision);
        }
        self.nearly(a, b, test, &facts)
    }

    /// Decides by exact arithmetic; `None` if it does not reach.
    fn exactly(
        &mut self,
        a: &Node,
        b: &Node,
        test: Test,
        has_variables: bool,
        transcendental: Option<Constant>,
    ) -> Result<Option<bool>, Stop> {
        let varies = has_variables || transcendental.is_some();
        let wanted = if varies { POINTS } else { 1 };
        let (mut pairs, mut base) = (Vec::new(), None);
        for number in 0..if varies { TRIES } else { 1 } {
            let pair = match self.pair(a, b, Point::Rational(number), Mode::Exact(transcendental), QUICK_BITS) {
                Ok(pair) => pair,
                Err(Stop::Undefined) => continue,
                Err(Stop::Inexact | Stop::Exhausted) if !self.is_spent() => return Ok(None),
                Err(stop) => return Err(stop),
            };
            let (Number::Exact(one), Number::Exact(other)) = (&pair.a, &pair.b) else { return Ok(None) };
            if test == Test::Equal && one != other {
                return Ok(Some(false));
            }
            if base.is_none() && !pair.a.contains_zero() && !pair.b.contains_zero() {
                base = Some((pair.a.clone(), pair.b.clone()));
            }
            pairs.push(pair);
            if pairs.len() == wanted {
                break;
            }
        }
        if pairs.len() < wanted.min(FEWEST) {
            return Ok(None);
        }
        let Some(decided) = self.all_zero(&pairs, test, base.as_ref())? else { return Ok(None) };
        Ok(Some(decided))
    }

    /// Returns whether every pair passes; `None` if a product is too long for exact arithmetic.
    fn all_zero(&mut self, pairs: &[Pair], test: Test, base: Option<&(Number, Number)>) -> Result<Option<bool>, Stop> {
        let mut arithmetic = Arithmetic::new(QUICK_BITS, &mut self.budget);
        if !has_sign(&mut arithmetic, test, base)? {
            return Ok(Some(false));
        }
        for pair in pairs {
            match difference(&mut arithmetic, test, pair, base)? {
                Number::Exact(value) if value.is_zero() => {}
                Number::Exact(_) => return Ok(Some(false)),
                Number::Near(_) => return Ok(None),
            }
        }
        Ok(Some(true))
    }

    fn nearly(&mut self, a: &Node, b: &Node, test: Test, facts: &Facts) -> Result<bool, Stop> {
        if !facts.has_variables {
            return self.nearly_at(a, b, test, false, &[Point::Rational(0)], 1);
        }
        let reals_only = !facts.has_i;
        let rational: Vec<Point> = (0..TRIES).map(Point::Rational).collect();
        match self.nearly_at(a, b, test, reals_only, &rational, FEWEST) {
            Err(Stop::Undefined) => {
                let whole: Vec<Point> = (0..12).map(Point::Whole).collect();
                self.nearly_at(a, b, test, reals_only, &whole, 2 * FEWEST)
            }
            decided => decided,
        }
    }

    /// Decides by intervals at the first few points where both sides are defined. It is an error if
    /// they are so at too few.
    fn nearly_at(
        &mut self,
        a: &Node,
        b: &Node,
        test: Test,
        reals_only: bool,
        points: &[Point],
        fewest: usize,
    ) -> Result<bool, Stop> {
        let mode = Mode::Near { reals_only };
        let (mut found, mut base, mut is_open) = (Vec::new(), None, false);
        for point in points {
            let pair = match self.pair(a, b, *point, mode, QUICK_BITS) {
                Ok(pair) => pair,
                Err(Stop::Exhausted) if !self.is_spent() => {
                    is_open = true;
                    continue;
                }
                Err(Stop::Undefined) => continue,
                Err(stop) => return Err(stop),
            };
            if base.is_none() && !pair.a.contains_zero() && !pair.b.contains_zero() {
                base = Some((*point, (pair.a.clone(), pair.b.clone())));
            }
            let base = base.as_ref().map(|(_, pair)| pair);
            let mut arithmetic = Arithmetic::new(QUICK_BITS, &mut self.budget);
            if test == Test::Equal || base.is_some() {
                let differs = !difference(&mut arithmetic, test, &pair, base)?.contains_zero();
                if differs || !has_sign(&mut arithmetic, test, base)? {
                    return Ok(false);
                }
            }
            found.push(*point);
            if found.len() == POINTS.max(fewest) {
                break;
            }
        }
        if found.len() < fewest {
            // Values that are too large or too close to a pole for a first look are settled here.
            if is_open && points.len() == 1 {
                return self.is_zero_at(a, b, test, points[0], None, mode);
            }
            return Err(if is_open { Stop::Exhausted } else { Stop::Undefined });
        }
        let base = base.map(|(point, _)| point);
        if test != Test::Equal && base.is_none() {
            return Ok(false);
        }
        for point in found {
            if !self.is_zero_at(a, b, test, point, base, mode)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether a pair passes at a precision that is believed.
    fn is_zero_at(
        &mut self,
        a: &Node,
        b: &Node,
        test: Test,
        point: Point,
        base: Option<Point>,
        mode: Mode,
    ) -> Result<bool, Stop> {
        let mut bits = SURE_BITS;
        loop {
            let base = match base {
                Some(base) if test != Test::Equal => {
                    let pair = self.pair(a, b, base, mode, bits)?;
                    Some((pair.a, pair.b))
                }
                _ => None,
            };
            let pair = self.pair(a, b, point, mode, bits)?;
            let mut arithmetic = Arithmetic::new(bits, &mut self.budget);
            let rest = difference(&mut arithmetic, test, &pair, base.as_ref())?;
            if !rest.contains_zero() {
                return Ok(false);
            }
            if pair.spread + QUICK_BITS > bits {
                bits = pair.spread + 2 * QUICK_BITS;
            } else {
                let size = size(&pair, base.as_ref());
                if rest.top().is_none_or(|top| top <= size - bits as i64 / 2) {
                    return Ok(true);
                }
                bits *= 2;
            }
            if bits > MAX_SPREAD {
                return Err(Stop::Exhausted);
            }
        }
    }

    /// Evaluates both sides at a point.
    fn pair(&mut self, a: &Node, b: &Node, point: Point, mode: Mode, bits: u64) -> Result<Pair, Stop> {
        let mut arithmetic = Arithmetic::new(bits, &mut self.budget);
        let mut evaluator = Evaluator { arithmetic: &mut arithmetic, point, mode };
        let (a, b) = (evaluator.value(a)?, evaluator.value(b)?);
        Ok(Pair { a, b, spread: arithmetic.spread() })
    }
}

/// Returns the size, as a power of two, of what is subtracted; 0 if all of it may be zero.
fn size(pair: &Pair, base: Option<&(Number, Number)>) -> i64 {
    if pair.a.contains_zero() && pair.b.contains_zero() {
        return 0;
    }
    let (a, b) = (pair.a.top(), pair.b.top());
    let by = |top: Option<i64>, factor: &Number| Some(top? + factor.top()?);
    let top = match base {
        Some((base_a, base_b)) => by(a, base_b).max(by(b, base_a)),
        None => a.max(b),
    };
    top.unwrap_or(0)
}

/// Returns the number that is zero if the pair passes.
fn difference(
    arithmetic: &mut Arithmetic,
    test: Test,
    pair: &Pair,
    base: Option<&(Number, Number)>,
) -> Result<Number, Stop> {
    match (test, base) {
        (Test::Equal, _) => match (&pair.a, &pair.b) {
            (Number::Exact(a), Number::Exact(b)) => Ok(Number::integer(i64::from(a != b))),
            (a, b) => arithmetic.minus(a, b),
        },
        (Test::Proportional { .. }, Some((a, b))) => {
            let (one, other) = (arithmetic.times(&pair.a, b)?, arithmetic.times(&pair.b, a)?);
            arithmetic.minus(&one, &other)
        }
        // Without a point where neither is zero there is no factor between them.
        (Test::Proportional { .. }, None) => Ok(Number::integer(1)),
    }
}

/// Returns whether the factor between the two sides has the sign that the test wants.
fn has_sign(arithmetic: &mut Arithmetic, test: Test, base: Option<&(Number, Number)>) -> Result<bool, Stop> {
    let (Test::Proportional { positive: true }, Some((a, b))) = (test, base) else { return Ok(true) };
    let product = arithmetic.times(a, b)?;
    if let Some(value) = product.as_rational() {
        return Ok(value.is_positive());
    }
    Ok(product.is_real() && arithmetic.near_real(&product)?.is_positive())
}
