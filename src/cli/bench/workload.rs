//! `maspo bench --workload maspo`: a recorded step of a search, replayed in every mode.

use super::super::output::print_message;
use super::super::{CliError, Exit};
use super::{Args, MAX_ROUNDS, headline, open, print_json, print_table_line, spread};
use crate::chat::ModelRole;
use crate::engine::{EngineOptions, ModelSource};
use crate::throughput::{Mode, ModeFigures, Workload, measure_step};
use serde_json::json;

/// The recorded steps that can be replayed.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(super) enum Recording {
    /// One mini-batch step of MASPO: 2 parents, 2 candidates each, 10 queries, three agents, all
    /// comparisons.
    Maspo,
}

pub(super) fn run(args: &Args, Recording::Maspo: Recording) -> Result<Exit, CliError> {
    let whole = Workload::recorded();
    let queries = args.queries.unwrap_or(whole.queries());
    check(args, queries, whole.queries())?;
    let workload = whole.with_queries(queries);
    let source = ModelSource::parse(&args.model).map_err(CliError::bad_input)?;
    let options = EngineOptions {
        threads: args.threads,
        kv_tokens: args.kv_tokens,
        // Texts are random tokens, and mostly the weights are random too. Their outputs repeat
        // themselves, so drafts would gain what they gain on no real text.
        draft_tokens: args.draft_tokens.unwrap_or(0),
        ..EngineOptions::default()
    };
    let options = args.device.with(options);
    let mut opened = open(args, &source, args.dtype[0], &options)?;
    let (longest, limit) = (workload.longest(), opened.engine.limit());
    if longest > limit {
        let message = format!("the recorded step has a call of {longest} tokens, but {limit} fit into the model");
        return Err(CliError::bad_input(message));
    }
    let [worker, optimizer, judge] = ModelRole::ALL.map(|role| workload.count(role));
    let calls = format!("{worker} worker, {optimizer} optimizer and {judge} judge calls");
    print_table_line(args, &headline(args, &source, &opened))?;
    print_table_line(
        args,
        &format!("recorded step of {queries} queries: {calls}; median (least-greatest), rounds: {}", args.rounds),
    )?;
    let progress = |round, mode: Mode, seconds| {
        print_message(format_args!("round {round}: {:<24} {seconds:>10.3} s", mode.name()));
    };
    let figures = measure_step(&mut opened, &options, &workload, args.rounds, progress)
        .map_err(|error| CliError::new(Exit::RunFailed, error))?;
    print_table_line(
        args,
        "calls made                prefilled     reused    decoded    drafted   accepted   \
        seconds                     of the first",
    )?;
    for figures in &figures {
        print_table_line(args, &row(figures))?;
    }
    print_table_line(args, "all modes gave the same tokens and scores")?;
    let modes: Vec<_> = figures.iter().map(named).collect();
    let figures = json!({
        "workload": "maspo",
        "queries": queries,
        "calls": { "worker": worker, "optimizer": optimizer, "judge": judge },
        "rounds": args.rounds,
        "draft_tokens": options.draft_tokens,
        "answers_identical": true,
        "modes": modes,
    });
    print_json(args, &source, &opened, figures)?;
    Ok(Exit::Ok)
}

fn check(args: &Args, queries: usize, recorded: usize) -> Result<(), CliError> {
    let mut faults = Vec::new();
    if !(1..=recorded).contains(&queries) {
        faults.push(format!("--queries must be between 1 and {recorded}, the queries of the recorded step"));
    }
    if !(1..=MAX_ROUNDS).contains(&args.rounds) {
        faults.push(format!("--rounds must be between 1 and {MAX_ROUNDS}"));
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::bad_inputs(faults)) }
}

fn named(figures: &ModeFigures) -> serde_json::Value {
    let mut object = json!({ "name": figures.mode.name() });
    let fields = serde_json::to_value(figures).expect("numbers are plain data");
    if let (Some(object), serde_json::Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}

fn row(figures: &ModeFigures) -> String {
    format!(
        "{:<24}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}   {:<26}  {}",
        figures.mode.name(),
        figures.prefilled_tokens,
        figures.reused_tokens,
        figures.decoded_tokens,
        figures.drafted_tokens,
        figures.accepted_tokens,
        spread(figures.seconds, " s"),
        spread(figures.speedup_of_first, " x"),
    )
}
