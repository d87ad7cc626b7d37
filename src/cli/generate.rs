//! `maspo generate`: Continue prompts with a local model.

use super::interrupt::cancel_on_ctrl_c;
use super::jsonl::{Input, Output, Prepared, answer_all, check_all, parse};
use super::local::{EngineArgs, fault, line_prompt, model_fields, open_model};
use super::{CliError, Exit};
use crate::chat::{Message, Sampling};
use crate::engine::text::PromptThought;
use crate::engine::{EngineOptions, TokenRequest};
use crate::local::LocalModel;
use serde::Deserialize;
use serde_json::{Value, json};

/// Continue prompts with a local model.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// Most new tokens where a line does not say.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Let the chat template turn thinking on.
    #[arg(long)]
    thinking: bool,
}

/// One line of the input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Value,
    messages: Option<Vec<Message>>,
    prompt: Option<String>,
    input_ids: Option<Vec<u32>>,
    max_tokens: Option<usize>,
    temperature: Option<f64>,
    top_k: Option<u32>,
    top_p: Option<f64>,
    seed: Option<u64>,
    #[serde(default)]
    ignore_eos: bool,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let input = Input::open(&args.engine.input)?;
    let model = open_model(&args.engine, args.thinking)?;
    let prepare = |line: &str| prepare(&model, line, args.max_tokens);
    check_all(&input, &prepare)?;
    let cancel = cancel_on_ctrl_c()?;
    let mut output = Output::open(args.engine.output.as_deref(), args.engine.json, &input)?;
    let head = json!({ "schema": 1, "command": "generate", "model": model_fields(&model) });
    let in_flight = EngineOptions::default().queue;
    answer_all(&input, &mut output, head, in_flight, &cancel, &prepare, async |(thought, request)| {
        let result = model.engine().generate(request).await.map_err(fault)?;
        let mut answer = json!({
            "text": model.engine().decode(&result.token_ids),
            "token_ids": result.token_ids,
            "finish_reason": result.finish_reason,
            "prompt_tokens": result.prompt_tokens,
            "reused_tokens": result.reused_tokens,
        });
        // `text` is all of it; what a thinking model wrote is given in its two parts as well.
        let reply = model.engine().split(thought, &result.token_ids);
        if let Some(reasoning) = reply.reasoning {
            answer["reasoning"] = reasoning.into();
            answer["content"] = reply.content.into();
        }
        Ok(answer.as_object().cloned().unwrap_or_default())
    })
}

/// A request, and where its prompt leaves the model.
type Generation = (PromptThought, TokenRequest);

fn prepare(model: &LocalModel, line: &str, max_tokens: usize) -> Result<Prepared<Generation>, String> {
    let line: Line = parse(line)?;
    let max_new_tokens = line.max_tokens.unwrap_or(max_tokens);
    let temperature = line.temperature.unwrap_or(0.0);
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err("`temperature` must be 0 or more".to_string());
    }
    let top_p = line.top_p.unwrap_or(1.0);
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err("`top_p` must be above 0 and at most 1".to_string());
    }
    let sampling = match temperature {
        0.0 => Sampling::GREEDY,
        _ => Sampling { temperature, top_k: line.top_k.unwrap_or(0), top_p, seed: line.seed.unwrap_or(0) },
    };
    let prompt = line_prompt(model, line.messages, line.prompt, line.input_ids)?;
    let thought = prompt.thought;
    let request =
        TokenRequest { prompt: prompt.ids, max_new_tokens, sampling, ignore_eos: line.ignore_eos, stop: Vec::new() };
    Ok(Prepared { id: line.id, request: (thought, request) })
}
