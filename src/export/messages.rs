//! A request of OpenAI's API for every agent. The slots stay in the message's content, where the
//! caller fills them.

use super::team::Exported;
use crate::chat::Decoding;
use crate::graph::Graph;
use crate::prompt::Slot;
use crate::rollout::SystemAgent;
use serde_json::{Map, Value, json};

pub(super) fn json(team: &Exported, graph: &Graph) -> Value {
    let request = |agent: &SystemAgent| {
        let slots: Vec<&str> =
            Slot::ALL.into_iter().filter(|slot| agent.prompt.count(*slot) > 0).map(Slot::marker).collect();
        let sees: Vec<Value> = team.sees(agent).map(|edge| json!({"agent": edge.from, "view": edge.view})).collect();
        let mut request = Map::new();
        request.insert("model".into(), team.model.as_str().into());
        request.insert("messages".into(), json!([{"role": "user", "content": agent.prompt.text()}]));
        request.insert("max_tokens".into(), agent.max_new_tokens.into());
        request.extend(sampling(&team.decoding));
        json!({"agent": agent.name, "slots": slots, "sees": sees, "request": request})
    };
    json!({
        "schema": 1,
        "kind": "maspo-openai-messages",
        "name": team.name,
        "answer": team.in_order(graph).last().map(|(_, agent)| &agent.name),
        "rule": rule(team),
        "requests": team.in_order(graph).map(|(_, agent)| request(agent)).collect::<Vec<_>>(),
    })
}

/// Returns how the model decodes, in the fields of OpenAI's API.
pub(super) fn sampling(decoding: &Decoding) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("temperature".into(), decoding.temperature.unwrap_or(0.0).into());
    if let Some(top_p) = decoding.top_p {
        fields.insert("top_p".into(), top_p.into());
    }
    fields
}

fn rule(team: &Exported) -> Value {
    serde_json::to_value(team.system.rule).expect("a rule is plain data")
}
