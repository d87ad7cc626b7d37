//! The tree of an answer.

use num_rational::BigRational;

/// A named number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
    Infinity,
}

/// A function of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Exp,
    Ln,
    Cis,
    Absolute,
    Floor,
    Ceiling,
}

/// The end of a bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Round,
    Square,
    Angle,
    /// A literal brace: a set.
    Brace,
    /// Nothing: a list without brackets.
    Bare,
}

/// What separates the items of a bare list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    Comma,
    Or,
    And,
}

/// A relation between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Approximately,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
}

/// An expression or a structure of expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A rational number, with the number of decimal places that it was written with.
    Number(BigRational, u32),
    /// A numeral in a base: its value and the base.
    Numeral(BigRational, u32),
    Variable(String),
    Constant(Constant),
    Negative(Box<Node>),
    Sum(Vec<Node>),
    Product(Vec<Node>),
    Inverse(Box<Node>),
    Power(Box<Node>, Box<Node>),
    /// ± or, if the flag is set, ∓ before an expression.
    PlusMinus(Box<Node>, bool),
    Root(u32, Box<Node>),
    Apply(Function, Box<Node>),
    /// The logarithm of the second to the base of the first.
    Logarithm(Box<Node>, Box<Node>),
    /// n! if the step is 1, n!! if it is 2.
    Factorial(Box<Node>, u32),
    Binomial(Box<Node>, Box<Node>),
    /// A number of degrees.
    Degrees(Box<Node>),
    /// Items between two ends: tuples, intervals, sets, lists.
    Bracket(Edge, Vec<Node>, Edge, Joint),
    Union(Vec<Node>),
    Intersection(Vec<Node>),
    /// The first without the second.
    Difference(Box<Node>, Box<Node>),
    Reals,
    Matrix(Vec<Vec<Node>>),
    /// A chain of relations.
    Relation(Box<Node>, Vec<(Order, Node)>),
    /// a : b : …
    Ratio(Vec<Node>),
    /// Ordinary language.
    Words(String),
    /// A number with a unit.
    Measured(Box<Node>, String),
}

impl Node {
    pub(crate) fn integer(value: i64) -> Self {
        Self::Number(BigRational::from_integer(value.into()), 0)
    }

    pub(crate) fn negative(of: Self) -> Self {
        Self::Negative(Box::new(of))
    }

    pub(crate) fn quotient(numerator: Self, denominator: Self) -> Self {
        Self::Product(vec![numerator, Self::Inverse(Box::new(denominator))])
    }

    pub(crate) fn difference(a: Self, b: Self) -> Self {
        Self::Sum(vec![a, Self::negative(b)])
    }

    pub(crate) fn list(items: Vec<Self>, joint: Joint) -> Self {
        Self::Bracket(Edge::Bare, items, Edge::Bare, joint)
    }

    /// Returns whether the tree is a single number, possibly with variables in it.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(
            self,
            Self::Bracket(..)
                | Self::Union(_)
                | Self::Intersection(_)
                | Self::Difference(..)
                | Self::Reals
                | Self::Matrix(_)
                | Self::Relation(..)
                | Self::Ratio(_)
                | Self::Words(_)
                | Self::Measured(..)
        )
    }

    /// Returns the parts of the tree that are right below it.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Number(..)
            | Self::Numeral(..)
            | Self::Variable(_)
            | Self::Constant(_)
            | Self::Reals
            | Self::Words(_) => Vec::new(),
            Self::Negative(of)
            | Self::Inverse(of)
            | Self::PlusMinus(of, _)
            | Self::Root(_, of)
            | Self::Apply(_, of)
            | Self::Factorial(of, _)
            | Self::Degrees(of)
            | Self::Measured(of, _) => vec![of],
            Self::Power(a, b) | Self::Logarithm(a, b) | Self::Binomial(a, b) | Self::Difference(a, b) => vec![a, b],
            Self::Sum(items)
            | Self::Product(items)
            | Self::Bracket(_, items, _, _)
            | Self::Union(items)
            | Self::Intersection(items)
            | Self::Ratio(items) => items.iter().collect(),
            Self::Matrix(rows) => rows.iter().flatten().collect(),
            Self::Relation(first, rest) => std::iter::once(&**first).chain(rest.iter().map(|(_, node)| node)).collect(),
        }
    }

    /// Returns whether this or anything below it has a property.
    pub(crate) fn any(&self, has: &mut impl FnMut(&Self) -> bool) -> bool {
        has(self) || self.children().into_iter().any(|child| child.any(has))
    }

    /// Returns the same tree with each of the parts right below it replaced.
    pub(crate) fn map(self, change: &mut impl FnMut(Self) -> Self) -> Self {
        let mut boxed = |node: Box<Self>| Box::new(change(*node));
        match self {
            Self::Negative(of) => Self::Negative(boxed(of)),
            Self::Inverse(of) => Self::Inverse(boxed(of)),
            Self::PlusMinus(of, flipped) => Self::PlusMinus(boxed(of), flipped),
            Self::Root(degree, of) => Self::Root(degree, boxed(of)),
            Self::Apply(function, of) => Self::Apply(function, boxed(of)),
            Self::Factorial(of, step) => Self::Factorial(boxed(of), step),
            Self::Degrees(of) => Self::Degrees(boxed(of)),
            Self::Measured(of, unit) => Self::Measured(boxed(of), unit),
            Self::Power(a, b) => Self::Power(boxed(a), boxed(b)),
            Self::Logarithm(a, b) => Self::Logarithm(boxed(a), boxed(b)),
            Self::Binomial(a, b) => Self::Binomial(boxed(a), boxed(b)),
            Self::Difference(a, b) => Self::Difference(boxed(a), boxed(b)),
            Self::Sum(items) => Self::Sum(items.into_iter().map(change).collect()),
            Self::Product(items) => Self::Product(items.into_iter().map(change).collect()),
            Self::Bracket(open, items, close, joint) => {
                Self::Bracket(open, items.into_iter().map(change).collect(), close, joint)
            }
            Self::Union(items) => Self::Union(items.into_iter().map(change).collect()),
            Self::Intersection(items) => Self::Intersection(items.into_iter().map(change).collect()),
            Self::Ratio(items) => Self::Ratio(items.into_iter().map(change).collect()),
            Self::Matrix(rows) => {
                Self::Matrix(rows.into_iter().map(|row| row.into_iter().map(&mut *change).collect()).collect())
            }
            Self::Relation(first, rest) => {
                let first = boxed(first);
                Self::Relation(first, rest.into_iter().map(|(order, node)| (order, change(node))).collect())
            }
            leaf => leaf,
        }
    }
}
