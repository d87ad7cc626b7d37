//! `maspo grade`: Score outputs that are at hand, with the scorers that experiments use.

use super::jsonl::{Input, Output, parse};
use super::settings::check_scorer;
use super::{CliError, Exit};
use crate::task::{Convention, Outcome, Pattern, Scored, Scorer, Tests, Tolerance, letter_of_option};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The most faulty lines that are listed.
const MAX_FAULTS: usize = 20;

/// Score outputs that are at hand, with the scorers that experiments use
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// How an output is compared with the gold answer.
    #[arg(long, value_enum)]
    scorer: Kind,
    /// One JSON object a line: `id`, `output` and `gold`, for letters also `options` (their texts);
    /// for code `id`, `output`, `tests`, `imports` and `entry_point`. `-` is standard input.
    #[arg(long)]
    input: PathBuf,
    /// Where the outcomes go; default is standard output.
    #[arg(long)]
    output: Option<PathBuf>,
    /// For labels: the allowed answers, with commas between them.
    #[arg(long, value_delimiter = ',', required_if_eq("scorer", "label"))]
    labels: Vec<String>,
    /// For regex: the expression; its last match, or the first group there, is the answer.
    #[arg(long, value_parser = Pattern::new, required_if_eq("scorer", "regex"))]
    pattern: Option<Pattern>,
    /// For json: the field of the output's last JSON object, or a dotted path.
    #[arg(long, required_if_eq("scorer", "json"))]
    field: Option<String>,
    /// For numbers: how far the answer may be from the gold answer.
    #[arg(long, default_value_t = 0.0, value_parser = tolerance)]
    abs_tol: f64,
    /// For numbers: the same as a share of the gold answer.
    #[arg(long, default_value_t = 0.0, value_parser = tolerance)]
    rel_tol: f64,
    /// For mathematics: accept answers that are rounded to the digits of the gold answer.
    #[arg(long)]
    round_to_gold: bool,
    /// For code: run programs although this machine cannot confine them. They can then do what you
    /// can do.
    #[arg(long)]
    unsafe_exec: bool,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// The scorers by name.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Mathematics, by value.
    Math,
    /// A choice from A to J.
    Letter,
    /// One of the labels.
    Label,
    /// The same text but for white space.
    Text,
    /// Python programs, by their tests.
    Code,
    /// What a regular expression finds.
    Regex,
    /// A number within a tolerance.
    Number,
    /// A field of a JSON object.
    Json,
}

/// One line of the input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Value,
    output: String,
    gold: Option<Value>,
    options: Option<Vec<String>>,
    tests: Option<Vec<String>>,
    imports: Option<Vec<String>>,
    entry_point: Option<String>,
}

/// A line that can be scored.
struct Row {
    id: Value,
    output: String,
    gold: String,
    options: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let scorer = scorer(&args);
    let input = Input::open(&args.input)?;
    let mut faults = Vec::new();
    let rows = input.read_all(|line| row(&scorer, line), &mut faults)?;
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(MAX_FAULTS);
        faults.truncate(MAX_FAULTS);
        if more > 0 {
            faults.push(format!("{more} more lines are wrong"));
        }
        return Err(CliError::bad_inputs(faults));
    }
    check_scorer(&scorer)?;
    let pairs: Vec<_> = rows.iter().map(|row| (row.output.as_str(), row.gold.as_str())).collect();
    let mut scored = scorer.score_all(&pairs).map_err(|error| CliError::new(Exit::Environment, error))?;
    if scorer == Scorer::Letter {
        scored.iter_mut().zip(&rows).for_each(|(scored, row)| accept_option(&scorer, scored, row));
    }
    let mut output = Output::open(args.output.as_deref(), args.json, &input)?;
    write(&mut output, &scorer.convention(), &rows, &scored).map_err(super::jsonl::unwritable)?;
    Ok(Exit::Ok)
}

