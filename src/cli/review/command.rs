//! The command: it opens the run, asks its source of decisions, and writes the bundle.

use super::super::output::{colour, print, print_json, print_message};
use super::super::progress::Progress;
use super::super::recorded;
use super::super::settings::{bill_line, chat_error};
use super::super::team::bundle_error;
use super::super::verify::{evidence, sign_error};
use super::super::{CliError, Exit};
use super::decider::{Decider, FromFile};
use super::terminal::Terminal;
use crate::base::{Digest, unix_seconds};
use crate::bundle::{Bundle, SigningKey, bundle_of_run, open_bundle, signature_path, utc};
use crate::chat::ModelRole;
use crate::config::ModelCheck;
use crate::journal::{self, write_file};
use crate::remote::BaseUrl;
use crate::review::{Conclusion, Session, SessionError, conclude};
use crate::run::Observer;
use serde_json::json;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// Review the changes of a finished run, agent by agent, and make a bundle of what is accepted
#[derive(clap::Args, Debug)]
pub(in super::super) struct Args {
    /// The folder of the run.
    run: PathBuf,
    /// Take the decisions from this file instead of asking at the terminal.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Where the bundle goes; default is `bundle.json` in the run's folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a bundle that is there already.
    #[arg(long)]
    force: bool,
    /// Who decides; default is the name of the user.
    #[arg(long, value_name = "NAME")]
    reviewer: Option<String>,
    /// The bundle that the new one follows, or a folder of releases, whose bundle in use it
    /// follows.
    #[arg(long, value_name = "BUNDLE")]
    parent: Option<PathBuf>,
    /// How many queries of the pool a change is measured on.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    queries: u32,
    /// Score prompts that are not those of the run on the test cases, too. Every look at them makes
    /// them less of a test.
    #[arg(long)]
    check_test: bool,
    /// Write the bundle although what was measured says that it is worse than the seed prompts.
    #[arg(long)]
    even_if_worse: bool,
    /// Sign the bundle with this minisign secret key.
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// The file that holds the key's password; without one it is asked for at the terminal.
    #[arg(long, value_name = "FILE", requires = "sign")]
    password_file: Option<PathBuf>,
    /// Print one versioned JSON object on stdout. It needs --decisions.
    #[arg(long, requires = "decisions")]
    json: bool,
}

impl Args {
    /// Returns the URLs of servers that the run's experiment names.
    pub(in super::super) fn endpoints(&self) -> Vec<BaseUrl> {
        recorded::endpoints(&self.run)
    }
}

pub(in super::super) fn run(args: Args) -> Result<Exit, CliError> {
    let at_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if args.decisions.is_none() && !at_terminal {
        return Err(CliError::bad_input(
            "there is no terminal to ask at: give the decisions as --decisions FILE (docs/production.md says how)",
        ));
    }
    let out = args.out.clone().unwrap_or_else(|| args.run.join("bundle.json"));
    if out.exists() && !args.force {
        let message = format!("{} exists: --force replaces it, --out names another file", out.display());
        return Err(CliError::bad_input(message));
    }
    // All that can be wrong with the command line is found before a model is opened.
    let of_run = bundle_of_run(&args.run).map_err(|error| bundle_error(&error))?;
    let parent: Option<Digest> = match &args.parent {
        Some(parent) => Some(open_bundle(parent).map_err(|error| bundle_error(&error))?.hash),
        None => None,
    };
    let key =
        args.sign.as_deref().map(|key| signing_key(key, args.password_file.as_deref(), at_terminal)).transpose()?;
    let record = journal::read(&args.run).map_err(|error| bundle_error(&error.into()))?;
    let record = record.ok_or_else(|| CliError::bad_input(format!("no run has begun in {}", args.run.display())))?;
    let settings = recorded::settings(&record, ModelCheck::Files).map_err(|reason| {
        CliError::bad_input(format!(
            "the experiment of the run in {} cannot be read again: {reason}; review it in the folder that the run was \
             started in, with the files as they were",
            args.run.display()
        ))
    })?;
    for warning in &settings.warnings {
        print_message(format_args!("warning: {warning}"));
    }
    let mut progress = Progress::new()?;
    let session =
        Session::open(&settings, &args.run, &of_run, args.queries as usize, &mut progress).map_err(session_error)?;
    for note in session.notes() {
        print_message(format_args!("warning: {note}"));
    }
    if session.changed().is_empty() {
        return Err(CliError::bad_input(format!("the run in {} changed no prompt", args.run.display())));
    }

    let user = std::env::var("USER").ok().filter(|name| !name.trim().is_empty());
    let reviewer = args.reviewer.clone().or(user);
    let mut decider: Box<dyn Decider> = match &args.decisions {
        Some(file) => {
            let reviewer = args.reviewer.as_deref().or(reviewer.as_deref());
            Box::new(FromFile { file, reviewer, even_if_worse: args.even_if_worse })
        }
        None => Box::new(Terminal::new(io::stdin().lock(), reviewer.clone(), colour(), progress.cancel())),
    };
    let Some(decisions) = decider.decide(&session, &of_run)? else {
        print_message("ended without a decision; no bundle is written");
        return Ok(Exit::RunFailed);
    };
    if decisions.prompts(session.seed_prompts(), session.optimized()) != *session.optimized() {
        print_message("measuring these prompts, which are not those of the run");
    }
    let time = utc(unix_seconds());
    let conclusion = conclude(&session, &of_run, &decisions, args.check_test, parent, &time).map_err(chat_error)?;
    let confirmed = decider.confirm(&conclusion)?;
    match &conclusion {
        Conclusion::NothingAccepted => {
            print_message("every change was rejected, so the seed prompts stay; no bundle is written");
            Ok(Exit::RunFailed)
        }
        Conclusion::Bundle { bundle, .. } if !confirmed => {
            match &args.decisions {
                Some(_) => print_message(format_args!(
                    "{}they are worse than the seed prompts, so no bundle is written; --even-if-worse writes it",
                    evidence(bundle)
                )),
                None => print_message("no bundle is written"),
            }
            Ok(Exit::RunFailed)
        }
        Conclusion::Bundle { bundle, rechecked, .. } => {
            bundle.write(&out).map_err(|error| bundle_error(&error))?;
            sign(&out, bundle, key.as_ref())?;
            tell(&args, &out, (bundle, *rechecked), key.is_some(), &session)
        }
    }
}

