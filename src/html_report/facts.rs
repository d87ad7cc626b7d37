//! The bill, the identity of everything, and the warnings of a run.

use super::input::Run;
use super::numbers::{counted, duration, thousands};
use super::visible::{TEXT, name, visible};
use crate::base::{Digest, digest_json};
use crate::chat::LedgerLine;
use crate::report::Bill;
use crate::search::{Models, Stopped};
use crate::task::Case;
use minijinja::{Value, context};

/// The most warnings on a page.
const MOST_WARNINGS: usize = 100;

/// The bill per role; `None` while the run is not finished.
pub(super) fn bill(run: &Run<'_>) -> Option<Value> {
    let report = run.report.as_ref()?;
    let Bill { worker, optimizer, judge } = report.ledger;
    let row = |(role, line): (&str, LedgerLine)| {
        let counts = [line.calls, line.computed, line.cached, line.shared, line.failed];
        let tokens = [line.prefilled_tokens, line.reused_tokens, line.decoded_tokens];
        let cells: Vec<String> = counts.into_iter().chain(tokens).map(thousands).collect();
        context! { role => role, cells => cells, seconds => format!("{:.1}", line.seconds) }
    };
    let roles =
        [("worker: runs the agents", worker), ("optimizer: writes prompts", optimizer), ("judge: compares", judge)];
    Some(context! {
        rows => roles.into_iter().map(row).collect::<Vec<_>>(),
        seconds => format!("{:.1}", report.seconds),
        avoided => format!(
            "Not needed: {} calls upstream of a change, {} calls whose input had not changed.",
            thousands(report.avoided.upstream_reused),
            thousands(report.avoided.unchanged_skipped)
        ),
    })
}

/// What the run took, in one or two sentences.
pub(super) fn cost(run: &Run<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(spent) = run.record.spent.values().next_back() {
        sentences.push(format!(
            "The search took {} tokens in {} calls, cached ones counted, and {}.",
            thousands(spent.tokens.iter().sum()),
            thousands(spent.calls),
            duration(spent.seconds)
        ));
    }
    if let Some(report) = &run.report {
        let lines = [report.ledger.worker, report.ledger.optimizer, report.ledger.judge];
        let sum = |field: fn(&LedgerLine) -> u64| thousands(lines.iter().map(field).sum());
        sentences.push(format!(
            "In all, with any evaluation: {} calls, {} of them computed; {} tokens read, {} written; {}.",
            sum(|line| line.calls),
            sum(|line| line.computed),
            sum(|line| line.prefilled_tokens + line.reused_tokens),
            sum(|line| line.decoded_tokens),
            duration(report.seconds)
        ));
    }
    if sentences.is_empty() {
        sentences.push(format!("Not known yet. {} answered calls are in the cache.", thousands(run.record.calls)));
    }
    sentences
}

/// The facts that identify a run: names and values.
pub(super) fn identity(run: &Run<'_>) -> Vec<Value> {
    let record = run.record;
    let mut facts: Vec<(String, String)> = vec![
        ("experiment".into(), name(&record.name)),
        ("run folder".into(), visible(&record.dir.display().to_string(), 400)),
    ];
    let mut add = |name: &str, value: String| facts.push((name.to_string(), value));
    if let Some(result) = &run.result {
        add("seed", result.seed.0.to_string());
        add("method", result.method.as_deref().map_or("maspo".into(), name));
        let Models { worker, optimizer, judge } = &result.models;
        for (role, model) in [("worker", worker), ("optimizer", optimizer), ("judge", judge)] {
            add(&format!("model of the {role}"), format!("{}, digest {}", name(&model.name), model.digest));
        }
    }
    for (key, json) in &record.surroundings {
        let title = match key.as_str() {
            "model_dtypes" => "weights kept as (worker, optimizer, judge)",
            "model_backend" => "backend",
            "kernels" => "kernel sets",
            _ => "date that templates saw",
        };
        add(title, visible(&json.replace(['"', '[', ']'], "").replace(',', ", "), 200));
    }
    add("settings", if record.settings.is_empty() { "not recorded".into() } else { name_of_digest(&record.settings) });
    match run.evidence {
        Some(evidence) => {
            let settings = evidence.settings();
            let pool: Vec<_> = settings.pool.iter().map(|query| (&query.id, &*query.question)).collect();
            let queries = counted(pool.len(), "query", "queries");
            add("data: pool", format!("{queries}, digest {}", digest_json("pool", &pool)));
            for (split, cases) in [("train", &settings.train), ("test", &settings.test)] {
                if let Some(cases) = cases {
                    let rows = counted(cases.len(), "row", "rows");
                    add(&format!("data: {split}"), format!("{rows}, digest {}", rows_digest(split, cases)));
                }
            }
        }
        None => add("data", run.why_not.to_string()),
    }
    if let Some(report) = &run.report {
        if let Some(scorer) = &report.scored_by {
            add("scorer", visible(&scorer.text(0).replace('\n', " "), TEXT));
        }
        add("network", report.egress_lock.line().trim_start_matches("network").trim().to_string());
        add("result hash", report.result_hash.to_string());
    }
    let events = counted(record.events.len(), "event", "events");
    add("journal", format!("{events}, {} answered calls", thousands(record.calls)));
    add("command", visible(&command(run), TEXT));
    facts.iter().map(|(name, value)| context! { name => name, value => value }).collect()
}

/// Returns the command that made the run, or for an unfinished one that resumes it.
fn command(run: &Run<'_>) -> String {
    match &run.report {
        None => run.record.resume_command.clone(),
        Some(_) => {
            let words = ["maspo"].into_iter().chain(run.record.arguments.iter().map(String::as_str));
            shlex::try_join(words).unwrap_or_else(|_| run.record.resume_command.clone())
        }
    }
}

fn rows_digest(split: &str, cases: &[Case]) -> Digest {
    let rows: Vec<_> = cases.iter().map(|case| (&case.query.id, &*case.query.question, &case.answer)).collect();
    digest_json(split, &rows)
}

fn name_of_digest(digest: &str) -> String {
    visible(digest, 80)
}

/// The warnings, and what else a reader should know first.
pub(super) fn warnings(run: &Run<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(report) = &run.report {
        match report.stopped {
            None => {}
            Some(Stopped::Budget) => warnings.push("the next step did not fit into the budget".to_string()),
            Some(Stopped::Clock) => warnings
                .push("stopped by the clock or the stop file: another machine may give another result".to_string()),
        }
        warnings.extend(report.all_warnings());
        if !report.egress_lock.applied {
            warnings.push("the process was not locked out of the network".to_string());
        }
    }
    if run.record.private {
        warnings.push("the data is private: its words are not on this page".to_string());
    }
    warnings.truncate(MOST_WARNINGS);
    warnings.iter().map(|warning| visible(warning, TEXT)).collect()
}
