//! The triage world: a synthetic task on which a tiny model shows that joint prompt optimization works. Simulates the study in
//! symbols, exports the training corpus, and writes the data sets, the probes and the experiment files' prompts.
//!
//! `cargo run --release --example triage -- simulate --seeds 20`

mod agents;
mod clauses;
mod corpus;
mod examples;
mod judge;
mod optimizer;
mod simulate;
mod world;

use clap::{Parser, Subcommand};
use maspo::base::Seed;
use std::path::PathBuf;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Seed of every random draw.
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
        /// The hierarchical team instead of the chain.
        #[arg(long)]
        hierarchical: bool,
    },
    /// Write the training corpus.
    Corpus {
        /// Folder for `corpus.jsonl`.
        #[arg(long)]
        out: PathBuf,
        /// Examples.
        #[arg(long, default_value_t = 60_000)]
        count: u64,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let seed = Seed(args.seed);
    match args.command {
        Command::Simulate { seeds, size, hierarchical } => {
            let roles: &[clauses::Role] = if hierarchical { &clauses::Role::TEAM } else { &clauses::Role::CHAIN };
            let &[rounds, steps, beam, candidates, batch] = size.as_slice() else {
                unreachable!("clap wants five values")
            };
            let size = simulate::Size { rounds, steps, beam, candidates, batch };
            print!("{}", simulate::table(roles, seeds, size, seed));
        }
        Command::Corpus { out, count } => corpus::write(&out, count, seed)?,
    }
    Ok(())
}
