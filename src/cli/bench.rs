//! `maspo bench`: Measure prefill and decode speed, replay a recorded step of a search, or answer
//! given requests with drafts and without.

mod against;
mod requests;
mod workload;

use super::choice::dtype;
use super::device::DeviceArgs;
use super::engine_option::engine_option;
use super::loading::Loading;
use super::output::{print_line, print_message};
use super::{CliError, Exit};
use crate::base::{Bounded, Seed};
use crate::engine::qwen3::Dtype;
use crate::engine::{BareEngine, DeviceError, EngineOptions, ModelSource, OpenError};
use crate::run::use_threads;
use crate::throughput::{Figures, Load, Spread, Traffic, measure, read_bandwidth};
use serde_json::{Value, json};
use std::path::PathBuf;
use workload::Recording;

/// Measure prefill and decode speed, or replay a recorded step of a search
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("replay").args(["workload", "requests"]))]
pub(super) struct Args {
    /// A Hugging Face model folder, a .gguf file, or `embedded:triage`.
    #[arg(long)]
    model: String,
    /// Random weights in the shape of the model's `config.json` (or GGUF file); no other file is
    /// needed.
    #[arg(long)]
    random_weights: bool,
    /// What the weights are kept in: auto, f32, bf16, q8_0, q4_k, or f8 (NVIDIA GPUs only). Of
    /// several, rates are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "auto", value_parser = dtype())]
    dtype: Vec<Dtype>,
    /// Batch sizes.
    #[arg(long, value_delimiter = ',', default_value = "1,10,40")]
    batch: Vec<usize>,
    /// Prompt tokens per sequence.
    #[arg(long, default_value_t = 256)]
    prompt_tokens: usize,
    /// New tokens per sequence.
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
    /// Replay a recorded step of a search instead, as the search makes its calls, without prefix
    /// reuse, and one at a time.
    #[arg(long, value_enum, conflicts_with_all = ["batch", "prompt_tokens", "new_tokens"])]
    workload: Option<Recording>,
    /// Answer the conversations in these files (lines with `messages`) greedily instead, with
    /// prompt lookup and without; `--batch` says how many run at once.
    #[arg(long, value_name = "FILES", value_delimiter = ',', conflicts_with_all = ["prompt_tokens", "random_weights"])]
    requests: Vec<PathBuf>,
    /// Most tokens drafted per step and sequence. Default: none in the recorded step, because
    /// random weights repeat themselves and would make drafts look too good; what a search gets for
    /// requests.
    #[arg(long, value_name = "N", requires = "replay", value_parser = engine_option("draft_tokens"))]
    draft_tokens: Option<usize>,
    /// With `--requests`: rows in a step up to which drafts are added; several are compared.
    #[arg(long, value_name = "N", value_delimiter = ',', requires = "requests")]
    draft_rows: Vec<usize>,
    /// Rounds of the recorded step or of the requests; the median counts.
    #[arg(long, default_value_t = 3, requires = "replay")]
    rounds: usize,
    /// Queries of the recorded step's mini-batch; default is all of them.
    #[arg(long, requires = "workload")]
    queries: Option<usize>,
    /// Tokens that the K/V pool holds; default is what a search gets, for requests 131,072.
    #[arg(long, requires = "replay", value_parser = engine_option("kv_tokens"))]
    kv_tokens: Option<usize>,
    /// Time nothing; print how far the logits are from those of the same weights kept in this
    /// format (mostly f32).
    #[arg(long, value_name = "DTYPE", value_parser = dtype())]
    #[arg(conflicts_with_all = ["batch", "prompt_tokens", "new_tokens", "workload", "requests"])]
    against: Option<Dtype>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Worker threads; default is the number of cores.
    #[arg(long, value_parser = engine_option("threads"))]
    threads: Option<usize>,
    /// Print one versioned JSON object on stdout, or a line with one for each of several --dtype.
    #[arg(long)]
    json: bool,
}

/// The most rounds; more add no information.
const MAX_ROUNDS: usize = 1000;

/// The seed of random weights and prompts.
const SEED: Seed = Seed(1);

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let of_one = args.workload.is_some() || args.against.is_some() || !args.requests.is_empty();
    if of_one && args.dtype.len() > 1 {
        let message = "--dtype: several are for rates alone: with --workload, --against or --requests, name one";
        return Err(CliError::bad_input(message));
    }
    match (args.workload, args.against) {
        (Some(recording), _) => workload::run(&args, recording),
        (None, Some(reference)) => against::run(&args, reference),
        (None, None) if args.requests.is_empty() => rates(&args),
        (None, None) => requests::run(&args),
    }
}

