//! Checks that the longest answers leave room for a prompt in the contexts of the models that write
//! them. An answer that cannot fit is refused at every call, so that nothing would ever be right.

use super::models::ModelSpec;
use super::section::Section;
use super::tree::Value;
use crate::chat::ModelRole;
use crate::graph::Graph;
use crate::search::Options;

const KEY: &str = "max_new_tokens";

/// Reports every `max_new_tokens` of the file that is not less than the context of its model.
pub(super) fn check(root: &Section<'_>, models: &[ModelSpec; 3], graph: &Graph, options: &Options) {
    // A model that cannot be read is reported when it is opened.
    let context = |role: ModelRole| models[role as usize].source.context().unwrap_or(usize::MAX);
    let worker = context(ModelRole::Worker);
    for (section, agent) in root.sections("agent").iter().zip(graph.agents()) {
        check_section(section, agent.max_new_tokens, worker);
    }
    for (key, role, tokens) in [
        ("judge", ModelRole::Judge, options.judge.max_new_tokens),
        ("propose", ModelRole::Optimizer, options.propose.max_new_tokens),
    ] {
        let is_table = root.entry(key).is_some_and(|entry| matches!(entry.node.value, Value::Table(_)));
        if let Some(section) = is_table.then(|| root.section(key)).flatten() {
            check_section(&section, tokens, context(role));
        }
    }
}

fn check_section(section: &Section<'_>, tokens: usize, context: usize) {
    if section.has(KEY) && tokens >= context {
        let problem = format!("is {tokens}; the model's context has {context} tokens for prompt and answer together");
        section.fault(KEY, &problem);
    }
}
