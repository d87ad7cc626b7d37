//! The reasons why a configuration cannot be used; each names the file and the key.

use super::Family;
use crate::weights::WeightsError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, a missing key, or a value of the wrong type.
    #[error("config.json: {0}")]
    Json(#[from] serde_json::Error),
    /// Metadata of a GGUF file that are missing or of another type.
    #[error(transparent)]
    Metadata(#[from] WeightsError),
    /// Another architecture.
    #[error("{file}: `{key}` is `{found}`; dense models of the families {} are supported", families())]
    Architecture {
        /// Where it says so.
        file: String,
        /// The key.
        key: &'static str,
        /// The architecture.
        found: String,
    },
    /// A mixture of experts.
    #[error(
        "{file}: `{key}` is `{found}`, a mixture of experts, which the built-in engine does not run: serve it with an \
        OpenAI-compatible server and use that as a remote backend"
    )]
    Experts {
        /// Where it says so.
        file: String,
        /// The key.
        key: &'static str,
        /// The architecture, or the number of experts.
        found: String,
    },
    /// A value that no model can have.
    #[error("{file}: `{key}` is {value}; {rule}")]
    Value {
        /// Where it says so.
        file: String,
        /// The key.
        key: String,
        /// What the file says.
        value: String,
        /// What would be right.
        rule: String,
    },
}

/// Returns the names of all families.
fn families() -> String {
    let names = Family::ALL.map(Family::name);
    let (last, others) = names.split_last().expect("there are families");
    format!("{} and {last}", others.join(", "))
}
