//! What loading a large model shows on stderr: one moving line on a terminal, a line for every tenth elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Smaller models are there at once.
const WORTH_SHOWING: u64 = 200_000_000;

/// How far the weights of one model are.
pub(super) struct Loading {
    name: String,
    bar: Option<ProgressBar>,
    /// Tenths that were told.
    tenths: u64,
}

impl Loading {
    /// Of the model `name`.
    pub(super) fn new(name: String) -> Self {
        Self { name, bar: None, tenths: 0 }
    }

    /// `done` of `all` weights are loaded.
    pub(super) fn show(&mut self, done: u64, all: u64) {
        if all < WORTH_SHOWING {
            return;
        }
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let style =
                    ProgressStyle::with_template("loading {msg} {bar:24} {percent}%").expect("a valid template");
                ProgressBar::new(all).with_style(style).with_message(self.name.clone())
            });
            bar.set_position(done);
        } else if done * 10 / all >= self.tenths {
            eprintln!("loading {}: {} % of {:.1} billion weights", self.name, done * 100 / all, all as f64 / 1e9);
            self.tenths = done * 10 / all + 1;
        }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