fn tell(
    args: &Args,
    out: &Path,
    (bundle, rechecked): (&Bundle, bool),
    signed: bool,
    session: &Session<'_>,
) -> Result<Exit, CliError> {
    if args.json {
        print_json(&json!({
            "schema": 1,
            "command": "review",
            "bundle": out,
            "hash": bundle.hash,
            "review": bundle.review,
            "rechecked": rechecked,
            "evidence": bundle.evidence,
            "parent": bundle.parent,
            "signed": signed,
            "ledger": {
                "worker": session.bill(ModelRole::Worker),
                "judge": session.bill(ModelRole::Judge),
            },
        }))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for decided in bundle.review.iter().flat_map(|review| &review.decisions) {
        text += &format!("{:<9}  {}\n", decided.decision, decided.agent);
    }
    text += match rechecked {
        true => "measured   again, because these prompts are not those of the run\n",
        false => "measured   by the run\n",
    };
    text += &evidence(bundle);
    text += &format!("worker     {}\n", bill_line(&session.bill(ModelRole::Worker)));
    text += &format!("bundle     {}{}\n", out.display(), if signed { ", signed" } else { "" });
    text += &format!("hash       {}\n", bundle.hash);
    print(text)?;
    Ok(Exit::Ok)
}

/// Writes the signature of a bundle that was written. An older one must not outlive its bundle.
fn sign(out: &Path, bundle: &Bundle, key: Option<&SigningKey>) -> Result<(), CliError> {
    let path = signature_path(out);
    let unwritable =
        |reason: String| CliError::new(Exit::Environment, format!("{} cannot be written: {reason}", path.display()));
    let Some(key) = key else {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(error.to_string())),
            _ => Ok(()),
        };
    };
    let reviewer = bundle.review.as_ref().map_or("nobody", |review| &review.reviewer);
    // A comment of a signature is one line.
    let reviewer: String = reviewer.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let comment = format!("maspo bundle {} reviewed by {reviewer} {}", bundle.hash.short(), bundle.created);
    let signature = key.sign(bundle.text().as_bytes(), &comment).map_err(|error| sign_error(&error))?;
    write_file(&path, &signature).map_err(|error| unwritable(error.to_string()))
}

/// Opens the key, whose password is in a file or is asked for.
fn signing_key(key: &Path, password_file: Option<&Path>, at_terminal: bool) -> Result<SigningKey, CliError> {
    let password = match password_file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            CliError::bad_input(format!("--password-file {} cannot be read: {error}", file.display()))
        })?),
        None => None,
    };
    let password = password.as_deref().map(|text| text.trim_end_matches(['\r', '\n']));
    match password {
        None if at_terminal => SigningKey::open_asking(key),
        password => SigningKey::open(key, password),
    }
    .map_err(|error| sign_error(&error))
}

fn session_error(error: SessionError) -> CliError {
    match error {
        SessionError::Run(error) => error.into(),
        error => CliError::bad_input(error),
    }
}
