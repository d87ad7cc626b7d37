//! What can be wrong with a model's text files, or with messages for its template.

/// Why text cannot be turned into tokens.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TextError {
    /// A JSON file of the model is not what it should be.
    #[error("{file}: {reason}")]
    File {
        /// The file's name.
        file: &'static str,
        /// What is wrong in it.
        reason: String,
    },
    /// There is no tokenizer, so text cannot be read or written.
    #[error("the model has no tokenizer.json: only `input_ids` can be used")]
    NoTokenizer,
    /// There is no chat template, so messages cannot be rendered.
    #[error(
        "the model has no chat template (chat_template.jinja or tokenizer_config.json); give `prompt` or `input_ids`"
    )]
    NoTemplate,
    /// A conversation without messages.
    #[error("`messages` is empty")]
    NoMessages,
    /// The template refused the messages, or ran out of fuel.
    #[error("the chat template failed: {0}")]
    Template(String),
    /// The template wrote far more than the messages hold.
    #[error("the chat template wrote more than {limit_bytes} bytes")]
    TemplateOutput {
        /// The cap for these messages.
        limit_bytes: usize,
    },
    /// The template cut a message in a way that hides which text is data.
    #[error(
        "the chat template cuts a message inside a control token's text, so its data cannot be told from the template"
    )]
    Rewritten,
    /// A tokenizer whose plain text gives control tokens.
    #[error("tokenizer.json: plain text was turned into the control token `{token}`")]
    ControlToken {
        /// The token's text.
        token: String,
    },
}
