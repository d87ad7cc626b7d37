//! Conversations to token ids: the template is rendered with control-looking data hidden, split at
//! the template's control tokens, and each stretch between two of them (template text and data
//! together, so that merges fall as in Hugging Face transformers) is tokenized as plain text.

use super::mask::{Hide, Masks};
use super::template::Turn;
use super::thought::Thoughts;
use super::tokenizer::Piece;
use super::{ChatTemplate, PromptThought, Reply, TextError, Tokenizer};
use super::{Message, Speaker};

/// A tokenizer with the chat template that goes with it.
pub struct ChatText {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    thoughts: Thoughts,
}

/// The prompt of a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChatPrompt {
    /// Its token ids.
    pub ids: Vec<u32>,
    /// Where it leaves the model; [`ChatText::split`] needs it.
    pub thought: PromptThought,
}

impl ChatText {
    /// Joins the two; without a template only raw prompts can be encoded.
    pub fn new(tokenizer: Tokenizer, template: Option<ChatTemplate>) -> Self {
        let thoughts = Thoughts::new(&tokenizer, template.as_ref().map(ChatTemplate::source));
        Self { tokenizer, template, thoughts }
    }

    /// Returns the tokenizer alone.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Returns the chat template, where the model has one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// Encodes a conversation up to the start of the model's answer.
    ///
    /// For messages without the text of a control token the ids are those of transformers'
    /// `apply_chat_template`. Such text in a system's or user's message stays text, and the
    /// template does not see it either. In an assistant's message the template sees tokens that are
    /// not special (`</think>`), because templates take earlier answers apart at them.
    ///
    /// # Errors
    /// No template, no messages, or a template that fails on them.
    pub fn encode_chat(&self, messages: &[Message], thinking: bool) -> Result<Vec<u32>, TextError> {
        Ok(self.open_turn(messages, thinking)?.ids)
    }

    /// Does what [`encode_chat`](Self::encode_chat) does, and says where the prompt leaves the
    /// model.
    ///
    /// # Errors
    /// Those of [`encode_chat`](Self::encode_chat).
    pub fn open_turn(&self, messages: &[Message], thinking: bool) -> Result<ChatPrompt, TextError> {
        let (masks, rendered) = self.rendered(messages, thinking)?;
        let thought = self.thought(messages, &rendered, thinking);
        Ok(ChatPrompt { ids: self.ids(&masks, &rendered)?, thought })
    }

    /// The prompt after which a model goes on with content, whether or not it thinks otherwise: if
    /// the template does not close the thought, an empty one is closed as the template would.
    ///
    /// # Errors
    /// Those of [`encode_chat`](Self::encode_chat).
    pub fn open_content(&self, messages: &[Message], thinking: bool) -> Result<ChatPrompt, TextError> {
        let (masks, mut rendered) = self.rendered(messages, false)?;
        let mut thought = self.thought(messages, &rendered, thinking);
        let skipped = self.thoughts.skip(thought);
        if !skipped.is_empty() {
            rendered.push_str(&skipped);
            thought = PromptThought::Closed;
        }
        Ok(ChatPrompt { ids: self.ids(&masks, &rendered)?, thought })
    }

    /// Splits the tokens that the model wrote after a prompt into reasoning and content.
    pub fn split(&self, prompt: PromptThought, ids: &[u32]) -> Reply {
        self.thoughts.split(&self.tokenizer, prompt, ids)
    }

    /// The tokens that close a thought, as the template writes them.
    ///
    /// # Errors
    /// A tokenizer that makes a control token of plain text.
    pub fn closing(&self) -> Result<Vec<u32>, TextError> {
        self.tokenizer.encode_raw(self.thoughts.closing())
    }

    fn thought(&self, messages: &[Message], rendered: &str, thinking: bool) -> PromptThought {
        let last = messages.last().map_or("", |message| message.content.as_str());
        self.thoughts.after_prompt(rendered, last, thinking)
    }

    /// Renders a conversation with the texts of control tokens hidden where they are data.
    fn rendered(&self, messages: &[Message], thinking: bool) -> Result<(Masks, String), TextError> {
        let template = self.template.as_ref().ok_or(TextError::NoTemplate)?;
        if messages.is_empty() {
            return Err(TextError::NoMessages);
        }
        let (masks, rendered) = self.render(template, messages, thinking, Hide::All)?;
        let has_answers = messages.iter().any(|message| message.role == Speaker::Assistant);
        if has_answers && !masks.is_empty() && !self.is_verbatim(template, messages, thinking, &masks, &rendered)? {
            return self.render(template, messages, thinking, Hide::Special);
        }
        Ok((masks, rendered))
    }

    /// The ids of a rendered conversation, with everything hidden put back as plain text.
    fn ids(&self, masks: &Masks, rendered: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::with_capacity(rendered.len() / 3);
        for piece in self.tokenizer.pieces(rendered) {
            match piece {
                Piece::Control(id) => ids.push(id),
                Piece::Text(text) => ids.extend(self.tokenizer.encode_data(&masks.restore(text)?)?),
            }
        }
        Ok(ids)
    }

    /// Renders with the texts of control tokens hidden: all of them in system and user messages,
    /// and those that `answers` names in the assistant's.
    fn render(
        &self,
        template: &ChatTemplate,
        messages: &[Message],
        thinking: bool,
        answers: Hide,
    ) -> Result<(Masks, String), TextError> {
        let texts = messages.iter().map(|message| message.content.as_str());
        let mut masks = Masks::new(texts.chain(template.texts()))?;
        let hidden: Vec<String> = messages
            .iter()
            .map(|message| {
                let hide = if message.role == Speaker::Assistant { answers } else { Hide::All };
                masks.hide(&self.tokenizer, &message.content, hide)
            })
            .collect();
        let turns: Vec<Turn<'_>> =
            messages.iter().zip(&hidden).map(|(message, content)| Turn::new(message.role, content)).collect();
        let rendered = template.render(&turns, thinking)?;
        Ok((masks, rendered))
    }

    /// Whether the template treats the hidden text like any other.
    fn is_verbatim(
        &self,
        template: &ChatTemplate,
        messages: &[Message],
        thinking: bool,
        masks: &Masks,
        rendered: &str,
    ) -> Result<bool, TextError> {
        let turns: Vec<Turn<'_>> = messages.iter().map(|message| Turn::new(message.role, &message.content)).collect();
        Ok(template.render(&turns, thinking)? == masks.restore(rendered)?)
    }
}
