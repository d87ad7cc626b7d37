//! From tokens to expressions: the tree of an answer and the recursive-descent parser that builds
//! it. Knows nothing of values.

mod node;

mod parser;

mod atoms;
mod brackets;
mod functions;
mod names;
mod phrases;
mod terms;

mod expand;

pub(crate) use expand::expanded;
pub(crate) use node::{Constant, Edge, Function, Joint, Node, Order};
pub(crate) use parser::{Fault, parse};
