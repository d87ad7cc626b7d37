//! The kernels that a user chooses: our own, or candle's.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What computes a model on its device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The kernels of this repository; on a GPU where they do not pass the device check, candle.
    #[default]
    Auto,
    /// The kernels of this repository.
    Native,
    /// The operations of candle. A request's tokens may depend on what is computed beside it.
    Candle,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Native, Self::Candle];

    /// Returns the name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Candle => "candle",
        }
    }
}

/// A name that is none of the backends'.
#[derive(Debug, thiserror::Error)]
#[error("backend `{0}` is not known: it is one of auto, native, candle")]
pub struct UnknownBackend(String);

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        Self::ALL.into_iter().find(|backend| backend.name() == text).ok_or_else(|| UnknownBackend(text.to_string()))
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse::<Backend>().unwrap(), backend);
            assert_eq!(serde_json::to_string(&backend).unwrap(), format!("\"{backend}\""));
        }
        let error = "torch".parse::<Backend>().unwrap_err().to_string();
        assert_eq!(error, "backend `torch` is not known: it is one of auto, native, candle");
    }
}
