//! The training corpus: a weighted mix of examples in random order, none from a held-out session or
//! clause combination.

use crate::clauses::Role;
use crate::examples::{
    COMPARISONS, Comparison, Example, Prompts, Source, agent, auxiliary, judgement, label_in_frame, label_judgement,
    pair, proposal, stray_pair,
};
use crate::world::Share;
use maspo::base::{Seed, Stage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Writes `count` examples to `corpus.jsonl` in `folder` and prints their lengths.
pub(crate) fn write(folder: &Path, lesson: Lesson, count: u64, seed: Seed) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = io::BufWriter::new(std::fs::File::create(folder.join("corpus.jsonl"))?);
    let mut lengths: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for example in examples(lesson, count, seed) {
        let text = format!("{}{}", example.messages[0].content, example.answer);
        for kind in [example.kind.clone(), "all".into()] {
            lengths.entry(kind).or_default().push((pieces(&text), text.len()));
        }
        serde_json::to_writer(&mut file, &example.json())?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    println!("kind                     count   mean    p95    max  pieces (words and marks) | mean bytes");
    for (kind, mut of) in lengths {
        of.sort_unstable();
        let mean = of.iter().map(|(pieces, _)| pieces).sum::<usize>() / of.len();
        let bytes = of.iter().map(|(_, bytes)| bytes).sum::<usize>() / of.len();
        let (p95, max) = (of[of.len() * 95 / 100].0, of[of.len() - 1].0);
        println!("{kind:22} {:7} {mean:6} {p95:6} {max:6} {bytes:6}", of.len());
    }
    Ok(())
}

/// The lesson of a corpus. The second lesson comes after the first: it teaches to judge verdicts,
/// which needs a session's label that no text states. The last lesson restores what the second one
/// displaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Lesson {
    /// Everything.
    First,
    /// Mostly verdicts, and enough of everything else that it is not forgotten.
    Second,
    /// Agents whose prompts contain nearly all clauses, which need the longest answers, and enough
    /// of the other two lessons.
    Last,
}

/// Returns the first `count` examples of the corpus of `seed`.
pub(crate) fn examples(lesson: Lesson, count: u64, seed: Seed) -> impl Iterator<Item = Example> {
    (0..count).map(move |at| {
        let rng = &mut seed.derive(Stage::Data, &[1 + lesson as u64, at]).rng();
        match lesson {
            Lesson::First => first_lesson(rng),
            Lesson::Second => second_lesson(rng),
            Lesson::Last => last_lesson(rng),
        }
    })
}

/// Draws one example of the second lesson.
fn second_lesson(rng: &mut ChaCha8Rng) -> Example {
    let share = Share::Corpus;
    match rng.random_range(0..100) {
        0..20 => label_in_frame(share, rng),
        20..40 => label_judgement(share, rng),
        40..58 => judged("global", share, rng),
        58..68 => judged("local-verdict", share, rng),
        _ => first_lesson(rng),
    }
}

/// Draws one example of the last lesson.
fn last_lesson(rng: &mut ChaCha8Rng) -> Example {
    let source = Source { share: Share::Corpus, prompts: Prompts::NearIdeal };
    match rng.random_range(0..100) {
        0..4 => agent(Role::Extract, source, rng),
        4..20 => agent(Role::Assess, source, rng),
        20..35 => agent(Role::Verdict, source, rng),
        35..38 => agent(Role::Traffic, source, rng),
        38..47 => judged(["local-client", "local-traffic", "local-origin"][rng.random_range(0..3)], source.share, rng),
        47..53 => second_lesson(rng),
        53..62 => edited(rng),
        62..66 => {
            let role = Role::CHAIN[rng.random_range(0..3)];
            agent(role, Source { prompts: Prompts::Stray, ..source }, rng)
        }
        66..71 => {
            let name = ["local-extract", "local-extract", "lookahead-assess", "global"][rng.random_range(0..4)];
            let comparison = kind(name);
            let pair = stray_pair(comparison, source.share, rng);
            judgement(comparison, &pair, rng.random_range(0..2))
        }
        _ => first_lesson(rng),
    }
}

fn kind(name: &str) -> Comparison {
    *COMPARISONS.iter().find(|comparison| comparison.name == name).expect("a kind of comparison")
}

/// Draws a comparison of the kind `name`.
fn judged(name: &str, share: Share, rng: &mut ChaCha8Rng) -> Example {
    let comparison = kind(name);
    let pair = pair(comparison, share, rng);
    judgement(comparison, &pair, rng.random_range(0..2))
}

/// Draws one example of the first lesson.
fn first_lesson(rng: &mut ChaCha8Rng) -> Example {
    let source = Source { share: Share::Corpus, prompts: Prompts::Usual };
    match rng.random_range(0..100) {
        0..15 => agent(Role::Extract, source, rng),
        15..31 => agent(Role::Assess, source, rng),
        31..48 => agent(Role::Verdict, source, rng),
        48..53 => {
            let role = [Role::Client, Role::Traffic, Role::Origin][rng.random_range(0..3)];
            agent(role, source, rng)
        }
        53..79 => {
            let share = [12, 15, 19, 11, 34, 3, 3, 3];
            let mut draw = rng.random_range(0..100);
            let mut kind = 0;
            while draw >= share[kind] {
                draw -= share[kind];
                kind += 1;
            }
            let comparison = COMPARISONS[kind];
            let pair = pair(comparison, source.share, rng);
            judgement(comparison, &pair, rng.random_range(0..2))
        }
        79..86 => edited(rng),
        _ => auxiliary(source.share, rng),
    }
}

/// Draws a proposal.
fn edited(rng: &mut ChaCha8Rng) -> Example {
    let source = Source { share: Share::Corpus, prompts: Prompts::Usual };
    let specialist = [Role::Client, Role::Traffic, Role::Origin][rng.random_range(0..3)];
    let chain = Role::CHAIN[rng.random_range(0..3)];
    let role = [Role::Extract, Role::Assess, Role::Verdict, chain, specialist][rng.random_range(0..5)];
    proposal(role, source, rng).0
}

/// Counts words and punctuation marks, which are about as many as tokens.
fn pieces(text: &str) -> usize {
    let mut count = 0;
    let mut word = false;
    for c in text.chars() {
        let letter = c.is_alphanumeric();
        if !(letter && word) && c != ' ' {
            count += 1;
        }
        word = letter;
    }
    count
}
