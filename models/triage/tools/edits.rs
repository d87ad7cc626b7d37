//! Measures proposals: reads an optimizer's replies and counts how many are well formed and differ
//! from their parent, and how many help, set the trap, do nothing or harm.

use crate::clauses::{Clause, Prompt, Role};
use maspo::prompt::{last_tagged, sanitize};
use serde::Deserialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One line of the replies file: a line of `probes/propose-*.jsonl` with the model's reply.
#[derive(Deserialize)]
pub(crate) struct Reply {
    kind: String,
    parent: String,
    reply: String,
}

/// Returns the counts of `replies` as a Markdown table.
pub(crate) fn table(replies: &[Reply]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    replies.iter().for_each(|reply| *counts.entry(judge(reply)).or_default() += 1);
    let mut rows = String::from("| proposal | count | share |\n| --- | --- | --- |\n");
    for (kind, count) in counts {
        rows.push_str(&format!("| {kind} | {count} | {:.3} |\n", count as f64 / replies.len() as f64));
    }
    rows
}

fn judge(reply: &Reply) -> &'static str {
    let role = Role::ALL.into_iter().find(|role| reply.kind.ends_with(role.name()));
    let Some((role, text)) = role.zip(last_tagged(&reply.reply, maspo::propose::template::PROMPT_TAG)) else {
        return "malformed";
    };
    let constraints = maspo::prompt::Constraints {
        slots: vec![role.slot()],
        frozen: Prompt::frozen(role),
        max_bytes: 600, // as in the experiment files
    };
    match sanitize(text, &constraints) {
        Err(_) => "malformed",
        Ok(sanitized) if sanitized.prompt.text() == reply.parent => "same as the parent",
        Ok(sanitized) => match (Prompt::parse(role, &reply.parent), Prompt::parse(role, sanitized.prompt.text())) {
            (Some(parent), Some(child)) => edit_kind(&parent, &child),
            _ => "out of the vocabulary",
        },
    }
}

/// Returns the kind of an edit of `parent`.
pub(crate) fn edit_kind(parent: &Prompt, child: &Prompt) -> &'static str {
    let trap = Clause::trap(parent.role);
    let useful = Clause::useful(parent.role);
    let count = |prompt: &Prompt| useful.iter().filter(|clause| prompt.has(**clause)).count();
    match (parent.has(trap), child.has(trap)) {
        (false, true) => "trap",
        (true, false) => "useful",
        _ => match count(child).cmp(&count(parent)) {
            Ordering::Greater => "useful",
            Ordering::Less => "harmful",
            Ordering::Equal => "neutral",
        },
    }
}
