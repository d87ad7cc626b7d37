//! `maspo serve`: an OpenAI-compatible server over one local model, or over the team of a bundle.

use super::choice::dtype;
use super::device::DeviceArgs;
use super::engine_option::engine_option;
use super::loading::Loading;
use super::output::print_message;
use super::served_team::BundleTeam;
use super::{CliError, Exit, lock};
use crate::engine::qwen3::Dtype;
use crate::engine::{Date, DtypeRequest, EngineOptions, LoadOptions, ModelSource, TextEngine, TokenizerRequirement};
use crate::run::use_threads;
use crate::serve::{Bound, Hosts, Listen, ServeOptions, Token, serve};
use futures::FutureExt;
use futures::channel::oneshot;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// The process's exit code when a signal ends it at once.
const INTERRUPTED: i32 = 130;

/// Answer OpenAI-compatible requests with a local model, or with a team as one model, over HTTP
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The team to serve as one model: a bundle, or the folder of a finished run or of releases.
    /// Without one, the model itself is served.
    team: Option<PathBuf>,
    /// A Hugging Face model folder, a .gguf file, or `embedded:triage`. A team has its own; this
    /// says where it is now.
    #[arg(long, required_unless_present = "team")]
    model: Option<String>,
    /// The model's name in requests and answers; default is that of its folder or file, or of the
    /// team's experiment.
    #[arg(long, value_name = "ID")]
    name: Option<String>,
    /// Where to listen: ADDRESS:PORT (port 0 takes a free one) or unix:PATH.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: Listen,
    /// Allow an address that other machines can reach. The connection is not encrypted.
    #[arg(long)]
    listen_anywhere: bool,
    /// A further value of the header Host that is answered, such as rack7:8080; may be repeated.
    #[arg(long, value_name = "HOST:PORT")]
    allow_host: Vec<String>,
    /// The file with the token that clients send; it is made if it is not there. By default a new
    /// token in a file below the user's runtime folder, removed at the end.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Most new tokens of a completion.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,
    /// Most completions under way or waiting; more are refused with 429.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_requests: u32,
    /// Most open connections; more wait.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_connections: u32,
    /// How many seconds open requests may go on after SIGTERM or ctrl-C.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    drain: u64,
    /// Let the chat template turn thinking on where a request does not say.
    #[arg(long)]
    thinking: bool,
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

/// Binds the listener. To be called before the lock, which lets a bound listener accept and no new
/// socket be made.
pub(super) fn bind(args: &Args) -> Result<Bound, CliError> {
    if let Listen::Tcp(address) = &args.listen
        && !address.ip().is_loopback()
        && !args.listen_anywhere
    {
        let message = format!(
            "--listen {address}: other machines can reach this address, and nothing is encrypted; add \
             --listen-anywhere if that is meant"
        );
        return Err(CliError::bad_input(message));
    }
    Bound::new(args.listen.clone())
        .map_err(|error| CliError::new(Exit::Environment, format!("cannot listen on {}: {error}", args.listen)))
}

pub(super) fn run(mut args: Args, bound: Bound) -> Result<Exit, CliError> {
    if let lock::LockState::Unsupported(reason) = lock::apply() {
        print_message(format_args!("warning: this process could open connections: {reason}"));
    }
    let team = args.team.as_deref().map(|team| BundleTeam::open(team, args.model.as_deref())).transpose()?;
    let source = match (&team, &args.model) {
        (Some(team), _) => team.source.clone(),
        (None, model) => ModelSource::parse(model.as_deref().unwrap_or_default()).map_err(CliError::bad_input)?,
    };
    crate::config::check_model(&source).map_err(|problem| CliError::bad_input(format!("--model {problem}")))?;
    if let Some(team) = team.as_ref().filter(|_| args.dtype == Dtype::Auto) {
        args.dtype = team.bundle.team.model.dtype;
    }
    let token_file = TokenFile::open(&args, &bound.at)?;
    let engine = open(&args, &source)?;
    let options = ServeOptions {
        name: args.name.clone().unwrap_or_else(|| team.as_ref().map_or(source.name(), BundleTeam::name)),
        token: token_file.token.clone(),
        hosts: hosts(&args, &bound.at),
        thinking: args.thinking,
        max_tokens: args.max_tokens as usize,
        max_requests: args.max_requests as usize,
        max_connections: args.max_connections as usize,
        drain: Duration::from_secs(args.drain),
    };
    let team = team.map(|team| team.on(engine.clone())).transpose()?;
    let stop = on_signal()?;
    print_message(format_args!(
        "ready: {} serves {}; clients send `Authorization: Bearer` with the token in {}",
        bound.at,
        options.name,
        token_file.path.display()
    ));
    let at = bound.at.clone();
    let served = serve(bound, engine, options, team, stop.map(drop).boxed());
    if let Listen::Unix(path) = at {
        // Nobody listens on it any more.
        let _ = std::fs::remove_file(path);
    }
    served.map_err(|error| CliError::new(Exit::Environment, format!("the server failed: {error}")))?;
    print_message("stopped: all requests are answered or cut");
    Ok(Exit::Ok)
}

