//! `maspo doctor`: Say what this machine has and what is missing.

use super::choice::{dtype, kv_dtype};
use super::engine_option::engine_option;
use super::output::{print, print_line, print_message};
use super::{CliError, Exit};
use crate::chat::ChatModel;
use crate::engine::kernels::{Compute, KernelSet};
use crate::engine::qwen3::{Dtype, KvDtype};
use crate::engine::{
    DeviceCheck, DeviceReport, EngineOptions, Manifest, ModelSource, Room, check_devices, cuda_architectures,
    memory_free, survey,
};
use crate::local::LocalModel;
use crate::remote::{self, ApiKey, BaseUrl, EndpointOptions, Probe};
use crate::throughput::read_bandwidth;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Say what this machine has and what is missing: instruction sets, memory, GPUs, their drivers and
/// bandwidth
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Worker threads; default is the number of cores.
    #[arg(long, value_parser = engine_option("threads"))]
    threads: Option<usize>,
    /// Also run two random layers of real widths on every backend and device, compare them with the
    /// CPU's reference, and end with 1 if one computes something else.
    #[arg(long)]
    check: bool,
    /// Also say what this model takes of the CPU's memory, and how many sequences run at once
    /// beside it: a Hugging Face folder, a .gguf file, or `embedded:triage`. If `maspo-fetch` left
    /// a manifest there, every file is read and compared with it.
    #[arg(long)]
    model: Option<String>,
    /// What its weights are kept in: auto, f32, bf16, q8_0 or q4_k.
    #[arg(long, default_value_t, value_parser = dtype(), requires = "model")]
    dtype: Dtype,
    /// What its keys and values are kept in: auto (floats) or int8.
    #[arg(long, default_value_t, value_parser = kv_dtype(), requires = "model")]
    kv_dtype: KvDtype,
    /// Also say what a model's server can do, with a dozen short requests: its dialect, where the
    /// judge's log-probabilities come from, whether its answers depend on company. May be repeated
    /// for servers of one model. With --model of the same weights, the first token's
    /// log-probabilities are compared.
    #[arg(long, value_name = "URL")]
    pub(super) endpoint: Vec<BaseUrl>,
    /// The model's name there.
    #[arg(long, value_name = "ID", requires = "endpoint")]
    name: Option<String>,
    /// The variable of the environment that holds the server's key.
    #[arg(long, value_name = "NAME", requires = "endpoint", conflicts_with = "api_key_file")]
    api_key_env: Option<String>,
    /// The file that holds the server's key.
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    api_key_file: Option<PathBuf>,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let room = args.model.as_deref().map(|model| room(model, &args)).transpose()?;
    let manifest = args.model.as_deref().map_or(Ok(None), manifest)?;
    let endpoint = if args.endpoint.is_empty() { None } else { Some(endpoint(&args)?) };
    let compute = Compute::cpu(args.threads).map_err(|error| CliError::new(Exit::Environment, error))?;
    let bandwidth = read_bandwidth(compute.threads()).map_err(|error| CliError::new(Exit::Environment, error))?;
    let sets: Vec<&str> = KernelSet::available().iter().map(|set| set.name()).collect();
    let devices = survey();
    let checks = if args.check { Some(check(&args)?) } else { None };
    let exit = match &checks {
        Some(checks) if checks.iter().any(|check| !check.ok) => Exit::RunFailed,
        _ => Exit::Ok,
    };
    if args.json {
        let cpu = json!({
            "threads": compute.threads(),
            "kernels": compute.kernels().name(),
            "kernel_sets": sets,
            "free_bytes": memory_free(),
            "read_bandwidth_bytes_per_s": bandwidth,
        });
        let mut object = json!({
            "schema": 1,
            "command": "doctor",
            "version": env!("CARGO_PKG_VERSION"),
            "cuda_architectures": cuda_architectures(),
            "cpu": cpu,
            "devices": devices,
        });
        if let Some(checks) = checks {
            object["checks"] = json!(checks);
        }
        if let Some((name, room)) = &room {
            object["model"] = room_json(name, room);
            object["model"]["manifest"] = json!(manifest.as_ref().map(manifest_json));
        }
        if let Some((probe, divergence)) = &endpoint {
            object["endpoint"] = json!(probe);
            object["endpoint"]["logprob_divergence"] = json!(divergence);
        }
        print_line(object)?;
        return Ok(exit);
    }
    let architectures = cuda_architectures().map_or("no GPU".to_string(), |list| format!("{list} (newer GPUs by PTX)"));
    let mut text = format!("maspo {}, CUDA kernels for {architectures}\n", env!("CARGO_PKG_VERSION"));
    let (threads, kernels) = (compute.threads(), compute.kernels().name());
    text += &format!("cpu      {threads} threads, kernels {kernels} (of {})\n", sets.join(", "));
    let memory = memory_free().map_or("memory unknown".to_string(), |free| format!("{} free", gib(free as f64)));
    text += &format!("         {memory}, read at {:.1} GB/s\n", bandwidth / 1e9);
    for device in &devices {
        text += &format!("{:<8} {}\n", device.device, line(device));
    }
    if let Some((name, room)) = &room {
        text += &room_text(name, room);
        text += &manifest.as_ref().map_or(String::new(), manifest_text);
    }
    if let Some((probe, divergence)) = &endpoint {
        text += &endpoint_text(probe, *divergence);
    }
    if let Some(checks) = &checks {
        text += "check    two random layers beside the CPU's reference; errors are shares of the largest logit\n";
        checks.iter().for_each(|check| text += &format!("         {}\n", verdict(check)));
    }
    print(text)?;
    Ok(exit)
}

