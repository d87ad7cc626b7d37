//! What was tried for an agent and lost: one line per candidate, a bounded number of them.

use crate::prompt::clip;
use std::collections::VecDeque;

/// The most lines that a proposal shows.
pub const MAX_TRIED: usize = 8;

/// The longest sentence of change, in bytes.
pub const MAX_CHANGE_BYTES: usize = 300;

/// A candidate that lost against its parent.
#[derive(Clone, PartialEq, Debug)]
pub struct Tried {
    /// The optimizer model's own sentence on what it changed.
    pub change: String,
    /// The reward R(c, p), below ½.
    pub reward: f64,
}

impl Tried {
    /// The line that a proposal shows.
    pub fn line(&self) -> String {
        format!("{:.2}: {}", self.reward, self.change)
    }
}

/// The latest candidates of one agent that lost, oldest first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Attempts(VecDeque<Tried>);

impl Attempts {
    /// Adds a candidate if it lost and says what it changed; the oldest is dropped if there are too
    /// many.
    pub fn add(&mut self, change: Option<&str>, reward: f64) {
        let Some(change) = change.filter(|_| reward < 0.5) else { return };
        self.0.retain(|other| other.change != change);
        self.0.push_back(Tried { change: change.to_string(), reward });
        if self.0.len() > MAX_TRIED {
            self.0.pop_front();
        }
    }

    /// The candidates, oldest first.
    pub fn list(&self) -> Vec<Tried> {
        self.0.iter().cloned().collect()
    }
}

/// Returns the first line of a sentence of change, at most [`MAX_CHANGE_BYTES`] of it; `None` if it
/// has no words.
pub(super) fn sentence(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    line.contains(char::is_alphanumeric).then(|| clip(line, MAX_CHANGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_losses_with_a_sentence_are_kept_and_not_too_many() {
        let mut attempts = Attempts::default();
        attempts.add(Some("won"), 0.6);
        attempts.add(Some("tied"), 0.5);
        attempts.add(None, 0.1);
        assert!(attempts.list().is_empty());
        for number in 0..MAX_TRIED + 2 {
            attempts.add(Some(&format!("change {number}")), 0.25);
        }
        attempts.add(Some("change 5"), 0.125);
        let lines: Vec<String> = attempts.list().iter().map(Tried::line).collect();
        assert_eq!(lines.len(), MAX_TRIED);
        assert_eq!((lines[0].as_str(), lines[MAX_TRIED - 1].as_str()), ("0.25: change 2", "0.12: change 5"));
    }
}
