//! The command line: from the arguments and the environment to a folder with a model.

use super::client::Client;
use super::download::{self, Fetched, Found, verify};
use super::environment::Environment;
use super::error::FetchError;
use super::hash::Listed;
use super::hub::{Commit, HubFile};
use super::manifest::{Manifest, ManifestFile};
use super::names::{FilePath, ModelId, is_commit, is_revision};
use super::progress::{Progress, message, size};
use super::select::{self, INDEX, select};
use clap::Parser;
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The process's exit code after ctrl-C.
const INTERRUPTED: i32 = 130;

/// Fetches a model from a Hugging Face hub into a folder: what the engine needs, resumed, verified.
///
/// The folder's path is printed on standard output. In it, maspo-manifest.json says what was
/// fetched; `maspo` checks sizes when it opens the folder, and hashes in `maspo doctor --model
/// FOLDER`.
#[derive(Parser, Debug)]
#[command(name = "maspo-fetch", version, max_term_width = 120)]
#[command(after_help = "Environment: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_TOKEN_PATH, \
    HF_HUB_OFFLINE, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE.\n\
    Exit: 0 done, 1 what arrived is wrong, 2 the input is wrong, 3 the environment lacks something \
    (network, room), 130 ctrl-C.")]
struct Args {
    /// The model's id on the hub, such as Qwen/Qwen3-8B.
    model: String,
    /// A branch, a tag or a commit.
    #[arg(long, default_value = "main")]
    revision: String,
    /// The folder; default is the model's folder in the hub's cache below HF_HOME.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Fetch the files that fit this pattern (`*` stands for any characters) instead of those that
    /// the engine needs; may be repeated.
    #[arg(long, value_name = "GLOB")]
    files: Vec<String>,
    /// List the model's files with their sizes, and fetch nothing. A star marks what would be.
    #[arg(long)]
    list: bool,
    /// How often a request is tried again that got no answer, or a file that was cut. A try that
    /// brought a mebibyte does not count.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let args = Args::parse();
    // What was received is in the partial file already.
    let caught = ctrlc::set_handler(|| {
        message("\nstopped: what is there is kept, and the same command goes on");
        std::process::exit(INTERRUPTED);
    });
    if let Err(error) = caught {
        message(format_args!("warning: ctrl-C cannot be caught: {error}"));
    }
    match run(&args) {
        Ok(text) => print(&text),
        Err(error) => {
            message(format_args!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            message(format_args!("error: standard output cannot be written: {error}"));
            ExitCode::from(3)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Returns what is printed on standard output.
fn run(args: &Args) -> Result<String, FetchError> {
    let value = |name, value: &str, reason: &str| FetchError::Value {
        name,
        value: value.to_string(),
        reason: reason.to_string(),
    };
    let form = "an id is NAME or OWNER/NAME of letters, digits, `-`, `_` and `.`";
    let model = ModelId::parse(&args.model).ok_or_else(|| value("MODEL", &args.model, form))?;
    if !is_revision(&args.revision) {
        return Err(value("--revision", &args.revision, "a revision is a branch, a tag or a commit"));
    }
    let environment = Environment::read(|name| std::env::var(name).ok())?;
    let cache = || {
        let folder = environment.cache.as_ref().map(|cache| cache.join(model.cache_folder()));
        folder.ok_or_else(|| value("HF_HOME", "", "there is no folder for the model: set it, or give --to"))
    };
    if environment.offline {
        return offline(args, &model, args.to.as_deref(), &cache);
    }
    let origin = environment.endpoint.origin();
    if environment.token.is_some() && !origin.https && !origin.is_loopback() {
        message(format_args!("warning: the token goes to {origin} without encryption"));
    }
    let client = Client::new(&environment, args.retries as usize)?;
    let mut waiting = |reason: &str| message(format_args!("{reason}; trying again"));
    let commit = Commit::of(&client, &model, &args.revision, &mut waiting)?;
    let listed = commit.files(&mut waiting)?;
    if args.list {
        return Ok(list(args, &commit, &listed));
    }
    let folder = match &args.to {
        Some(folder) => folder.clone(),
        None => cache()?.join("snapshots").join(&commit.sha),
    };
    let done = fetch_all(args, &client, &commit, &listed, &folder)?;
    if args.to.is_none() && !is_commit(&args.revision) {
        remember(&cache()?, &args.revision, &commit.sha)?;
    }
    let bytes: u64 = done.manifest.files.iter().map(|file| file.bytes).sum();
    message(format_args!(
        "{model} at {}: {} files, {}, verified; {} fetched now",
        commit.sha,
        done.manifest.files.len(),
        size(bytes),
        size(done.fetched)
    ));
    Ok(report(args, &folder, &done.manifest, done.fetched))
}

/// A folder with everything.
struct Done {
    manifest: Manifest,
    fetched: u64,
}

fn fetch_all(
    args: &Args,
    client: &Client,
    commit: &Commit<'_>,
    listed: &[HubFile],
    folder: &Path,
) -> Result<Done, FetchError> {
    let selection = select(commit.model, listed, &args.files)?;
    let earlier = Manifest::read(folder)?;
    if let Some(earlier) = &earlier
        && (earlier.model != commit.model.to_string() || earlier.commit != commit.sha)
    {
        let wanted = format!("{} at {}", commit.model, commit.sha);
        return Err(FetchError::OtherModel { folder: folder.to_path_buf(), has: named(earlier), wanted });
    }
    let mut progress = Progress::new();
    let mut files = selection.files;
    // The small ones first: the index is among them, and what is wrong shows soon.
    files.sort_by_key(|chosen| chosen.file.bytes);
    progress.expect(files.iter().map(|chosen| chosen.file.bytes).sum());
    let (mut entries, mut fetched) = (Vec::<ManifestFile>::new(), 0);
    let mut all = |files: &[select::Chosen], progress: &mut Progress| -> Result<(), FetchError> {
        for chosen in files {
            let Fetched { entry, fetched: new } =
                download::fetch(client, commit, chosen, folder, earlier.is_some(), progress)?;
            entries.push(entry);
            fetched += new;
        }
        Ok(())
    };
    all(&files, &mut progress)?;
    if selection.needs_index {
        let path = folder.join(INDEX);
        let index = std::fs::read(&path).map_err(FetchError::storage(&path))?;
        let shards = select::shards(&index, listed)?;
        progress.expect(shards.iter().map(|chosen| chosen.file.bytes).sum());
        all(&shards, &mut progress)?;
    }
    // What an earlier call fetched of the same commit stays in the manifest.
    for file in earlier.into_iter().flat_map(|earlier| earlier.files) {
        let is_there = std::fs::metadata(folder.join(&file.path)).is_ok_and(|found| found.len() == file.bytes);
        if is_there && entries.iter().all(|entry| entry.path != file.path) {
            entries.push(file);
        }
    }
    let (endpoint, model) = (client.endpoint().to_string(), commit.model.to_string());
    let manifest = Manifest::new(endpoint, model, commit.sha.clone(), entries);
    manifest.write(folder)?;
    Ok(Done { manifest, fetched })
}

fn named(manifest: &Manifest) -> String {
    // It is a file that anybody could have written.
    format!("{:?} at {:?}", manifest.model, manifest.commit)
}

/// Writes which commit a branch was, as other programs do and read.
fn remember(cache: &Path, revision: &str, commit: &str) -> Result<(), FetchError> {
    let path = cache.join("refs").join(revision);
    let write = || {
        std::fs::create_dir_all(path.parent().expect("it is below refs"))?;
        std::fs::write(&path, commit)
    };
    write().map_err(FetchError::storage(path.clone()))
}

/// Verifies what an earlier call fetched, and connects to nothing.
fn offline(
    args: &Args,
    model: &ModelId,
    to: Option<&Path>,
    cache: &dyn Fn() -> Result<PathBuf, FetchError>,
) -> Result<String, FetchError> {
    let lacks = |folder: &Path, reason: &str| FetchError::Offline {
        model: model.to_string(),
        folder: folder.to_path_buf(),
        reason: reason.to_string(),
    };
    let folder = match to {
        Some(folder) => folder.to_path_buf(),
        None => {
            let cache = cache()?;
            let commit = if is_commit(&args.revision) {
                args.revision.clone()
            } else {
                let known = std::fs::read_to_string(cache.join("refs").join(&args.revision));
                let known = known.map(|text| text.trim().to_string()).ok().filter(|text| is_commit(text));
                known.ok_or_else(|| lacks(&cache, &format!("the commit of {} is not known", args.revision)))?
            };
            cache.join("snapshots").join(commit)
        }
    };
    let manifest = Manifest::read(&folder)?.ok_or_else(|| lacks(&folder, "there is no maspo-manifest.json"))?;
    let other_commit = is_commit(&args.revision) && manifest.commit != args.revision;
    if manifest.model != model.to_string() || other_commit {
        return Err(lacks(&folder, &format!("there is {}", named(&manifest))));
    }
    if args.list {
        let line = |file: &ManifestFile| format!("* {:>14}  {}\n", file.bytes, file.path);
        return Ok(manifest.files.iter().map(line).collect());
    }
    for file in &manifest.files {
        let path = FilePath::parse(&file.path).expect("the manifest was checked");
        let listed =
            HubFile { path: file.path.clone(), bytes: file.bytes, digest: Listed::Sha256(file.sha256.clone()) };
        match verify(&path.below(&folder), &listed)? {
            Found::Right(_) => (),
            Found::Nothing => return Err(lacks(&folder, &format!("{path} is missing"))),
            Found::Other => return Err(lacks(&folder, &format!("{path} is not as it was fetched"))),
        }
    }
    message(format_args!("{model} at {}: {} files, verified, offline", manifest.commit, manifest.files.len()));
    Ok(report(args, &folder, &manifest, 0))
}

fn list(args: &Args, commit: &Commit<'_>, listed: &[HubFile]) -> String {
    let selection = select(commit.model, listed, &args.files);
    let chosen = |file: &HubFile| match &selection {
        Ok(selection) if selection.needs_index && file.path.ends_with(".safetensors") => !file.path.contains('/'),
        Ok(selection) => selection.files.iter().any(|chosen| chosen.path.as_str() == file.path),
        Err(_) => false,
    };
    if args.json {
        let file = |file: &HubFile| json!({ "path": file.path, "bytes": file.bytes, "chosen": chosen(file) });
        let (model, sha) = (commit.model.to_string(), &commit.sha);
        let files: Vec<_> = listed.iter().map(file).collect();
        return format!(
            "{}\n",
            json!({ "schema": 1, "command": "list", "model": model, "commit": sha, "files": files })
        );
    }
    if let Err(error) = &selection {
        message(format_args!("note: {error}"));
    }
    let line = |file: &HubFile| {
        let mark = if chosen(file) { '*' } else { ' ' };
        format!("{mark} {:>14}  {}\n", file.bytes, select::shown(&file.path))
    };
    listed.iter().map(line).collect()
}

fn report(args: &Args, folder: &Path, manifest: &Manifest, fetched: u64) -> String {
    if !args.json {
        return format!("{}\n", folder.display());
    }
    let object = json!({
        "schema": 1,
        "command": "fetch",
        "endpoint": manifest.endpoint,
        "model": manifest.model,
        "commit": manifest.commit,
        "folder": folder.display().to_string(),
        "fetched_bytes": fetched,
        "files": manifest.files,
    });
    format!("{object}\n")
}
