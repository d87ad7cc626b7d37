//! The command line: one file per command, each from its arguments by way of settings to a run and
//! its printing; progress; exit codes. Data goes to stdout, everything else to stderr, both in
//! `output` only.

mod bench;
mod choice;
mod compare;
mod data;
mod device;
mod doctor;
mod engine_option;
mod estimate;
mod eval;
mod excerpt;
mod exit;
mod export;
mod exported;
mod gates;
mod generate;
mod grade;
mod init;
mod interrupt;
mod jsonl;
mod judge;
mod loading;
mod local;
pub mod lock;
mod optimize;
mod output;
mod plan;
mod progress;
mod promote;
mod recorded;
mod review;
mod run;
mod score;
mod serve;
mod served_team;
mod settings;
mod show;
mod study;
mod team;
mod validate;
mod verdicts;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};
pub use exit::{CliError, Exit};
use std::process::ExitCode;

/// Optimizes the prompts of LLM multi-agent systems on a local model, offline and without labels.
#[derive(Parser, Debug)]
#[command(name = "maspo", version, about, max_term_width = 120)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(init::Args),
    Optimize(optimize::Args),
    Run(run::Args),
    Eval(eval::Args),
    Compare(compare::Args),
    Validate(validate::Args),
    Plan(plan::Args),
    Data(data::Args),
    Judge(judge::Args),
    Show(show::Args),
    Export(export::Args),
    Study(study::Args),
    Review(review::Args),
    Verify(verify::Args),
    Promote(promote::PromoteArgs),
    Rollback(promote::RollbackArgs),
    Generate(generate::Args),
    Score(score::Args),
    Grade(grade::Args),
    Bench(bench::Args),
    Serve(serve::Args),
    Doctor(doctor::Args),
}

/// Returns every command with its flags, defaults and choices, as `docs/cli.md` describes them.
#[doc(hidden)]
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    if let Some(code) = crate::remote::broker_main(std::env::args().skip(1)) {
        return code;
    }
    // clap itself exits with 2 on a wrong flag and 0 on --help. It starts no thread.
    let command = Args::parse().command;
    let opened = match before_lock(&command) {
        Ok(opened) => opened,
        Err(error) => return error.report(),
    };
    // Before any thread: the lock holds for every thread that starts after it.
    lock::apply();
    let outcome = match command {
        Command::Init(args) => init::run(args),
        Command::Optimize(args) => optimize::run(args),
        Command::Run(args) => run::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Data(args) => data::run(args),
        Command::Judge(args) => judge::run(args),
        Command::Show(args) => show::run(args),
        Command::Export(args) => export::run(args),
        Command::Study(args) => study::run(args),
        Command::Review(args) => review::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Promote(args) => promote::run_promote(args),
        Command::Rollback(args) => promote::run_rollback(args),
        Command::Generate(args) => generate::run(args),
        Command::Score(args) => score::run(args),
        Command::Grade(args) => grade::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Serve(args) => serve::run(args, opened.listener.expect("it was bound above")),
        Command::Doctor(args) => doctor::run(args),
    };
    match outcome {
        Ok(exit) => exit.code(),
        Err(error) => error.report(),
    }
}

/// What a command opens before the lock, which then forbids to open anything like it.
#[derive(Default)]
struct Opened {
    listener: Option<crate::serve::Bound>,
}

/// Opens what the command line names. It must not start a thread.
fn before_lock(command: &Command) -> Result<Opened, CliError> {
    match command {
        Command::Serve(args) => Ok(Opened { listener: Some(serve::bind(args)?) }),
        Command::Optimize(args) => reach(&args.experiment.endpoints()),
        Command::Run(args) => reach(&args.endpoints()),
        Command::Review(args) => reach(&args.endpoints()),
        Command::Eval(args) => reach(&args.experiment.endpoints()),
        Command::Compare(args) => reach(&args.experiment.endpoints()),
        Command::Judge(args) => reach(&args.experiment.endpoints()),
        Command::Study(args) => reach(&args.endpoints()),
        Command::Doctor(args) => reach(&args.endpoint),
        _ => Ok(Opened::default()),
    }
}

/// Starts the process that connects to these URLs for the locked one, if there are any.
fn reach(urls: &[crate::remote::BaseUrl]) -> Result<Opened, CliError> {
    crate::remote::start_broker(urls)?;
    Ok(Opened::default())
}