/// Measures prefill and decode rates.
fn rates(args: &Args) -> Result<Exit, CliError> {
    check(args)?;
    let source = ModelSource::parse(&args.model).map_err(CliError::bad_input)?;
    let largest = args.batch.iter().copied().max().unwrap_or(1);
    let tokens = args.prompt_tokens + args.new_tokens;
    let defaults = EngineOptions::default();
    let options = EngineOptions {
        threads: args.threads,
        kv_tokens: Some(largest * (tokens + defaults.block_tokens).next_multiple_of(defaults.block_tokens)),
        max_running: largest,
        step_tokens: defaults.step_tokens.max(largest),
        // A step is timed with one token per sequence. Random weights repeat themselves, which
        // would make drafts look too good.
        draft_tokens: 0,
        ..defaults
    };
    let options = args.device.with(options);
    for &dtype in &args.dtype {
        rates_of(args, &source, dtype, &options)?;
    }
    Ok(Exit::Ok)
}

/// The rates of weights that are kept in `dtype`; the model is gone again when this returns.
fn rates_of(args: &Args, source: &ModelSource, dtype: Dtype, options: &EngineOptions) -> Result<(), CliError> {
    let tokens = args.prompt_tokens + args.new_tokens;
    let opened = open(args, source, dtype, options).map_err(cannot_open)?;
    if tokens > opened.engine.limit() {
        let limit = opened.engine.limit();
        let message = format!("--prompt-tokens and --new-tokens add up to {tokens}, but {limit} fit into the model");
        return Err(CliError::bad_input(message));
    }
    let bandwidth = bandwidth(opened.read_bandwidth.as_ref(), opened.threads)?;
    print_table_line(args, &headline(args, source, &opened))?;
    print_table_line(
        args,
        &format!("read bandwidth {:.1} GB/s, weights {:.1} MB a step", bandwidth / 1e9, weights_mb(&opened)),
    )?;
    if let (Some(packed), Some(resident)) = (opened.packed_bytes, opened.resident) {
        let [packed, now, peak] = [packed as u64, resident.bytes, resident.peak_bytes].map(|bytes| bytes as f64 / 1e6);
        let line =
            format!("packed weights {packed:.1} MB; resident when loaded {now:.1} MB, at most until then {peak:.1} MB");
        print_table_line(args, &line)?;
    }
    print_table_line(args, "batch   prefill tok/s   decode tok/s   ms/step   MB/step   of bandwidth")?;
    let (weights, kv_per_token) = (opened.weight_bytes_per_step, opened.kv_bytes_per_token);
    let traffic = Traffic { weights, kv_per_token, bandwidth };
    let mut runs = Vec::with_capacity(args.batch.len());
    for &batch in &args.batch {
        let load = Load { batch, prompt_tokens: args.prompt_tokens, new_tokens: args.new_tokens };
        let figures = measure(&opened.engine, &opened.config, load, SEED, traffic)
            .map_err(|error| CliError::new(Exit::RunFailed, error))?;
        print_table_line(args, &row(&figures))?;
        runs.push(figures);
    }
    let refused_captures = opened.engine.counters().refused_captures;
    if refused_captures > 0 {
        print_table_line(
            args,
            &format!("{refused_captures} sizes of decode steps could not be captured: their launches are slower"),
        )?;
    }
    let figures = json!({
        "prompt_tokens": args.prompt_tokens,
        "new_tokens": args.new_tokens,
        "read_bandwidth_bytes_per_s": bandwidth,
        "weight_bytes_per_step": opened.weight_bytes_per_step,
        "kv_dtype": options.kv_dtype,
        "kv_bytes_per_token": opened.kv_bytes_per_token,
        "refused_captures": refused_captures,
        "runs": runs,
    });
    print_json(args, source, &opened, figures)
}

/// Returns the error of a model that cannot be opened. The load alone decides how many keys and
/// values there are, so the hint names its flags.
fn cannot_open(error: OpenError) -> CliError {
    match &error {
        OpenError::Memory(_) => {
            let hint = "`bench` makes room for --batch times (--prompt-tokens + --new-tokens): lower these, or \
            choose a smaller --dtype";
            CliError::new(Exit::Environment, format!("{error}; {hint}"))
        }
        _ => error.into(),
    }
}

/// Returns the bandwidth that figures are fractions of: a GPU's own, never the CPU's in its place.
fn bandwidth(of_gpu: Option<&Result<f64, DeviceError>>, threads: usize) -> Result<f64, CliError> {
    match of_gpu {
        Some(Ok(bandwidth)) => Ok(*bandwidth),
        Some(Err(error)) => Err(CliError::new(Exit::Environment, format!("the GPU's read bandwidth: {error}"))),
        None => read_bandwidth(threads).map_err(|error| CliError::new(Exit::Environment, error)),
    }
}