fn open(args: &Args, source: &ModelSource) -> Result<TextEngine, CliError> {
    let options =
        EngineOptions { threads: args.threads, weight_cache: !args.no_weight_cache, ..EngineOptions::default() };
    let options = args.device.with(options);
    use_threads(options.threads);
    let mut loading = Loading::new(source.name());
    let how = LoadOptions {
        dtype: DtypeRequest::Requested(args.dtype),
        compute: None,
        date: args.date,
        watch: &mut |progress| loading.show(progress),
    };
    let engine = TextEngine::open(source, &options, TokenizerRequirement::Required, how)?;
    loading.finish();
    Ok(engine)
}

/// Returns a future that is there once SIGTERM or ctrl-C came. A second signal ends the process at
/// once.
fn on_signal() -> Result<oneshot::Receiver<()>, CliError> {
    let (send, receive) = oneshot::channel();
    let send = Mutex::new(Some(send));
    ctrlc::set_handler(move || match send.lock().ok().and_then(|mut send| send.take()) {
        Some(send) => {
            print_message("\nstopping after the requests under way; a second signal cuts them");
            let _ = send.send(());
        }
        None => std::process::exit(INTERRUPTED),
    })
    .map_err(|error| CliError::new(Exit::Environment, format!("signals cannot be caught: {error}")))?;
    Ok(receive)
}

/// Returns the values of Host that are answered: the address itself, `localhost` for loopback, any
/// IP address where other machines may ask, and what the flags add.
fn hosts(args: &Args, at: &Listen) -> Hosts {
    let mut exact = args.allow_host.clone();
    let mut any_address = false;
    match at {
        Listen::Tcp(address) => {
            exact.push(address.to_string());
            any_address = !address.ip().is_loopback();
            if address.ip().is_loopback() {
                exact.push(format!("localhost:{}", address.port()));
            }
            // A client leaves HTTP's own port out.
            if address.port() == 80 {
                exact.extend([address.ip().to_string(), "localhost".to_string()]);
            }
        }
        Listen::Unix(_) => exact.push("localhost".to_string()),
    }
    Hosts { exact, any_address }
}

/// The token and the file that holds it.
struct TokenFile {
    path: PathBuf,
    token: Token,
    /// Whether the file goes with the server.
    temporary: bool,
}

impl TokenFile {
    fn open(args: &Args, at: &Listen) -> Result<Self, CliError> {
        let wrong = |path: &Path, error: &std::io::Error| {
            let exit = if error.kind() == std::io::ErrorKind::InvalidData { Exit::BadInput } else { Exit::Environment };
            CliError::new(exit, format!("token file {}: {error}", path.display()))
        };
        if let Some(path) = &args.token_file {
            let token = Token::of_file(path).map_err(|error| wrong(path, &error))?;
            return Ok(Self { path: path.clone(), token, temporary: false });
        }
        let folder = runtime_folder().ok_or_else(|| {
            CliError::bad_input("there is no folder for the token (XDG_RUNTIME_DIR or HOME); name a --token-file")
        })?;
        std::fs::create_dir_all(&folder).map_err(|error| wrong(&folder, &error))?;
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let path = folder.join(format!("serve-{}.token", at.to_string().chars().map(plain).collect::<String>()));
        let token = Token::renew(&path).map_err(|error| wrong(&path, &error))?;
        Ok(Self { path, token, temporary: true })
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if self.temporary {
            // Another server may have replaced it; then its own is gone, and it says so no more.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn runtime_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let runtime = folder("XDG_RUNTIME_DIR").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(runtime.join("maspo"))
}
