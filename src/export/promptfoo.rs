//! A configuration for promptfoo: one prompt for every agent, and one test for every agent in the
//! order in which they run. A test stores its output, which the prompts of the successors hold.
//!
//! promptfoo's templates are nunjucks. In prompts, every brace that is no slot is quoted. A prompt
//! is a list of messages in JSON, whose texts promptfoo fills after it has read the JSON, so that
//! no text can leave its quotes. Outputs are stored inside of objects: promptfoo would fill the
//! braces of a stored text, and read the file that `file://` names at its beginning.

use super::messages::sampling;
use super::quote::{nunjucks, yaml};
use super::team::Exported;
use crate::graph::{EdgeView, Graph};
use crate::prompt::Slot;
use crate::rollout::SystemAgent;
use serde_json::json;

/// The beginning of every configuration.
const HEAD: &str = "\
# A team of agents for promptfoo, exported by maspo. Start a server for its model, such as
#   maspo serve --model MODEL --token-file key
# and run the team on the question in `defaultTest`:
#   MASPO_API_KEY=$(cat key) promptfoo eval -c THIS_FILE --no-cache
# Values of `vars` are templates, too: put a question that holds braces between {% raw %} and
# {% endraw %}.
";

/// What becomes of an output before it is stored: its text, and its last `<answer>` or all of it.
const STORED: &str = "(() => { const tags = [...output.matchAll(/<(\\/?)answer>/gi)]; let answer = output; \
    for (let i = tags.length - 2; i >= 0; i--) { const [a, b] = [tags[i], tags[i + 1]]; \
    if (!a[1] && b[1]) { answer = output.slice(a.index + a[0].length, b.index).trim(); break; } } \
    return { text: output, answer }; })()";

pub(super) fn text(team: &Exported, graph: &Graph) -> String {
    let mut text = HEAD.to_string();
    text += &format!("description: {}\n", yaml(&team.name));
    text += "providers:\n";
    text += &format!("  - id: {}\n", yaml(&format!("openai:chat:{}", team.model)));
    text += "    config:\n      apiBaseUrl: \"http://127.0.0.1:8080/v1\"\n      apiKeyEnvar: MASPO_API_KEY\n";
    for (field, value) in sampling(&team.decoding) {
        text += &format!("      {field}: {value}\n");
    }
    text += "prompts:\n";
    for (_, agent) in team.in_order(graph) {
        text += &format!("  - label: {}\n    raw: {}\n", yaml(&agent.name), yaml(&messages(team, graph, agent)));
        text += &format!("    config:\n      max_tokens: {}\n", agent.max_new_tokens);
    }
    text += "defaultTest:\n  vars:\n    question: \"Put the question here.\"\n";
    text += "tests:\n";
    for (id, agent) in team.in_order(graph) {
        text += &format!("  - description: {}\n    prompts: [{}]\n", yaml(&agent.name), yaml(&agent.name));
        if id != graph.terminal() {
            text += &format!("    options:\n      transform: {}\n", yaml(STORED));
            text += &format!("      storeOutputAs: {}\n", stored(id.0));
        } else {
            // A test needs some key of its own.
            text += "    vars: {}\n";
        }
    }
    text
}

/// Returns the name under which an agent's output is stored. Names of agents may hold anything.
fn stored(agent: usize) -> String {
    format!("output_{agent}")
}

/// Returns the messages of an agent as JSON whose texts are templates.
fn messages(team: &Exported, graph: &Graph, agent: &SystemAgent) -> String {
    let context = context(team, graph, agent);
    let mut content = String::new();
    let mut rest = agent.prompt.text();
    // The slots are found from left to right, as they are when they are filled.
    while let Some((at, slot)) =
        Slot::ALL.into_iter().filter_map(|slot| Some((rest.find(slot.marker())?, slot))).min_by_key(|(at, _)| *at)
    {
        content += &nunjucks(&rest[..at]);
        content += match slot {
            Slot::Question => "{{ question }}",
            Slot::Context => &context,
        };
        rest = &rest[at + slot.marker().len()..];
    }
    content += &nunjucks(rest);
    json!([{"role": "user", "content": content}]).to_string()
}

/// Returns the template of an agent's context.
fn context(team: &Exported, graph: &Graph, agent: &SystemAgent) -> String {
    let part = |from: &str, view: EdgeView| {
        let id = graph.find(from).expect("the graph was made of these edges");
        let field = if view == EdgeView::Extracted { "answer" } else { "text" };
        format!("{{{{ {}.{field} }}}}", stored(id.0))
    };
    let parts: Vec<(String, String)> =
        team.sees(agent).map(|edge| (nunjucks(&edge.from), part(&edge.from, edge.view))).collect();
    match &parts[..] {
        [(_, text)] => text.clone(),
        parts => parts.iter().map(|(name, text)| format!("[{name}]\n{text}")).collect::<Vec<_>>().join("\n\n"),
    }
}
