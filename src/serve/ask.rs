//! What a request asks for, read from its body and checked, for both kinds of completions. Nothing
//! in it names a file, a template or another model.

use super::fault::Fault;
use super::fields::Fields;
use super::options::{MAX_CHOICES, MAX_LOGPROB_TOKENS, MAX_STOPS, MAX_TOP_LOGPROBS};
use super::sampling::Draws;
use crate::engine::LogprobRequest;
use crate::engine::text::{Message, Speaker};
use hyper::StatusCode;
use serde_json::{Value, json};

/// A checked request for completions.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ask {
    pub(super) input: Input,
    /// The number of completions of each prompt.
    pub(super) n: usize,
    /// The most new tokens; what the server allows where absent.
    pub(super) max_tokens: Option<usize>,
    pub(super) draws: Draws,
    pub(super) stop: Vec<String>,
    pub(super) stop_token_ids: Vec<u32>,
    pub(super) ignore_eos: bool,
    pub(super) logprobs: Option<Logprobs>,
    pub(super) stream: bool,
    /// Whether a stream ends with the usage.
    pub(super) include_usage: bool,
}

/// Which log-probabilities are wanted, and how tokens are named beside them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Logprobs {
    pub(super) request: LogprobRequest,
    /// Whether tokens are written as `token_id:N` in place of their text.
    pub(super) as_ids: bool,
}

/// What is continued.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Input {
    Chat {
        messages: Vec<Message>,
        /// Whether the template turns thinking on; the server's default where absent.
        thinking: Option<bool>,
        max_thinking_tokens: Option<usize>,
    },
    Prompts(Vec<Prompt>),
}

/// One prompt of a plain completion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

/// What the reading of a request needs to know of the server.
pub(super) struct Server<'a> {
    pub(super) name: &'a str,
    pub(super) max_tokens: usize,
    /// The seed of a request that has none.
    pub(super) other_seed: u64,
}

impl Ask {
    pub(super) fn chat(mut fields: Fields, server: &Server<'_>) -> Result<Self, Fault> {
        let messages = messages(&mut fields)?;
        let wants = fields.truth("logprobs")?.unwrap_or(false);
        let top = fields.count("top_logprobs", 0, MAX_TOP_LOGPROBS)?;
        if top.is_some_and(|top| top > 0) && !wants {
            return Err(Fault::field("top_logprobs", "needs `logprobs`: true"));
        }
        let thinking = thinking(&mut fields)?;
        let max_thinking_tokens = fields.count("max_thinking_tokens", 0, usize::MAX)?;
        for (name, harmless) in [
            ("tools", json!([])),
            ("tool_choice", json!("none")),
            ("functions", json!([])),
            ("function_call", json!("none")),
            ("parallel_tool_calls", json!(true)),
            ("modalities", json!(["text"])),
            ("add_generation_prompt", json!(true)),
            ("continue_final_message", json!(false)),
            ("chat_template", Value::Null),
        ] {
            fields.only(name, &harmless, "messages go in and text comes out")?;
        }
        let input = Input::Chat { messages, thinking, max_thinking_tokens };
        Self::rest(fields, server, input, wants.then(|| top.unwrap_or(0)), None)
    }

    pub(super) fn completion(mut fields: Fields, server: &Server<'_>) -> Result<Self, Fault> {
        let prompts = match fields.take("prompt") {
            None => return Err(Fault::field("prompt", "is missing")),
            Some(prompt) => prompts(prompt).ok_or_else(|| {
                Fault::field("prompt", "must be a text, token ids, or a list of one of these, and not empty")
            })?,
        };
        let top = fields.count("logprobs", 0, MAX_TOP_LOGPROBS)?;
        fields.only("echo", &json!(false), "only what follows the prompt is returned")?;
        fields.only("suffix", &json!(""), "text is continued at its end only")?;
        fields.only("best_of", &json!(1), "use `n`")?;
        fields.only("prompt_logprobs", &json!(0), "use `logprobs`, or `logprob_token_ids` for chosen tokens")?;
        // OpenAI's default.
        Self::rest(fields, server, Input::Prompts(prompts), top, Some(16))
    }

