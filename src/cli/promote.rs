//! `maspo promote` and `maspo rollback`: which bundle is in use.

use super::output::{print, print_json};
use super::team::bundle_error;
use super::verify::verified;
use super::{CliError, Exit};
use crate::base::printable;
use crate::bundle::{Release, Released, promote, releases, rollback};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Put a bundle into use in a folder, which keeps all that were in use before
#[derive(clap::Args, Debug)]
pub(super) struct PromoteArgs {
    /// The bundle.
    bundle: PathBuf,
    /// The folder of releases; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The public key that must have signed the bundle: a minisign key file, or the line of base64
    /// in it.
    #[arg(long)]
    key: Option<String>,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Put the bundle that was in use before into use again
#[derive(clap::Args, Debug)]
pub(super) struct RollbackArgs {
    /// The folder of releases.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run_promote(args: PromoteArgs) -> Result<Exit, CliError> {
    verified(&args.bundle, args.key.as_deref())?;
    let release = promote(&args.bundle, &args.to).map_err(|error| bundle_error(&error))?;
    tell("promote", &args.to, &release, args.json)
}

pub(super) fn run_rollback(args: RollbackArgs) -> Result<Exit, CliError> {
    let release = rollback(&args.to).map_err(|error| bundle_error(&error))?;
    tell("rollback", &args.to, &release, args.json)
}

fn tell(command: &str, dir: &Path, release: &Release, json: bool) -> Result<Exit, CliError> {
    let standing = releases(dir).map_err(|error| bundle_error(&error))?;
    if json {
        print_json(&json!({
            "schema": 1,
            "command": command,
            "dir": dir,
            "current": release.current,
            "before": release.before,
            "releases": standing,
        }))?;
        return Ok(Exit::Ok);
    }
    let line = |released: &Released| {
        let Released { number, hash, name, created } = released;
        format!("release {number}, {} (`{}`, made {created})", hash.short(), printable(name))
    };
    let mut text = format!("in use   {}\n", line(&release.current));
    if let Some(before) = &release.before {
        text += &format!("before   {}\n", line(before));
    }
    text += &format!("bundle   {}\n", dir.join("bundle.json").display());
    if standing.len() > 1 {
        text +=
            &format!("go back  maspo rollback --to {}\n", shlex::try_quote(&dir.to_string_lossy()).unwrap_or_default());
    }
    print(text)?;
    Ok(Exit::Ok)
}