fn check(args: &Args) -> Result<(), CliError> {
    let mut faults = Vec::new();
    let batches = EngineOptions::rule("max_running").expect("the engine bounds what runs at once");
    if args.batch.iter().any(|batch| !batches.allows((*batch).into())) {
        faults.push(format!("--batch: a batch size must {batches}"));
    }
    if args.prompt_tokens == 0 {
        faults.push("--prompt-tokens must be at least 1".to_string());
    }
    if args.new_tokens < 2 {
        faults.push("--new-tokens must be at least 2: decoding is timed from the second token on".to_string());
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::bad_inputs(faults)) }
}

/// Opens the model of `--model`, and reports what `auto` became.
fn open(args: &Args, source: &ModelSource, dtype: Dtype, options: &EngineOptions) -> Result<BareEngine, OpenError> {
    use_threads(options.threads);
    let mut loading = Loading::new(source.name());
    let random = args.random_weights.then_some(SEED);
    let opened = BareEngine::open(source, random, dtype, options, &mut |progress| loading.show(progress))?;
    loading.finish();
    Ok(opened)
}

/// Returns a line about what runs where.
fn headline(args: &Args, source: &ModelSource, opened: &BareEngine) -> String {
    let weights = if args.random_weights { "random weights" } else { "its own weights" };
    let BareEngine { device, threads, kernels, .. } = opened;
    let dtype = opened.resolved.dtype;
    format!("{source}, {weights}, {dtype}, {device}, {threads} threads, {kernels} kernels")
}

/// Prints what ran where and `figures` as one object, with `--json` only.
fn print_json(args: &Args, source: &ModelSource, opened: &BareEngine, figures: Value) -> Result<(), CliError> {
    let head = json!({
        "model": source.name(),
        "random_weights": args.random_weights,
        "dtype": opened.resolved.dtype,
        "device": opened.device,
        "backend": opened.backend,
        "threads": opened.threads,
        "kernels": opened.kernels,
        "packed_bytes": opened.packed_bytes,
        "resident_bytes": opened.resident.map(|resident| resident.bytes),
        "peak_resident_bytes": opened.resident.map(|resident| resident.peak_bytes),
    });
    print_object(args, head, figures)
}

/// Prints the fields of both as one object, with `--json` only.
fn print_object(args: &Args, head: Value, figures: Value) -> Result<(), CliError> {
    if !args.json {
        return Ok(());
    }
    let mut object = json!({ "schema": 1, "command": "bench" });
    for fields in [head, figures] {
        if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
            object.extend(fields);
        }
    }
    print_line(object)
}

fn spread(spread: Spread, unit: &str) -> String {
    format!("{:.2}{unit} ({:.2}-{:.2})", spread.median, spread.min, spread.max)
}

/// Prints a line of the table: to standard output as data, or to standard error if `--json` takes
/// standard output.
fn print_table_line(args: &Args, line: &str) -> Result<(), CliError> {
    if args.json {
        print_message(line);
        return Ok(());
    }
    print_line(line)
}

fn weights_mb(opened: &BareEngine) -> f64 {
    opened.weight_bytes_per_step as f64 / 1e6
}

fn row(figures: &Figures) -> String {
    format!(
        "{:>5}   {:>13.0}   {:>12.1}   {:>7.2}   {:>7.1}   {:>10.0} %",
        figures.batch,
        figures.prefill_tokens_per_s,
        figures.decode_tokens_per_s,
        figures.ms_per_step,
        figures.bytes_per_step as f64 / 1e6,
        figures.bandwidth_fraction * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::OutOfMemory;

    /// A GPU whose memory could not be timed must not be measured by the CPU's, because fractions
    /// would be off by a factor of ten.
    #[test]
    fn a_gpu_is_never_measured_by_the_memory_of_the_cpu() {
        let failed = Err(DeviceError("too little memory".to_string()));
        assert_eq!(bandwidth(Some(&Ok(3e12)), 1).unwrap(), 3e12);
        let error = bandwidth(Some(&failed), 1).unwrap_err();
        assert_eq!(format!("{:?}", error.report()), format!("{:?}", Exit::Environment.code()));
        assert!(bandwidth(None, 1).unwrap() > 0.0);
    }

    #[test]
    fn too_little_memory_names_the_flags_of_the_load() {
        let message = |error: OpenError| format!("{:?}", cannot_open(error));
        let memory = OutOfMemory {
            reason: DeviceError("no memory".to_string()),
            what: "keys and values (lower `engine.kv_tokens`)".to_string(),
            wanted_bytes: 9000 << 20,
            free_bytes: 12 << 20,
        };
        let found = message(memory.into());
        let text = "no memory: 9000.0 MiB are wanted for keys and values (lower `engine.kv_tokens`), 12.0 MiB are free";
        assert!(found.contains(text), "{found}");
        for flag in ["--batch", "--prompt-tokens", "--new-tokens", "--dtype"] {
            assert!(found.contains(flag), "{found}");
        }
        assert!(!message(DeviceError("there is no CUDA device 7".to_string()).into()).contains("--batch"));
    }
}
