//! The exact judge: a deterministic order of two outputs of one role for one session. It knows the
//! rule of the world, as does the model that is trained on it; the search never sees a label.

use crate::agents::Output;
use crate::clauses::Role;
use crate::world::Session;
use std::cmp::Ordering;

/// Returns the quality of an output for its role. More evidence is better. A brief report looks
/// tidy: its style is worth [`BRIEF_BONUS`] half items, which is the trap.
pub(crate) fn quality(role: Role, session: &Session, output: &Output) -> i64 {
    match output {
        Output::Facts { facts, brief } => list_quality(role, facts.len(), *brief),
        // The label that a fact points to is not what an extractor is asked for.
        Output::Findings { .. } if role == Role::Extract => 0,
        Output::Findings { findings, brief } => list_quality(role, findings.len(), *brief),
        Output::Verdict { tally, alert, label } => {
            let counted: usize = tally.map_or(0, |tally| tally.iter().sum());
            let right = if *label == session.truth() { 1000 } else { 0 };
            right + 2 * i64::try_from(counted).expect("few findings") + if alert.is_some() { 4 } else { 0 }
        }
    }
}

/// The worth of brevity, in half items.
pub(crate) const BRIEF_BONUS: i64 = 7;

fn list_quality(role: Role, items: usize, brief: bool) -> i64 {
    let bonus = if role.is_specialist() { -1 } else { BRIEF_BONUS };
    2 * i64::try_from(items).expect("few items") + if brief { bonus } else { 0 }
}

/// Compares `new` with `old`: 1 better, ½ equal, 0 worse.
pub(crate) fn compare(role: Role, session: &Session, new: &Output, old: &Output) -> f64 {
    match quality(role, session, new).cmp(&quality(role, session, old)) {
        Ordering::Greater => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Less => 0.0,
    }
}