/// Returns what the servers can do, and by how much their log-probabilities differ from those of
/// the model in this process, if there is one.
fn endpoint(args: &Args) -> Result<(Probe, Option<f64>), CliError> {
    let env = args.api_key_env.clone().map(ApiKey::Env);
    let options = EndpointOptions {
        urls: args.endpoint.clone(),
        name: args.name.clone(),
        api_key: env.or_else(|| args.api_key_file.clone().map(ApiKey::File)),
        // A server that is away is an answer here.
        retries: 0,
        ..EndpointOptions::default()
    };
    let probe = remote::probe(&options)?;
    let Some((model, letters)) = args.model.as_deref().zip(probe.letters.as_ref()) else { return Ok((probe, None)) };
    let source = ModelSource::parse(model).map_err(CliError::bad_input)?;
    let options = EngineOptions { threads: args.threads, ..EngineOptions::default() };
    let local = LocalModel::open(&source, &options, args.dtype, false)?;
    let own = futures::executor::block_on(local.score(remote::question(), remote::letters()));
    let own = own.map_err(super::settings::chat_error)?.logprobs;
    let divergence = own.iter().zip(letters).map(|(own, other)| (own - other).abs()).fold(0.0, f64::max);
    Ok((probe, Some(divergence)))
}

fn endpoint_text(probe: &Probe, divergence: Option<f64>) -> String {
    let version = if probe.version.is_empty() { "of unknown version" } else { &probe.version };
    let context = probe.context.map_or("context unknown".to_string(), |tokens| format!("context {tokens} tokens"));
    let judge = match probe.judge {
        "chosen" => "log-probabilities of the tokens that it is asked for",
        "likeliest" => {
            "log-probabilities of the likeliest tokens; a letter that is not among them counts as impossible"
        }
        _ => "no log-probabilities: a judge's letter is read from its text",
    };
    let same = |same: bool| if same { "the same answer" } else { "other answers" };
    let mut text = format!(
        "endpoint {} ({} {version}): {}, {context}\n         judge: {judge}\n         one request: {} alone, {} in a \
        crowd\n",
        probe.url,
        probe.api,
        probe.model,
        same(probe.same_alone),
        same(probe.same_in_a_crowd)
    );
    if let Some(divergence) = divergence {
        text += &format!("         log-probabilities differ from this process's by {divergence:.4} nat at most\n");
    }
    probe.notes.iter().for_each(|note| text += &format!("         {note}\n"));
    text
}

/// Returns the model's name and what it takes.
fn room(model: &str, args: &Args) -> Result<(String, Room), CliError> {
    let source = ModelSource::parse(model).map_err(CliError::bad_input)?;
    let options = EngineOptions { threads: args.threads, kv_dtype: args.kv_dtype, ..EngineOptions::default() };
    Ok((source.name(), Room::of(&source, &options, args.dtype)?))
}

/// Reads every file that the model's manifest lists and compares its SHA-256.
fn manifest(model: &str) -> Result<Option<Manifest>, CliError> {
    let source = ModelSource::parse(model).map_err(CliError::bad_input)?;
    let Some(manifest) = source.manifest().map_err(CliError::bad_input)? else { return Ok(None) };
    let size = gib(manifest.bytes() as f64);
    print_message(format_args!("reading {} files ({size}) and comparing their digests …", manifest.files.len()));
    manifest.check_hashes().map_err(CliError::bad_input)?;
    Ok(Some(manifest))
}

