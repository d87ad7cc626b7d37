//! The exact optimizer: writes the parent with one edit. It is deliberately little informed: a
//! third of its edits help, a quarter is the trap, the rest is neutral or harmful. Cases that show
//! a truncated output make the trap rarer.

use crate::clauses::{Clause, Prompt};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// The probability that an edit is the trap, without and with cases that warn of it.
pub(crate) const TRAP: [f64; 2] = [0.25, 0.10];
/// The probability that an edit adds a clause that helps.
pub(crate) const USEFUL: f64 = 0.33;
/// The probability that an edit drops any clause.
pub(crate) const DROP: f64 = 0.14;

/// Draws one candidate. `warned` says that the misalignment cases show a truncated output.
pub(crate) fn propose(parent: &Prompt, warned: bool, rng: &mut ChaCha8Rng) -> Prompt {
    let draw: f64 = rng.random();
    let trap = TRAP[usize::from(warned)];
    let missing = |clauses: &[Clause]| clauses.iter().copied().filter(|c| !parent.has(*c)).collect::<Vec<_>>();
    let mut next = parent.clone();
    let mut add = |clause: Clause, rng: &mut ChaCha8Rng| {
        next.clauses.insert(0, (clause, rng.random_range(0..3)));
        next.clone()
    };
    let useful = missing(&Clause::useful(parent.role));
    let traps = missing(&if parent.role.is_specialist() { vec![] } else { vec![Clause::trap(parent.role)] });
    let fillers = missing(&Clause::FILLERS);
    if draw < USEFUL
        && let Some(clause) = useful.choose(rng)
    {
        return add(*clause, rng);
    }
    if (USEFUL..USEFUL + trap).contains(&draw)
        && let Some(clause) = traps.choose(rng)
    {
        return add(*clause, rng);
    }
    let at = rng.random_range(0..parent.clauses.len());
    if (USEFUL + trap..USEFUL + trap + DROP).contains(&draw) && parent.clauses.len() > 1 {
        next.clauses.remove(at);
        return next;
    }
    if rng.random_bool(0.5)
        && let Some(clause) = fillers.choose(rng)
    {
        return add(*clause, rng);
    }
    next.clauses[at].1 = (next.clauses[at].1 + rng.random_range(1..3)) % 3;
    next
}
