//! What a user sees while it works: one moving line on a terminal, a line per tenth elsewhere; all
//! on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// From how many bytes on tenths are reported where there is no terminal.
const WORTH_SHOWING: u64 = 64 << 20;

/// Writes a line to standard error. One that cannot be written is dropped.
pub(crate) fn message(line: impl Display) {
    let _dropped = writeln!(std::io::stderr(), "{line}");
}

/// Formats a number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.1} {unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}

/// The progress over all files.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    all: u64,
    done: u64,
    tenths: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let moving = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bar = moving.then(|| {
            let shape = "{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
            ProgressBar::new(0).with_style(ProgressStyle::with_template(shape).expect("a valid template"))
        });
        Self { bar, all: 0, done: 0, tenths: 0 }
    }

    /// Adds bytes that are to come.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.all += bytes;
        if let Some(bar) = &self.bar {
            bar.set_length(self.all);
        }
    }

    /// Names the file that is worked on.
    pub(crate) fn begin(&mut self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(name.to_string());
        }
    }

    /// Counts bytes that are there.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.set(self.done + bytes);
    }

    /// Takes back bytes that have to be fetched again.
    pub(crate) fn take_back(&mut self, bytes: u64) {
        self.set(self.done.saturating_sub(bytes));
    }

    fn set(&mut self, done: u64) {
        self.done = done;
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.all >= WORTH_SHOWING && done * 10 / self.all > self.tenths => {
                self.tenths = done * 10 / self.all;
                message(format_args!("{} % of {}", self.tenths * 10, size(self.all)));
            }
            None => (),
        }
    }

    /// Says something without disturbing the moving line.
    pub(crate) fn say(&self, line: impl Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| message(line)),
            None => message(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
