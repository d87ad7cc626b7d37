//! Checks that the longest answers leave room for a prompt in the contexts of the models that write
//! them. An answer that cannot fit is refused at every call, so that nothing would ever be right.

use super::models::ModelSpec;
use super::section::Section;
use super::tree::Value;
use crate::chat::ModelRole;
use crate::graph::Graph;
use crate::search::Options;

const KEY: &str = "max_new_tokens";

/// Reports every `max_new_tokens` that is not less than the context of its model. Where the file
/// does not set it, that is said of its default, as one of the returned warnings.
pub(super) fn check(root: &Section<'_>, models: &[ModelSpec; 3], graph: &Graph, options: &Options) -> Vec<String> {
    // A model that cannot be read is reported when it is opened.
    let context = |role: ModelRole| models[role as usize].context().unwrap_or(usize::MAX);
    let worker = context(ModelRole::Worker);
    let mut warnings = Vec::new();
    let default = |name: String, tokens: usize, role: ModelRole, context: usize| {
        let name = format!("`{name}.{KEY}` is not set; its default is {tokens}, and {}", limit(context));
        format!("{name}: the {} cannot answer", role.as_str())
    };
    for (section, agent) in root.sections("agent").iter().zip(graph.agents()) {
        let tokens = agent.max_new_tokens;
        if !check_section(section, tokens, worker) && tokens >= worker {
            warnings.push(default(format!("agent.{}", agent.name), tokens, ModelRole::Worker, worker));
        }
    }
    for (key, role, tokens) in [
        ("judge", ModelRole::Judge, options.judge.max_new_tokens),
        ("propose", ModelRole::Optimizer, options.propose.max_new_tokens),
    ] {
        let is_table = root.entry(key).is_some_and(|entry| matches!(entry.node.value, Value::Table(_)));
        let section = is_table.then(|| root.section(key)).flatten();
        let context = context(role);
        if !section.is_some_and(|section| check_section(&section, tokens, context)) && tokens >= context {
            warnings.push(default(key.to_string(), tokens, role, context));
        }
    }
    warnings
}

/// Returns whether the section sets its `max_new_tokens`, and reports one that does not fit.
fn check_section(section: &Section<'_>, tokens: usize, context: usize) -> bool {
    let is_set = section.has(KEY);
    if is_set && tokens >= context {
        section.fault(KEY, &format!("is {tokens}; {}", limit(context)));
    }
    is_set
}

fn limit(context: usize) -> String {
    format!("the model's context has {context} tokens for prompt and answer together")
}
