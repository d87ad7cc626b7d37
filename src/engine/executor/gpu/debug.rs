//! `MASPO_GPU_DEBUG`: switches for finding faults on a GPU. They change when launches are made, and
//! no result.

use crate::executor::DeviceError;

/// The environment variable.
pub(super) const VARIABLE: &str = "MASPO_GPU_DEBUG";

/// What is switched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Debug {
    /// Whether every launch is waited for before the next one, so that an error names the kernel
    /// that failed. Then nothing is captured.
    pub(super) sync: bool,
    /// Whether decode steps are captured as graphs and replayed.
    pub(super) graphs: bool,
}

impl Debug {
    /// Reads the environment variable: `sync`, `no-graphs`, or both with a comma between them.
    ///
    /// # Errors
    /// A word that is neither.
    pub(super) fn from_env() -> Result<Self, DeviceError> {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    pub(super) fn parse(words: &str) -> Result<Self, DeviceError> {
        let mut found = Self { sync: false, graphs: true };
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "sync" => found = Self { sync: true, graphs: false },
                "no-graphs" => found.graphs = false,
                other => {
                    let text = format!("{VARIABLE} has `{other}`, but it knows only `sync` and `no-graphs`");
                    return Err(DeviceError(text));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_switches() {
        let found = |words| Debug::parse(words).map(|found| (found.sync, found.graphs)).map_err(|error| error.0);
        assert_eq!(found(""), Ok((false, true)));
        assert_eq!(found("no-graphs"), Ok((false, false)));
        assert_eq!(found("sync"), Ok((true, false)));
        assert_eq!(found("no-graphs, sync"), Ok((true, false)));
        let refused = "MASPO_GPU_DEBUG has `slow`, but it knows only `sync` and `no-graphs`";
        assert_eq!(found("sync,slow"), Err(refused.to_string()));
    }
}
