//! Grades lines of JSON from the standard input: `{"id", "gold", "output"}` each, answered by
//! `{"id", "answer", "equal", "verdict"}` in the same order. With `"find_gold": true` a gold answer
//! that cannot be read as it stands is found in its text as an output's is.

use maspo_math::{Answer, Options, Verdict, answer};
use serde_json::{Value, json};
use std::error::Error;
use std::io::{self, BufRead, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let row: Value = serde_json::from_str(&line?)?;
        let text = |field: &str| row[field].as_str().ok_or_else(|| format!("a row without {field}"));
        let (gold, found) = (text("gold")?, answer(text("output")?));
        let is_bare = row["find_gold"] != true || Answer::read(gold).is_ok_and(|gold| gold.is_understood());
        let gold = if is_bare { gold } else { answer(gold).unwrap_or(gold) };
        let verdict = match (Answer::read(gold), found.map(Answer::read)) {
            (Ok(gold), Some(Ok(answer))) => match gold.compare(&answer, &Options::default()) {
                Verdict::Equal => "equal",
                Verdict::Different => "different",
                Verdict::Undecided => "undecided",
            },
            (Err(_), _) => "unreadable gold",
            (_, None) => "no answer",
            (_, Some(Err(_))) => "unreadable",
        };
        let decided = json!({"id": row["id"], "answer": found, "equal": verdict == "equal", "verdict": verdict});
        writeln!(out, "{decided}")?;
    }
    Ok(())
}
