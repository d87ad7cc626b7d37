//! `maspo score`: Score answer texts as the next tokens.

use super::interrupt::cancel_on_ctrl_c;
use super::jsonl::{Input, Output, Prepared, answer_all, check_all, parse};
use super::local::{EngineArgs, fault, line_prompt, model_fields, open_model};
use super::{CliError, Exit};
use crate::chat::Message;
use crate::engine::{EngineError, EngineOptions};
use crate::local::LocalModel;
use serde::Deserialize;
use serde_json::{Value, json};

/// Score answer texts as the next tokens.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
}

/// One line of the input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Value,
    messages: Option<Vec<Message>>,
    prompt: Option<String>,
    input_ids: Option<Vec<u32>>,
    answers: Vec<String>,
}

struct ScoreRequest {
    prompt: Vec<u32>,
    answers: Vec<Vec<u32>>,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let input = Input::open(&args.engine.input)?;
    let model = open_model(&args.engine, false)?;
    let prepare = |line: &str| prepare(&model, line);
    check_all(&input, &prepare)?;
    let cancel = cancel_on_ctrl_c()?;
    let mut output = Output::open(args.engine.output.as_deref(), args.engine.json, &input)?;
    let head = json!({ "schema": 1, "command": "score", "model": model_fields(&model) });
    let in_flight = EngineOptions::default().queue;
    answer_all(&input, &mut output, head, in_flight, &cancel, &prepare, async |request: ScoreRequest| {
        let result = model.engine().score_tokens(request.prompt, request.answers).await.map_err(fault)?;
        let answer = json!({ "logprobs": result.logprobs });
        Ok(answer.as_object().cloned().unwrap_or_default())
    })
}

fn prepare(model: &LocalModel, line: &str) -> Result<Prepared<ScoreRequest>, String> {
    let line: Line = parse(line)?;
    if line.answers.is_empty() {
        return Err("`answers` is empty".to_string());
    }
    let prompt = line_prompt(model, line.messages, line.prompt, line.input_ids)?.ids;
    let mut answers = Vec::with_capacity(line.answers.len());
    for (index, answer) in line.answers.iter().enumerate() {
        let ids = model.engine().encode_answer(answer).map_err(|error| error.to_string())?;
        if ids.is_empty() {
            return Err(EngineError::EmptyAnswer(index).to_string());
        }
        answers.push(ids);
    }
    Ok(Prepared { id: line.id, request: ScoreRequest { prompt, answers } })
}
