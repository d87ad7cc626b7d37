//! The version of the scorer, its convention in words, and what a user can choose.

/// The version of the comparison. It grows when a verdict about any pair of answers changes.
pub const VERSION: u32 = 2;

/// What counts as equal, in a paragraph for reports.
pub const CONVENTION: &str = "math: the answer is the last balanced \\boxed{} (or \\fbox{}), else the last \
<answer>…</answer>, else what follows the last \"answer is\" or \"answer:\", else the last $…$, else an output of one \
short line that is no sentence. Values are compared exactly: rationals as fractions, expressions with variables at \
random points, \
irrational numbers by intervals with an error below 2^-256. Bare lists and {} are unordered, () and [] ordered; ends \
of intervals count; a percent sign is dropped (50% = 50, not 0.5); units, degrees and a variable's name count only \
where both answers have them; a numeral with a base equals only one of the same base; log without a base is the common \
one. 0.333 is not 1/3 and 3.14 is not pi, unless rounding to the gold answer's printed digits is on.";

/// What a user can choose about a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Accepts numbers that round to the gold answer's printed decimal places: π for a gold answer
    /// of `3.14`, but not the other way round. Off by default.
    pub round_to_gold: bool,
}
