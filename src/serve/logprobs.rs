//! Log-probabilities as OpenAI's two kinds of answers have them. JSON has no infinity, so a token
//! that cannot come has −9999, as in vLLM.

use super::ask::Logprobs;
use crate::engine::{NewToken, TextEngine};
use serde_json::{Map, Value, json};

/// What stands for negative infinity.
const IMPOSSIBLE: f64 = -9999.0;

/// The `logprobs` of a choice of a chat completion. Tokens that were named stand behind the
/// likeliest ones.
pub(super) fn of_chat(engine: &TextEngine, asked: &Logprobs, tokens: &[NewToken]) -> Value {
    let entry = |id: u32, logprob: f64| {
        let text = engine.decode(&[id]);
        let bytes = (!text.contains(char::REPLACEMENT_CHARACTER)).then(|| text.clone().into_bytes());
        let token = if asked.as_ids { format!("token_id:{id}") } else { text };
        json!({ "token": token, "logprob": finite(logprob), "bytes": bytes })
    };
    let content = tokens.iter().filter_map(|token| {
        let logprobs = token.logprobs.as_ref()?;
        let mut content = entry(token.id, logprobs.chosen);
        content["top_logprobs"] = alternatives(asked, token).map(|(id, logprob)| entry(id, logprob)).collect();
        Some(content)
    });
    json!({ "content": content.collect::<Vec<_>>(), "refusal": null })
}

/// The `logprobs` of a choice of a plain completion. `offset` is the number of characters of the
/// text before these tokens, and is moved behind them.
pub(super) fn of_completion(engine: &TextEngine, asked: &Logprobs, tokens: &[NewToken], offset: &mut usize) -> Value {
    let (mut offsets, mut names, mut chosen, mut top) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let name = |id: u32| if asked.as_ids { format!("token_id:{id}") } else { engine.decode(&[id]) };
    for token in tokens {
        let Some(logprobs) = &token.logprobs else { continue };
        offsets.push(*offset);
        *offset += engine.decode(&[token.id]).chars().count();
        names.push(name(token.id));
        chosen.push(finite(logprobs.chosen));
        let own = [(token.id, logprobs.chosen)];
        let mut all = Map::new();
        for (id, logprob) in alternatives(asked, token).chain(own) {
            // If several tokens have the same text, the most likely one counts; it comes first.
            all.entry(name(id)).or_insert_with(|| json!(finite(logprob)));
        }
        top.push(Value::Object(all));
    }
    json!({ "text_offset": offsets, "token_logprobs": chosen, "tokens": names, "top_logprobs": top })
}

/// The tokens beside the chosen one: the likeliest, then the named ones that are not among them.
fn alternatives<'a>(asked: &'a Logprobs, token: &'a NewToken) -> impl Iterator<Item = (u32, f64)> + 'a {
    token.logprobs.iter().flat_map(move |logprobs| {
        let named = asked.request.of.iter().copied().zip(logprobs.of.iter().copied());
        let named = named.filter(move |(id, _)| !logprobs.top.iter().any(|(other, _)| other == id));
        logprobs.top.iter().copied().chain(named)
    })
}

fn finite(logprob: f64) -> f64 {
    if logprob.is_finite() { logprob } else { IMPOSSIBLE }
}
