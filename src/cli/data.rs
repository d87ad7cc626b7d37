//! `maspo data`: Look at data files. `check` says what the file of a benchmark set holds and what
//! is wrong with it, before any model runs.

use super::output::{print, print_json};
use super::{CliError, Exit};
use crate::task::{Defect, References, Suite, SuiteFile, check_suite};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The most defects that are listed for people; `--json` lists all.
const LISTED_DEFECTS: usize = 40;

/// Look at data files.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Check(CheckArgs),
}

/// Say what the file of a benchmark set holds, and what is wrong with it.
#[derive(clap::Args, Debug)]
struct CheckArgs {
    /// The JSONL file.
    file: PathBuf,
    /// The set that it is of.
    #[arg(long, value_parser = suite())]
    suite: Suite,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

fn suite() -> impl TypedValueParser<Value = Suite> {
    let named = |name: String| Suite::ALL.into_iter().find(|suite| suite.name() == name).ok_or("no such set");
    PossibleValuesParser::new(Suite::ALL.map(Suite::name)).try_map(named)
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let Command::Check(args) = args.command;
    let found = check_suite(&args.file, args.suite).map_err(|faults| {
        let is_private = args.suite.is_private();
        CliError::bad_inputs(faults.into_iter().map(|fault| if is_private { fault.without_text() } else { fault }))
    })?;
    if args.json {
        print_json(&facts(&args, &found))?;
    } else {
        print(summary(&args, &found))?;
    }
    Ok(Exit::Ok)
}

fn facts(args: &CheckArgs, found: &SuiteFile) -> Value {
    let references = match &found.references {
        References::None => Value::Null,
        References::NotRun(reason) => json!({"not_run": reason}),
        References::Run { passed, all } => json!({"passed": passed, "all": all}),
    };
    let convention = args.suite.scorer().convention();
    json!({
        "schema": 1,
        "command": "data check",
        "file": args.file,
        "suite": args.suite.name(),
        "rows": found.rows,
        "published_rows": args.suite.published_rows(),
        "digest": found.digest,
        "fields": found.fields,
        "question": found.shape.question,
        "gold": found.shape.gold,
        "id": found.shape.id,
        "parts": found.parts,
        "private": args.suite.is_private(),
        "scorer": convention.scorer,
        "scorer_version": convention.version,
        "references": references,
        "defect_counts": counts(&found.defects),
        "defects": found.defects,
    })
}

fn counts(defects: &[Defect]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for defect in defects {
        *counts.entry(defect.kind.name()).or_default() += 1;
    }
    counts
}

fn summary(args: &CheckArgs, found: &SuiteFile) -> String {
    let suite = args.suite;
    let mut text = format!("{}: {}\n\n", args.file.display(), suite.title());
    let mut line = |what: &str, facts: String| text.push_str(&format!("{what:<10} {facts}\n"));
    let published = suite.published_rows();
    let rows = found.rows;
    line("rows", if rows == published { rows.to_string() } else { format!("{rows}; the whole set has {published}") });
    if !found.parts.is_empty() {
        line("parts", found.parts.iter().map(|(part, rows)| format!("{part}: {rows}")).collect::<Vec<_>>().join(", "));
    }
    line("digest", format!("blake3 {}", found.digest));
    let field = |(name, count): (&String, &usize)| match *count {
        count if count == rows => name.clone(),
        count => format!("{name} (in {count} rows)"),
    };
    line("fields", found.fields.iter().map(field).collect::<Vec<_>>().join(", "));
    line("question", found.shape.question.join(", "));
    let convention = suite.scorer().convention();
    line("gold", format!("{}, by scorer {}, version {}", found.shape.gold, convention.scorer, convention.version));
    match &found.references {
        References::None => {}
        References::NotRun(reason) => line("references", format!("not run: {reason}")),
        References::Run { passed, all } => line("references", format!("{passed} of {all} pass their own tests")),
    }
    if suite.is_private() {
        line("private", "no row is shown; a question's name is the start of its digest".to_string());
    }
    line("defects", if found.defects.is_empty() { "none".to_string() } else { found.defects.len().to_string() });
    for defect in found.defects.iter().take(LISTED_DEFECTS) {
        let Defect { line, id, question, kind, problem } = defect;
        let (kind, question) = (kind.name(), question.short());
        text.push_str(&format!("  line {line} (id `{id}`, question {question}): {kind}: {problem}\n"));
    }
    if found.defects.len() > LISTED_DEFECTS {
        text.push_str(&format!("  and {} more; --json lists all\n", found.defects.len() - LISTED_DEFECTS));
    }
    text
}
