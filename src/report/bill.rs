//! The bill: the costs per model role, as a table.

use crate::chat::{Ledger, LedgerLine, ModelRole};
use serde::{Deserialize, Serialize};

/// The costs of each role in the process that wrote the report. The bill of a resumed run covers
/// only its last process.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Bill {
    /// Running the agents.
    pub worker: LedgerLine,
    /// Writing candidates.
    pub optimizer: LedgerLine,
    /// Comparing answers.
    pub judge: LedgerLine,
}

impl Bill {
    /// Reads the bill so far from a ledger.
    pub fn of(ledger: &Ledger) -> Self {
        let [worker, optimizer, judge] = ModelRole::ALL.map(|role| ledger.line(role));
        Self { worker, optimizer, judge }
    }

    /// Returns the sum over all roles. Seconds overlap, so they are not added up.
    fn total(&self) -> LedgerLine {
        let mut total = LedgerLine::default();
        for line in [self.worker, self.optimizer, self.judge] {
            total.calls += line.calls;
            total.computed += line.computed;
            total.cached += line.cached;
            total.shared += line.shared;
            total.failed += line.failed;
            total.prefilled_tokens += line.prefilled_tokens;
            total.reused_tokens += line.reused_tokens;
            total.decoded_tokens += line.decoded_tokens;
        }
        total
    }

    /// Returns the table, and a sentence about the cache if it answered any call.
    pub(super) fn text(&self, seconds: f64) -> String {
        let titles = ["calls", "computed", "cached", "shared", "failed", "prefilled", "reused", "decoded", "seconds"];
        let mut text = row("Bill", titles.map(String::from));
        let roles = [("  worker", self.worker), ("  optimizer", self.optimizer), ("  judge", self.judge)];
        for (name, line) in roles {
            text += &row(name, cells(&line, line.seconds));
        }
        let total = self.total();
        text += &row("  total", cells(&total, seconds));
        let (cached, calls) = (thousands(total.cached), thousands(total.calls));
        match total.cached {
            0 => {}
            all if all == total.calls => {
                text += &format!("  all {calls} calls were served from the cache in run.sqlite\n")
            }
            _ => text += &format!("  {cached} of {calls} calls were served from the cache in run.sqlite\n"),
        }
        text
    }
}

fn cells(line: &LedgerLine, seconds: f64) -> [String; 9] {
    let counts = [line.calls, line.computed, line.cached, line.shared, line.failed];
    let tokens = [line.prefilled_tokens, line.reused_tokens, line.decoded_tokens];
    let mut cells = counts.into_iter().chain(tokens).map(thousands);
    std::array::from_fn(|_| cells.next().unwrap_or_else(|| format!("{seconds:.1}")))
}

fn row(name: &str, cells: [String; 9]) -> String {
    const WIDTHS: [usize; 9] = [9, 10, 9, 9, 8, 13, 13, 12, 10];
    let mut row = format!("{name:<11}");
    for (cell, width) in cells.iter().zip(WIDTHS) {
        row += &format!("{cell:>width$}");
    }
    row + "\n"
}

/// Formats 1234567 as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
