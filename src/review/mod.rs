//! The review of a finished run: what the change of every agent is worth, cases for and against it,
//! decisions, and the prompt bundle that they make. Where decisions come from (a person at a
//! terminal, a file) is not known here.

mod change;
mod conclude;
mod decisions;
mod session;

pub use change::{CaseView, Change};
pub use conclude::{Conclusion, conclude};
pub use decisions::{AgentDecision, Choice, Decisions, DecisionsError, edited, read_decisions};
pub use session::{Session, SessionError};