fn manifest_json(manifest: &Manifest) -> Value {
    let Manifest { model, commit, files, .. } = manifest;
    json!({ "model": model, "commit": commit, "files": files.len(), "bytes": manifest.bytes(), "verified": true })
}

fn manifest_text(manifest: &Manifest) -> String {
    let Manifest { model, commit, files, .. } = manifest;
    format!("         as fetched: {model} at {commit}, {} files verified\n", files.len())
}

/// The lengths of sequences that are counted, in tokens: these and the model's context.
const LENGTHS: [usize; 3] = [1024, 4096, 16384];

fn lengths(room: &Room) -> impl Iterator<Item = usize> {
    LENGTHS.into_iter().filter(|tokens| *tokens < room.context).chain([room.context])
}

fn room_json(name: &str, room: &Room) -> Value {
    let sequence = |tokens| json!({ "tokens": tokens, "at_once": room.sequences(tokens) });
    json!({
        "name": name,
        "dtype": room.weights.dtype,
        "weight_bytes": room.weights.bytes,
        "fits": room.weights.fits(),
        "kv_bytes_per_token": room.kv_bytes_per_token,
        "pool_tokens": room.pool_tokens,
        "context": room.context,
        "sequences": lengths(room).map(sequence).collect::<Vec<_>>(),
    })
}

fn room_text(name: &str, room: &Room) -> String {
    let dtype =
        if room.weights.dtype == Dtype::Auto { "as in the file".to_string() } else { room.weights.dtype.to_string() };
    let fits = if room.weights.fits() { "" } else { ", which may not fit" };
    let mut text = format!("model    {name}: weights {dtype}, {}{fits}\n", gib(room.weights.bytes as f64));
    text += &format!(
        "         keys and values: {} bytes a token, room for {} tokens\n",
        room.kv_bytes_per_token, room.pool_tokens
    );
    let sequences: Vec<_> = lengths(room).map(|tokens| format!("{} of {tokens}", room.sequences(tokens))).collect();
    text + &format!("         sequences at once, by their length in tokens: {}\n", sequences.join(", "))
}

fn check(args: &Args) -> Result<Vec<DeviceCheck>, CliError> {
    let mut watch = |backend, device| print_message(format_args!("checking {backend} on {device} …"));
    Ok(check_devices(args.threads, &mut watch)?)
}

fn verdict(check: &DeviceCheck) -> String {
    let DeviceCheck { backend, device, widths, dtype, largest_error, allowed_error, ok, problem } = check;
    let error = largest_error.map_or("no error".to_string(), |error| format!("largest error {error:.1e}"));
    let verdict = if *ok { "ok" } else { "NOT OK" };
    let problem = problem.as_ref().map_or(String::new(), |problem| format!(" ({problem})"));
    let backend = backend.name();
    format!(
        "{backend:<7} {device:<7} {verdict}, {error} of {allowed_error:.0e} allowed, {dtype}, {widths} widths{problem}"
    )
}

fn line(device: &DeviceReport) -> String {
    if let Some(problem) = &device.problem {
        return problem.clone();
    }
    let numbers = serde_json::to_value(device).expect("plain data");
    let number = |key: &str| numbers.get(key).and_then(Value::as_f64);
    let mut parts = vec![device.name.clone().unwrap_or_default()];
    parts.extend(device.compute_capability.as_ref().map(|capability| format!("capability {capability}")));
    parts.extend(device.multiprocessors.map(|count| format!("{count} multiprocessors")));
    parts.extend(device.driver.as_ref().map(|version| format!("driver for CUDA {version}")));
    parts.extend(
        device.cublas.map(|there| if there { "cuBLAS" } else { "no cuBLAS (for bf16 with --fast)" }.to_string()),
    );
    if let (Some(free), Some(all)) = (number("free_bytes"), number("memory_bytes")) {
        parts.push(format!("{} of {} free", gib(free), gib(all)));
    }
    parts.extend(
        number("read_bandwidth_bytes_per_s").map(|rate| format!("copies at {:.0} GB/s (read + written)", rate / 1e9)),
    );
    parts.join(", ")
}

fn gib(bytes: f64) -> String {
    format!("{:.1} GiB", bytes / f64::from(1 << 30))
}