    /// Reads what both kinds of requests have. `top` is the number of likeliest tokens that
    /// log-probabilities are wanted of, if any are.
    fn rest(
        mut fields: Fields,
        server: &Server<'_>,
        input: Input,
        top: Option<usize>,
        default_tokens: Option<usize>,
    ) -> Result<Self, Fault> {
        if let Some(name) = fields.text("model")?
            && name != server.name
        {
            let message = format!("this server has the model `{}` only", server.name);
            return Err(Fault::new(StatusCode::NOT_FOUND, "model_not_found", message));
        }
        let max_completion_tokens = fields.count("max_completion_tokens", 1, server.max_tokens)?;
        let max_tokens = max_completion_tokens.or(fields.count("max_tokens", 1, server.max_tokens)?);
        let max_tokens = max_tokens.or(default_tokens.map(|tokens| tokens.min(server.max_tokens)));
        let prompts = match &input {
            Input::Chat { .. } => 1,
            Input::Prompts(prompts) => prompts.len(),
        };
        let n = fields.count("n", 1, MAX_CHOICES)?.unwrap_or(1);
        if n * prompts > MAX_CHOICES {
            return Err(Fault::field("n", format!("and `prompt` ask for more than {MAX_CHOICES} completions")));
        }
        let draws = Draws::read(&mut fields, server.other_seed)?;
        let (stop, stop_token_ids) = (stop(&mut fields)?, ids(&mut fields, "stop_token_ids", MAX_STOPS.0)?);
        let ignore_eos = fields.truth("ignore_eos")?.unwrap_or(false);
        let of = ids(&mut fields, "logprob_token_ids", MAX_LOGPROB_TOKENS)?;
        let as_ids = fields.truth("return_tokens_as_token_ids")?.unwrap_or(false);
        if !of.is_empty() && top.is_none() {
            return Err(Fault::field("logprob_token_ids", "needs `logprobs`"));
        }
        let logprobs = top.map(|top| Logprobs { request: LogprobRequest { top, of }, as_ids });
        let stream = fields.truth("stream")?.unwrap_or(false);
        let include_usage = stream_options(&mut fields)?;
        fields.only("logit_bias", &json!({}), "use `stop_token_ids`, or other sampling")?;
        let plain = json!({ "type": "text" });
        let free = "this server does not constrain what a model writes; ask for the format in the prompt, and check \
            the answer";
        fields.only("response_format", &plain, free)?;
        for name in ["structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "grammar"]
        {
            fields.only(name, &Value::Null, free)?;
        }
        fields.only("skip_special_tokens", &json!(true), "control tokens are never part of a text")?;
        fields.finish()?;
        Ok(Self { input, n, max_tokens, draws, stop, stop_token_ids, ignore_eos, logprobs, stream, include_usage })
    }
}

pub(super) fn messages(fields: &mut Fields) -> Result<Vec<Message>, Fault> {
    let Some(Value::Array(list)) = fields.take("messages") else {
        return Err(Fault::field("messages", "must be a list of messages"));
    };
    if list.is_empty() {
        return Err(Fault::field("messages", "is empty"));
    }
    let numbered = list.into_iter().enumerate();
    numbered
        .map(|(at, message)| read_message(message).map_err(|why| Fault::field(&format!("messages[{at}]"), why)))
        .collect()
}

fn read_message(message: Value) -> Result<Message, String> {
    let Value::Object(fields) = message else { return Err("must be an object".to_string()) };
    let mut fields = Fields::new(fields);
    let role = match fields.take("role").as_ref().and_then(Value::as_str) {
        Some("system" | "developer") => Speaker::System,
        Some("user") => Speaker::User,
        Some("assistant") => Speaker::Assistant,
        _ => return Err("must have the role system, developer, user or assistant".to_string()),
    };
    if ["tool_calls", "function_call", "audio"].into_iter().any(|name| fields.take(name).is_some()) {
        return Err("has a tool call or audio, which this server does not have".to_string());
    }
    let content = match fields.take("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match (part["type"].as_str(), part["text"].as_str()) {
                (Some("text"), Some(text)) => Ok(text),
                _ => Err("has a part that is not text".to_string()),
            })
            .collect::<Result<Vec<_>, _>>()?
            .join("\n"),
        _ => return Err("must have a text as its content".to_string()),
    };
    Ok(Message { role, content })
}

