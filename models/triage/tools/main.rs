//! The triage world: a synthetic task on which a tiny model shows that joint prompt optimization
//! works. Simulates the study in symbols, exports the training corpus, and writes the data sets,
//! the probes and the experiment files' prompts.
//!
//! `cargo run --release --example triage -- simulate --seeds 20`

mod agents;
mod clauses;
mod corpus;
mod data;
mod edits;
mod examples;
mod judge;
mod optimizer;
mod simulate;
mod templates;
#[cfg(test)]
mod tests;
mod world;

use clap::{Parser, Subcommand};
use maspo::base::Seed;
use std::path::PathBuf;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// The seed of every random draw.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Print the study's table with exact agents, judge and optimizer.
    Simulate {
        /// Paired runs per arm.
        #[arg(long, default_value_t = 20)]
        seeds: u64,
        /// Rounds, steps, beam, candidates and batch of the search.
        #[arg(long, num_args = 5, default_values_t = [2, 3, 2, 2, 10])]
        size: Vec<usize>,
    },
    /// Write the training corpus.
    Corpus {
        /// The folder of `corpus.jsonl`.
        #[arg(long)]
        out: PathBuf,
        /// The lesson that the corpus teaches.
        #[arg(long, value_enum, default_value = "first")]
        lesson: corpus::Lesson,
        /// The number of examples.
        #[arg(long, default_value_t = 60_000)]
        count: u64,
    },
    /// Write pool, train and test, the ideal prompts and the probes.
    Data {
        /// The folder that they are written to.
        #[arg(long, default_value = "models/triage")]
        out: PathBuf,
    },
    /// Count the kinds of edits in an optimizer's proposals.
    Edits {
        /// JSONL with `kind`, `parent` and `reply` per line.
        file: PathBuf,
    },
    /// Print the digests of the templates that the model is trained on.
    Templates,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let seed = Seed(args.seed);
    match args.command {
        Command::Simulate { seeds, size } => {
            let &[rounds, steps, beam, candidates, batch] = size.as_slice() else {
                unreachable!("clap wants five values")
            };
            let size = simulate::Size { rounds, steps, beam, candidates, batch };
            print!("{}", simulate::report(seeds, size, seed));
        }
        Command::Corpus { out, lesson, count } => corpus::write(&out, lesson, count, seed)?,
        Command::Data { out } => data::write(&out, seed)?,
        Command::Edits { file } => {
            let text = std::fs::read_to_string(file)?;
            let replies: Vec<_> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            print!("{}", edits::table(&replies));
        }
        Command::Templates => println!("{}", serde_json::to_string_pretty(&templates::digests())?),
    }
    Ok(())
}
