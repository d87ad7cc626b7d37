//! The flags that say where a model runs.

use crate::engine::{DeviceChoice, EngineOptions};

/// The flags of every command that opens a model.
#[derive(clap::Args, Debug)]
pub(super) struct DeviceArgs {
    /// Where the model runs: auto (an NVIDIA GPU if this build can use it, or else the CPU), cpu, cuda, cuda:N or metal.
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
    /// A request's tokens do not depend on what is computed beside it (the default).
    #[arg(long, conflicts_with = "fast")]
    deterministic: bool,
    /// On a GPU, let them depend on it where that may be faster (prefill; bf16 through cuBLAS); the CPU stays as it is.
    #[arg(long)]
    fast: bool,
}

impl DeviceArgs {
    /// Flags that were given override what `options` say.
    pub(super) fn apply(&self, options: &mut EngineOptions) {
        options.device = self.device.unwrap_or(options.device);
        options.deterministic = (options.deterministic || self.deterministic) && !self.fast;
    }

    /// `options` with the flags.
    pub(super) fn with(&self, mut options: EngineOptions) -> EngineOptions {
        self.apply(&mut options);
        options
    }
}
