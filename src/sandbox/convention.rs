//! What reports print beside every score of code, so that scores of two versions are not compared
//! unawares.

/// The version of the rules by which a program is found, run and judged. It changes whenever a
/// verdict on the same output could.
pub const VERSION: u32 = 1;

/// The rules in one sentence, for reports.
pub const CONVENTION: &str = "the last fenced block that defines a function or class, else the longest part that \
    parses; standard library only; every test has to pass, each evaluated outside the program's process on plain \
    values; limits on CPU time";