/// Reads whether the template turns thinking on, in the ways of vLLM and of OpenAI.
fn thinking(fields: &mut Fields) -> Result<Option<bool>, Fault> {
    let name = "chat_template_kwargs";
    let of_template = match fields.take(name) {
        None => None,
        Some(Value::Object(arguments)) => {
            let mut arguments = Fields::new(arguments);
            let thinking = arguments.truth("enable_thinking")?;
            arguments.finish().map_err(|_| Fault::field(name, "can hold `enable_thinking` only"))?;
            thinking
        }
        Some(_) => return Err(Fault::field(name, "must be an object")),
    };
    let effort = fields.text("reasoning_effort")?;
    match effort.as_deref() {
        None => Ok(of_template),
        Some("none") => Ok(Some(of_template.unwrap_or(false))),
        Some(_) => {
            let instead = "can be \"none\" only; `max_thinking_tokens` bounds a thought";
            Err(Fault::field("reasoning_effort", instead))
        }
    }
}

fn prompts(value: Value) -> Option<Vec<Prompt>> {
    if let Some(prompt) = prompt(&value) {
        return Some(vec![prompt]);
    }
    let Value::Array(list) = value else { return None };
    let prompts: Vec<Prompt> = list.iter().map(prompt).collect::<Option<_>>()?;
    (!prompts.is_empty()).then_some(prompts)
}

fn prompt(value: &Value) -> Option<Prompt> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| Prompt::Text(text.clone())),
        Value::Array(ids) if !ids.is_empty() => ids.iter().map(token_id).collect::<Option<_>>().map(Prompt::Ids),
        _ => None,
    }
}

fn token_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

fn ids(fields: &mut Fields, name: &str, most: usize) -> Result<Vec<u32>, Fault> {
    let wanted = format!("must be a list of at most {most} token ids");
    let read = |value: Value| match value {
        Value::Array(list) if list.len() <= most => list.iter().map(token_id).collect(),
        _ => None,
    };
    Ok(fields.read(name, &wanted, read)?.unwrap_or_default())
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, Fault> {
    let (most, bytes) = MAX_STOPS;
    let wanted = format!("must be a text or a list of at most {most} texts, none empty or longer than {bytes} bytes");
    let text = |value: Value| match value {
        Value::String(text) if !text.is_empty() && text.len() <= bytes => Some(text),
        _ => None,
    };
    let read = |value: Value| match value {
        Value::Array(list) if list.len() <= most => list.into_iter().map(text).collect(),
        other => text(other).map(|text| vec![text]),
    };
    Ok(fields.read("stop", &wanted, read)?.unwrap_or_default())
}

pub(super) fn stream_options(fields: &mut Fields) -> Result<bool, Fault> {
    let wanted = "can hold `include_usage` only";
    let include = fields.read("stream_options", wanted, |value| match value {
        Value::Object(options) => {
            let mut options = Fields::new(options);
            let include = options.truth("include_usage").ok()?.unwrap_or(false);
            drop((options.take("include_obfuscation"), options.take("continuous_usage_stats")));
            options.finish().is_ok().then_some(include)
        }
        _ => None,
    })?;
    Ok(include.unwrap_or(false))
}
