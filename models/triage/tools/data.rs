//! The data sets of the experiment, the ideal prompts, and the probes that measure the model's
//! skills on sessions and clause combinations that it never saw.

use crate::clauses::{Prompt, Role};
use crate::examples::{COMPARISONS, Prompts, Source, agent, judgement, pair, proposal};
use crate::world::{Session, Share};
use maspo::base::{Seed, Stage};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// The data sets: name, size and whether the sessions have labels. The search uses `pool`, people
/// look at `train`, and `test` measures.
const SIZES: [(&str, usize, bool); 3] = [("pool", 50, false), ("train", 100, true), ("test", 500, true)];
/// The number of probes per agent and per kind of comparison, each in both orders.
const PROBES: u64 = 300;
/// The number of proposal probes per agent.
const BRIEFS: u64 = 50;

/// Writes everything under `folder`.
pub(crate) fn write(folder: &Path, seed: Seed) -> io::Result<()> {
    std::fs::create_dir_all(folder.join("probes"))?;
    for (name, lines) in sets(seed) {
        write_lines(&folder.join(format!("{name}.jsonl")), &lines)?;
    }
    let ideal: Map<_, _> =
        Role::ALL.iter().map(|role| (role.name().to_string(), Value::from(Prompt::ideal(*role).text()))).collect();
    let mut text = serde_json::to_string_pretty(&ideal).expect("plain data");
    text.push('\n');
    std::fs::write(folder.join("ideal-prompts.json"), text)?;
    let mut probes = 0;
    for (name, lines) in probe_sets(seed) {
        probes += lines.len();
        write_lines(&folder.join("probes").join(format!("{name}.jsonl")), &lines)?;
    }
    eprintln!(
        "{probes} probes; sessions of pool, train and test are distinct and none stands in the corpus or in a probe"
    );
    for role in Role::ALL {
        let (seed, ideal) = (Prompt::seed(role).held_out(), Prompt::ideal(role).held_out());
        eprintln!("{}: clause set held out of training: seed {seed}, ideal {ideal}", role.name());
    }
    Ok(())
}

/// Returns pool, train and test, by name.
pub(crate) fn sets(seed: Seed) -> Vec<(&'static str, Vec<Value>)> {
    let total = SIZES.iter().map(|(_, size, _)| size).sum();
    let mut sessions = Session::distinct(Share::Experiment, total, seed).into_iter();
    SIZES
        .iter()
        .map(|&(name, size, labelled)| {
            let line = |(at, session): (usize, Session)| {
                let mut line = json!({"id": format!("{name}-{at}"), "question": session.text});
                if labelled {
                    line["label"] = session.truth().name().into();
                }
                line
            };
            (name, sessions.by_ref().take(size).enumerate().map(line).collect())
        })
        .collect()
}

fn probe_sets(seed: Seed) -> Vec<(String, Vec<Value>)> {
    let source = Source { share: Share::Probe, prompts: Prompts::HeldOut };
    let rng = |path: &[u64]| seed.derive(Stage::Data, path).rng();
    let mut sets = Vec::new();
    for role in Role::ALL {
        let lines = (0..PROBES).map(|at| agent(role, source, &mut rng(&[2, role as u64, at])).json());
        sets.push((format!("agent-{}", role.name()), lines.collect()));
    }
    for (kind, comparison) in COMPARISONS.into_iter().enumerate() {
        let mut lines = Vec::new();
        for at in 0..PROBES {
            let pair = pair(comparison, Share::Probe, &mut rng(&[3, kind as u64, at]));
            for better in 0..2 {
                let mut line = judgement(comparison, &pair, better).json();
                line["pair"] = at.into();
                lines.push(line);
            }
        }
        sets.push((format!("judge-{}", comparison.name), lines));
    }
    for role in Role::ALL {
        let line = |at| {
            let (example, parent) = proposal(role, source, &mut rng(&[4, role as u64, at]));
            let mut line = example.json();
            line["parent"] = parent.text().into();
            line
        };
        sets.push((format!("propose-{}", role.name()), (0..BRIEFS).map(line).collect()));
    }
    sets
}

fn write_lines(path: &Path, lines: &[Value]) -> io::Result<()> {
    let mut file = io::BufWriter::new(std::fs::File::create(path)?);
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
