//! What `generate` and `score` share: opening a model, and a request's prompt in its three forms.

use super::CliError;
use super::jsonl::Fault;
use super::opening::OpenArgs;
use super::output::print_message;
use crate::chat::Message;
use crate::engine::text::{ChatPrompt, PromptThought};
use crate::engine::{EngineError, ModelSource, TokenizerRequirement};
use crate::local::LocalModel;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The flags of both commands.
#[derive(clap::Args, Debug)]
pub(super) struct EngineArgs {
    /// A Hugging Face model folder, a .gguf file, or `embedded:triage`.
    #[arg(long)]
    pub(super) model: String,
    /// Requests, one JSON object a line; `-` is standard input.
    #[arg(long)]
    pub(super) input: PathBuf,
    /// Where the answers go; default is standard output.
    #[arg(long)]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) opening: OpenArgs,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

/// Opens the model of `--model`. A model without a tokenizer is enough for `input_ids`.
pub(super) fn open_model(args: &EngineArgs, thinking: bool) -> Result<LocalModel, CliError> {
    let source = ModelSource::parse(&args.model).map_err(CliError::bad_input)?;
    let model = args.opening.open(&source, |options, how| {
        LocalModel::open_as(&source, options, thinking, TokenizerRequirement::Optional, how)
    })?;
    if !model.engine().has_text() {
        print_message(format_args!(
            "warning: {source} has no tokenizer.json: only `input_ids` can be continued, and `text` stays empty"
        ));
    }
    Ok(model)
}

/// Returns the `model` field of `--json`.
pub(super) fn model_fields(model: &LocalModel) -> Value {
    use crate::chat::ChatModel;
    json!(model.identity())
}

/// Returns the prompt of a line, which has exactly one of the three forms. Only a conversation says
/// whether it leaves the model in a thought.
pub(super) fn line_prompt(
    model: &LocalModel,
    messages: Option<Vec<Message>>,
    prompt: Option<String>,
    input_ids: Option<Vec<u32>>,
) -> Result<ChatPrompt, String> {
    let engine = model.engine();
    let raw = |ids| ChatPrompt { ids, thought: PromptThought::Absent };
    let prompt = match (messages, prompt, input_ids) {
        (Some(messages), None, None) => {
            engine.open_turn(&messages, model.thinking()).map_err(|error| error.to_string())?
        }
        (None, Some(prompt), None) => raw(engine.encode_raw(&prompt).map_err(|error| error.to_string())?),
        (None, None, Some(ids)) => raw(ids),
        (None, None, None) => return Err("one of `messages`, `prompt`, `input_ids` is called for".to_string()),
        _ => return Err("only one of `messages`, `prompt`, `input_ids` can be given".to_string()),
    };
    let vocab_size = engine.config().vocab_size;
    match prompt.ids.iter().find(|id| **id as usize >= vocab_size) {
        Some(&id) => Err(EngineError::Token { id, vocab_size }.to_string()),
        None if prompt.ids.is_empty() => Err(EngineError::EmptyPrompt.to_string()),
        None => Ok(prompt),
    }
}

/// Returns how an error of the engine is handled: a request that cannot fit is refused alone, and
/// anything else ends the run.
pub(super) fn fault(error: EngineError) -> Fault {
    match error {
        EngineError::Overflow { .. } => Fault::Refused(error.to_string()),
        other => Fault::Fatal(other.to_string()),
    }
}
