//! `maspo-math` decides whether two mathematical answers, as language models and data sets write
//! them, are equal.
//!
//! ```
//! use maspo_math::{Options, answer, equivalent};
//!
//! let output = "Half of one is $\\boxed{\\tfrac12}$.";
//! let found = answer(output).unwrap();
//! assert!(equivalent("0.5", found, &Options::default()));
//! assert!(!equivalent("[0, 1)", "(0, 1]", &Options::default()));
//! ```
//!
//! A comparison is symmetric, unless the gold answer's printed digits may be rounded to, and the
//! same on every machine: what is drawn at random depends on the answers only, and work is bounded
//! by steps, not by time. It is **not transitive**: `5\text{ cm}` and `5\text{ m}` differ, and `5`
//! equals both. [`group`] says what that means for a majority vote.
//!
//! The crate knows nothing of data sets, prompts and models.

#![forbid(unsafe_code)]

mod number;
mod text;

mod syntax;

mod decide;

mod compare;

mod extract;

mod answer;

mod options;

pub use answer::{Answer, Unreadable, Verdict, equivalent, group};
pub use extract::answer;
pub use options::{CONVENTION, Options, VERSION};
