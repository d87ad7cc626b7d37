//! Finds prompts that repeat a query word for word: a sign that the optimizer model memorized an
//! example instead of writing a rule. It is a warning, never a rejection.

use crate::base::AgentId;
use crate::prompt::Template;
use crate::rollout::Prompts;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;

/// The shortest run of equal characters that counts as copied. Domain terms and short output
/// formats stay below it.
const COPIED_CHARS: usize = 40;

/// A passage that an optimized prompt shares with a query of the pool, and that its seed prompt
/// does not contain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CopiedPassage {
    /// The agent that the prompt belongs to.
    pub agent: AgentId,
    /// The query's index in the pool.
    pub item: usize,
    /// The first passage that both texts contain.
    pub text: String,
}

/// Returns one entry per agent and query that share a passage, in that order.
pub(crate) fn find(seed: &Prompts, prompts: &Prompts, pool: &[Arc<str>]) -> Vec<CopiedPassage> {
    let mut copied = Vec::new();
    for (agent, prompt) in prompts.iter().filter(|(agent, prompt)| *prompt != seed.get(*agent)) {
        let (text, own): (Vec<char>, Vec<char>) = (chars(prompt), chars(seed.get(agent)));
        let own: HashSet<&[char]> = own.windows(COPIED_CHARS).collect();
        let fresh: HashSet<&[char]> = text.windows(COPIED_CHARS).filter(|run| !own.contains(run)).collect();
        for (item, query) in pool.iter().enumerate() {
            let query: Vec<char> = query.chars().collect();
            copied.extend(first_shared(&query, &fresh).map(|text| CopiedPassage { agent, item, text }));
        }
    }
    copied
}

fn chars(prompt: &Template) -> Vec<char> {
    prompt.text().chars().collect()
}

/// Returns the first passage of `query` in which every run of [`COPIED_CHARS`] characters is in
/// `runs`.
fn first_shared(query: &[char], runs: &HashSet<&[char]>) -> Option<String> {
    let start = query.windows(COPIED_CHARS).position(|run| runs.contains(run))?;
    let more = query[start..].windows(COPIED_CHARS).take_while(|run| runs.contains(run)).count() - 1;
    Some(query[start..start + COPIED_CHARS + more].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Agent, Graph};

    fn prompts(text: &str) -> Prompts {
        let agent = Agent {
            name: "a".into(),
            role: "r".into(),
            seed_prompt: Template::new(format!("{text} {{question}}")),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        };
        Prompts::seed(&Graph::new(vec![agent], vec![], 10_000).unwrap())
    }

    #[track_caller]
    fn check(seed: &str, prompt: &str, query: &str, expected: Option<&str>) {
        let pool = ["something else entirely, which is long enough to count".into(), query.into()];
        let found = find(&prompts(seed), &prompts(prompt), &pool);
        let found: Vec<_> = found.iter().map(|copied| (copied.item, copied.text.as_str())).collect();
        assert_eq!(found, expected.map(|text| (1, text)).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn long_runs_of_a_query_are_reported() {
        let query = "At 10:42 the client fetched forty pages in äöü seconds, without images.";
        let passage = "the client fetched forty pages in äöü seconds";
        check("Judge.", &format!("Judge. If {passage}: scraper."), query, Some(&format!(" {passage}")));
        check("Judge.", "Judge. If the client fetched forty pages.", query, None);
        check(&format!("Judge {passage}."), &format!("Now judge {passage}."), query, None);
        check("Judge.", "Judge.", query, None);
        check("Judge.", "Weigh it.", "short", None);
    }
}