fn scorer(args: &Args) -> Scorer {
    match args.scorer {
        Kind::Math => Scorer::Math { round_to_gold: args.round_to_gold },
        Kind::Letter => Scorer::Letter,
        Kind::Label => Scorer::Label { labels: args.labels.clone() },
        Kind::Text => Scorer::Text,
        Kind::Code => Scorer::Code { unsafe_exec: args.unsafe_exec },
        Kind::Regex => Scorer::Regex { pattern: args.pattern.clone().expect("clap requires it") },
        Kind::Number => Scorer::Number { tolerance: Tolerance { abs: args.abs_tol, rel: args.rel_tol } },
        Kind::Json => Scorer::Json { field: args.field.clone().expect("clap requires it") },
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if f64::is_finite(value) && value >= 0.0 => Ok(value),
        _ => Err("a number of 0 or more is needed".to_string()),
    }
}

/// Reads a line. Its fault is one that makes every score of it meaningless.
fn row(scorer: &Scorer, line: &str) -> Result<Row, String> {
    let Line { id, output, gold, options, tests, imports, entry_point } = parse(line)?;
    if !(id.is_string() || id.is_number()) {
        return Err("`id` must be text or a number".to_string());
    }
    let is_code = matches!(scorer, Scorer::Code { .. });
    let gold = match (is_code, gold, tests) {
        (true, None, Some(tests)) if tests.iter().any(|test| !test.trim().is_empty()) => {
            let tests = Tests { tests, imports: imports.unwrap_or_default(), entry_point };
            serde_json::to_string(&tests).expect("tests are plain data")
        }
        (true, Some(_), _) => return Err("`gold` is not for code, which is judged by `tests`".to_string()),
        (true, None, _) => return Err("`tests` is missing: code is judged by them".to_string()),
        (false, Some(Value::String(gold)), None) => gold,
        (false, Some(Value::Number(gold)), None) => gold.to_string(),
        (false, Some(Value::Bool(gold)), None) => gold.to_string(),
        (false, Some(_), None) => return Err("`gold` must be text, a number, true or false".to_string()),
        (false, None, _) => return Err("`gold` is missing".to_string()),
        (false, Some(_), Some(_)) => return Err("`tests` is for `--scorer code`".to_string()),
    };
    scorer.gold(&gold).map_err(|fault| fault.to_string())?;
    let options = options.unwrap_or_default();
    if !options.is_empty() && *scorer != Scorer::Letter {
        return Err("`options` is for `--scorer letter`".to_string());
    }
    Ok(Row { id, output, gold, options })
}

/// Takes an option's own text for its letter, where no letter was found.
fn accept_option(scorer: &Scorer, scored: &mut Scored, row: &Row) {
    if scored.outcome != Outcome::Unparsable {
        return;
    }
    if let Some(letter) = letter_of_option(&row.output, &row.options) {
        let letter = letter.to_string();
        let is_gold = scorer.gold(&row.gold).is_ok_and(|gold| gold == letter);
        scored.outcome = if is_gold { Outcome::Correct } else { Outcome::Wrong };
        scored.answer = Some(letter);
    }
}

fn write(output: &mut Output, convention: &Convention, rows: &[Row], scored: &[Scored]) -> std::io::Result<()> {
    let head = json!({ "schema": 1, "command": "grade", "scorer": convention.scorer });
    output.begin_list(&head.as_object().cloned().unwrap_or_default(), "rows")?;
    for (at, (row, scored)) in rows.iter().zip(scored).enumerate() {
        let mut line = json!({ "id": row.id, "outcome": scored.outcome, "answer": scored.answer });
        if let Some(detail) = &scored.detail {
            line["detail"] = json!(detail);
        }
        output.answer(&line, at == 0)?;
    }
    let count = |outcome| scored.iter().filter(|scored| scored.outcome == outcome).count();
    let counts: Map<String, Value> =
        Outcome::ALL.into_iter().map(|outcome| (outcome.name().to_string(), json!(count(outcome)))).collect();
    let tail = json!({ "counts": counts, "scorer_version": convention.version, "convention": convention.rules });
    output.end(&tail.as_object().cloned().unwrap_or_default())
}
