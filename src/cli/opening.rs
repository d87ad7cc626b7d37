//! Opening one model by flags: what `generate`, `score` and `serve` share.

use super::CliError;
use super::choice::dtype;
use super::device::DeviceArgs;
use super::engine_option::engine_option;
use super::loading::Loading;
use crate::engine::qwen3::Dtype;
use crate::engine::{Date, DtypeRequest, EngineOptions, LoadOptions, ModelSource, OpenError};
use crate::run::use_threads;

/// The flags that say how a model is opened.
#[derive(clap::Args, Debug)]
pub(super) struct OpenArgs {
    /// What the weights are kept in: auto (as in the file, or smaller where memory is short), f32,
    /// bf16, q8_0, q4_k, or f8 (NVIDIA GPUs only).
    #[arg(long, default_value_t, value_parser = dtype())]
    dtype: Dtype,
    /// Do not keep quantized weights on disk.
    #[arg(long)]
    no_weight_cache: bool,
    /// The date that chat templates see, as YYYY-MM-DD; default is today.
    #[arg(long)]
    date: Option<Date>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Worker threads; default is the number of cores.
    #[arg(long, value_parser = engine_option("threads"))]
    threads: Option<usize>,
}

impl OpenArgs {
    /// Keeps the weights in `dtype` unless a flag says something else.
    pub(super) fn prefer_dtype(&mut self, dtype: Dtype) {
        if self.dtype == Dtype::Auto {
            self.dtype = dtype;
        }
    }

    /// Opens a model with `open`, which gets what the flags say, and reports the progress on
    /// stderr.
    ///
    /// # Errors
    /// Those of `open`.
    pub(super) fn open<T>(
        &self,
        source: &ModelSource,
        open: impl FnOnce(&EngineOptions, LoadOptions<'_>) -> Result<T, OpenError>,
    ) -> Result<T, CliError> {
        let options =
            EngineOptions { threads: self.threads, weight_cache: !self.no_weight_cache, ..EngineOptions::default() };
        let options = self.device.with(options);
        use_threads(options.threads);
        let mut loading = Loading::new(source.name());
        let how = LoadOptions {
            dtype: DtypeRequest::Requested(self.dtype),
            compute: None,
            date: self.date,
            watch: &mut |progress| loading.show(progress),
        };
        let opened = open(&options, how)?;
        loading.finish();
        Ok(opened)
    }
}
