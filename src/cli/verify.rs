//! `maspo verify`: whether a bundle is as it was made, and by whom it was signed.

use super::output::{print, print_json};
use super::team::bundle_error;
use super::{CliError, Exit};
use crate::base::printable;
use crate::bundle::{Bundle, SignError, VerifyingKey};
use crate::report::{Estimate, VerdictFigures};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check that a bundle is as it was made: its hash, its graph, and its signature
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The bundle, or a folder of releases, whose bundle in use is checked.
    bundle: PathBuf,
    /// The public key that must have signed it: a minisign key file, or the line of base64 in it.
    #[arg(long)]
    key: Option<String>,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let path = file_of(&args.bundle);
    let (bundle, signed) = verified(&path, args.key.as_deref())?;
    if args.json {
        print_json(&json!({
            "schema": 1,
            "command": "verify",
            "bundle": path,
            "hash": bundle.hash,
            "name": bundle.team.name,
            "agents": bundle.team.graph.agents.len(),
            "edges": bundle.team.graph.edges.len(),
            "signature": signed.as_ref().map(|comment| json!({"accepted": true, "comment": comment})),
            "reviewer": bundle.review.as_ref().map(|review| &review.reviewer),
            "created": bundle.created,
            "parent": bundle.parent,
            "evidence": bundle.evidence,
        }))?;
    } else {
        print(text(&path, &bundle, signed.as_deref()))?;
    }
    Ok(Exit::Ok)
}

/// Returns the file of a bundle: of a folder of releases, the one in use.
pub(super) fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("bundle.json") } else { path.to_path_buf() }
}

/// Reads a bundle and checks it. With a key its signature is checked, too; its comment is returned.
pub(super) fn verified(path: &Path, key: Option<&str>) -> Result<(Bundle, Option<String>), CliError> {
    let key = key.map(VerifyingKey::open).transpose().map_err(|error| sign_error(&error))?;
    let bundle = Bundle::read(path).map_err(|error| bundle_error(&error))?;
    // A bundle that was read has exactly the bytes that are written for it.
    let signed = key.map(|key| key.verify(path, bundle.text().as_bytes())).transpose();
    Ok((bundle, signed.map_err(|error| sign_error(&error))?))
}

/// Gives the error of a key or a signature its exit code.
pub(super) fn sign_error(error: &SignError) -> CliError {
    CliError::bad_input(error)
}

/// Returns what people read of a bundle that was checked.
fn text(path: &Path, bundle: &Bundle, signed: Option<&str>) -> String {
    let graph = &bundle.team.graph;
    let mut text =
        format!("bundle     {}: `{}`, made {}\n", path.display(), printable(&bundle.team.name), bundle.created);
    text += &format!("hash       {}, as it was made\n", bundle.hash);
    text += &format!("graph      {} agents and {} edges, sound\n", graph.agents.len(), graph.edges.len());
    text += &match signed {
        Some(comment) => format!("signature  accepted: {}\n", printable(comment)),
        None => "signature  not checked: give --key\n".to_string(),
    };
    text += &evidence(bundle);
    text += &match &bundle.review {
        Some(review) => format!("reviewer   {}, {}\n", printable(&review.reviewer), review.time),
        None => "reviewer   none\n".to_string(),
    };
    if let Some(parent) = bundle.parent {
        text += &format!("parent     {parent}\n");
    }
    text
}

/// Returns the lines of a bundle's evidence.
pub(super) fn evidence(bundle: &Bundle) -> String {
    let evidence = &bundle.evidence;
    let mut text = String::new();
    if let Some(test) = &evidence.test {
        let (low, high) = test.difference.ci95;
        text += &format!(
            "test       {:.3} before, {:.3} with these prompts on {} cases: {:+.3} (95 % interval {low:+.3} to \
             {high:+.3}, {}): {}\n",
            test.seed.accuracy,
            test.prompts.accuracy,
            test.n,
            test.difference.value,
            p_value(test.difference.mcnemar_p),
            test.verdict.words()
        );
    }
    if let Some(pool) = &evidence.pool {
        let (low, high) = pool.ci95;
        let range = match pool.anytime {
            true => format!("at least {low:.2} whenever it was stopped"),
            false => format!("95 % interval {low:.2} to {high:.2}"),
        };
        let (mean, n, says) = (pool.mean, pool.n, pool.verdict.words());
        text += &format!("pool       judged {mean:.2} on {n} queries (0.50 is a tie; {range}): {says}\n");
    }
    text += &evidence.verdicts.as_ref().map_or(String::new(), verdicts);
    if text.is_empty() { "evidence   none: these prompts were not measured\n".to_string() } else { text }
}

/// Returns the lines about verdicts on the labels.
fn verdicts(figures: &VerdictFigures) -> String {
    let estimate = |name: &str, estimate: &Estimate| {
        let Estimate { value, ci95: (low, high) } = estimate;
        format!("{name} {value:.3} (95 % interval {low:.3} to {high:.3})")
    };
    let mut facts = Vec::new();
    facts.extend(figures.roc_area.as_ref().map(|area| estimate("ROC area", area)));
    facts.extend(figures.average_precision.as_ref().map(|precision| estimate("average precision", precision)));
    facts.extend(figures.calibration_error.map(|error| format!("calibration error {error:.3}")));
    let mut text = String::new();
    if !facts.is_empty() {
        text += &format!("verdicts   {}\n", facts.join(", "));
    }
    if let Some(threshold) = &figures.threshold {
        text += &format!("threshold  {}\n", threshold.words());
    }
    text
}

/// Formats a p-value. A bundle keeps six decimals of it.
fn p_value(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_string() } else { format!("p = {p:.4}") }
}
