//! Judges programs from JSON lines: `judge [--python PATH] [--unsafe-exec] < rows.jsonl`.
//!
//! A row is `{"id", "output", "tests", "imports"?, "entry_point"?}`; the answer to it, in the same
//! order, is `{"id", "outcome", "detail"}`.

use maspo_sandbox::{Limits, Program, Sandbox, SandboxOptions};
use serde::Deserialize;
use std::error::Error;
use std::io::{self, BufRead, Write};

#[derive(Deserialize)]
struct Row {
    id: serde_json::Value,
    output: String,
    tests: Vec<String>,
    #[serde(default)]
    imports: Vec<String>,
    #[serde(default)]
    entry_point: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = SandboxOptions::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--unsafe-exec" => options.unsafe_exec = true,
            "--python" => options.python = arguments.next().map(Into::into),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        rows.push(serde_json::from_str(&line?).map_err(|error| format!("line {number}: {error}"))?);
    }
    let sandbox = Sandbox::probe(&options)?;
    eprintln!("{}", sandbox.parts().join(", "));
    let program = |row: &'static Row| Program {
        output: &row.output,
        tests: &row.tests,
        imports: &row.imports,
        entry_point: row.entry_point.as_deref(),
    };
    let rows: &'static [Row] = rows.leak();
    let programs: Vec<Program<'_>> = rows.iter().map(program).collect();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (row, verdict) in rows.iter().zip(sandbox.judge_all(&programs, &Limits::default())?) {
        let answer = serde_json::json!({ "id": row.id, "outcome": verdict.outcome, "detail": verdict.detail });
        writeln!(out, "{answer}")?;
    }
    Ok(out.flush()?)
}
