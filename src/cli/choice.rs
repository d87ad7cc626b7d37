//! Flags that choose among names. The names of the engine's choices are declared in the engine,
//! which reads them in experiment files too; here they become a flag that lists them and suggests
//! the nearest.

use crate::engine::Backend;
use crate::engine::qwen3::{Dtype, KvDtype};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Labelled cases by name: the flag `--split`.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Split {
    /// `data.train`.
    Train,
    /// `data.test`, held out.
    #[default]
    Test,
}

impl Split {
    /// Returns the name on the command line and in the experiment file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// Reads what weights are kept in.
pub(super) fn dtype() -> impl TypedValueParser<Value = Dtype> {
    PossibleValuesParser::new(Dtype::ALL.map(Dtype::name)).try_map(|name| name.parse())
}

/// Reads what computes on a device.
pub(super) fn backend() -> impl TypedValueParser<Value = Backend> {
    PossibleValuesParser::new(Backend::ALL.map(Backend::name)).try_map(|name| name.parse())
}

/// Reads what keys and values are kept in.
pub(super) fn kv_dtype() -> impl TypedValueParser<Value = KvDtype> {
    PossibleValuesParser::new(KvDtype::ALL.map(KvDtype::name)).try_map(|name| name.parse())
}
