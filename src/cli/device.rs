//! The flags that say where a model runs and what its context is kept in.

use super::choice::{backend, kv_dtype};
use crate::engine::qwen3::KvDtype;
use crate::engine::{Backend, DeviceChoice, EngineOptions};

/// The flags of every command that opens a model.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct DeviceArgs {
    /// Where the model runs: auto (an NVIDIA GPU if this build can use it, or else the CPU), cpu,
    /// cuda, cuda:N or metal.
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
    /// What computes there: native (the kernels of this program), candle, or auto (native; on a GPU
    /// where that fails `maspo doctor --check`, candle).
    #[arg(long, value_name = "BACKEND", value_parser = backend())]
    backend: Option<Backend>,
    /// A request's tokens do not depend on what is computed beside it (the default of our own
    /// kernels; candle refuses it).
    #[arg(long, conflicts_with = "fast")]
    deterministic: bool,
    /// On a GPU, let them depend on it where that may be faster (prefill; bf16 through cuBLAS); the
    /// CPU stays as it is.
    #[arg(long)]
    fast: bool,
    /// What keys and values are kept in: auto (floats) or int8 (about half the memory of 16-bit
    /// floats; the CPU only).
    #[arg(long, value_name = "DTYPE", value_parser = kv_dtype())]
    kv_dtype: Option<KvDtype>,
}

impl DeviceArgs {
    /// Overrides `options` by the flags that were given.
    pub(super) fn apply(&self, options: &mut EngineOptions) {
        options.device = self.device.unwrap_or(options.device);
        options.backend = self.backend.unwrap_or(options.backend);
        options.must_be_deterministic |= self.deterministic;
        options.kv_dtype = self.kv_dtype.unwrap_or(options.kv_dtype);
        options.deterministic = (options.deterministic || self.deterministic) && !self.fast;
    }

    /// Returns `options` with the flags applied.
    pub(super) fn with(&self, mut options: EngineOptions) -> EngineOptions {
        self.apply(&mut options);
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        device: DeviceArgs,
    }

    /// Checks what the file's value and the flags come to together.
    fn check(of_file: bool, flags: &[&str], expected: bool) {
        let line = Line::parse_from([&["maspo"], flags].concat());
        let found = line.device.with(EngineOptions { deterministic: of_file, ..EngineOptions::default() });
        assert_eq!(found.deterministic, expected, "{of_file} {flags:?}");
        assert_eq!(found.device, EngineOptions::default().device);
    }

    #[test]
    fn keys_and_values_are_as_the_flag_says_or_else_the_file() {
        let found = |flags: &[&str], kv_dtype| {
            let line = Line::parse_from([&["maspo"], flags].concat());
            line.device.with(EngineOptions { kv_dtype, ..EngineOptions::default() }).kv_dtype
        };
        assert_eq!(found(&[], KvDtype::Int8), KvDtype::Int8);
        assert_eq!(found(&["--kv-dtype", "int8"], KvDtype::Auto), KvDtype::Int8);
        assert_eq!(found(&["--kv-dtype", "auto"], KvDtype::Int8), KvDtype::Auto);
        assert!(Line::try_parse_from(["maspo", "--kv-dtype", "q4"]).is_err());
    }

    #[test]
    fn the_backend_is_as_the_flag_says_or_else_the_file() {
        let found = |flags: &[&str]| {
            let line = Line::parse_from([&["maspo"], flags].concat());
            let options = line.device.with(EngineOptions { backend: Backend::Candle, ..EngineOptions::default() });
            (options.backend, options.must_be_deterministic)
        };
        assert_eq!(found(&[]), (Backend::Candle, false));
        assert_eq!(found(&["--backend", "native", "--deterministic"]), (Backend::Native, true));
        assert!(Line::try_parse_from(["maspo", "--backend", "torch"]).is_err());
    }

    #[test]
    fn a_flag_overrides_the_file_in_both_directions() {
        check(true, &[], true);
        check(false, &[], false);
        check(false, &["--deterministic"], true);
        check(true, &["--deterministic"], true);
        check(true, &["--fast"], false);
        check(false, &["--fast"], false);
    }
}
