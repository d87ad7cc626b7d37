//! Judges model-written Python programs by their tests, without trusting them.
//!
//! A program runs in a process of its own that can read nothing but the interpreter, write nothing
//! but an empty scratch folder, start nothing and reach no network. Its tests run in a second
//! process, where stand-ins for the program's functions call the first one over a typed pipe. So a
//! verdict depends on the plain values that the program returns, and on nothing else that it does.
//! `docs/sandbox.md` says what is guaranteed and what is not.
//!
//! ```no_run
//! use maspo_sandbox::{Limits, Outcome, Program, Sandbox, SandboxOptions};
//!
//! let sandbox = Sandbox::probe(&SandboxOptions::default())?;
//! let tests = ["assert double(2) == 4".to_string()];
//! let program = Program { output: "def double(x): return 2 * x", tests: &tests, imports: &[], entry_point: None };
//! let verdict = sandbox.judge(&program, &Limits::default())?;
//! assert_eq!(verdict.outcome, Outcome::Correct);
//! # Ok::<(), maspo_sandbox::SandboxError>(())
//! ```

pub mod convention;
mod error;
mod hint;
mod interpreter;
mod message;
mod options;
mod program;
mod sandbox;
mod supervise;
mod system;

pub use error::SandboxError;
pub use hint::name_hint;
pub use options::{Limits, SandboxOptions};
pub use program::{Outcome, Program, Verdict};
pub use sandbox::Sandbox;
