//! The model's own chat template, run by minijinja with bounded time (fuel) and bounded output.

use super::Speaker;
use super::TextError;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value;
use std::io;

/// Instructions that one rendering may execute; Qwen3's template needs about 60 a message.
const FUEL: u64 = 5_000_000;
/// A rendering may be this much longer than the messages, plus [`OUTPUT_SLACK_BYTES`].
const OUTPUT_FACTOR: usize = 4;
const OUTPUT_SLACK_BYTES: usize = 1 << 20;
const NAME: &str = "chat_template";

/// A message as the template sees it.
pub(super) struct Turn<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
}

impl<'a> Turn<'a> {
    pub(super) fn new(role: Speaker, content: &'a str) -> Self {
        Self { role: role.as_str(), content }
    }
}

/// The template's source: `chat_template.jinja`, or else `chat_template` in `tokenizer_config.json`
/// (a text, or a list of named templates of which `default` is taken).
///
/// # Errors
/// Text that is not UTF-8 or not JSON, or a `chat_template` of another form.
pub fn template_source(jinja: Option<&[u8]>, tokenizer_config: Option<&[u8]>) -> Result<Option<String>, TextError> {
    if let Some(bytes) = jinja {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| TextError::File { file: "chat_template.jinja", reason: error.to_string() })?;
        return Ok(Some(text.to_string()));
    }
    let Some(bytes) = tokenizer_config else { return Ok(None) };
    let wrong = |reason: String| TextError::File { file: "tokenizer_config.json", reason };
    let json: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    match json.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(list)) => {
            let default = list.iter().find(|entry| entry["name"] == "default").and_then(|e| e["template"].as_str());
            default
                .map(|text| Some(text.to_string()))
                .ok_or_else(|| wrong("`chat_template` lists no template named `default`".to_string()))
        }
        Some(_) => Err(wrong("`chat_template` must be a text or a list of named texts".to_string())),
    }
}

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
}

impl ChatTemplate {
    /// Compiles `source` with the settings that Hugging Face's templates are written for.
    ///
    /// # Errors
    /// A syntax error in the template.
    pub fn new(source: &str) -> Result<Self, TextError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(failed)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |reason: String| -> Result<(), Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_template_owned(NAME, source.to_string()).map_err(failed)?;
        Ok(Self { environment, source: source.to_string() })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders a conversation up to the start of the model's answer.
    pub(super) fn render(&self, turns: &[Turn<'_>], thinking: bool) -> Result<String, TextError> {
        let content_bytes: usize = turns.iter().map(|turn| turn.content.len()).sum();
        let limit_bytes = content_bytes.saturating_mul(OUTPUT_FACTOR).saturating_add(OUTPUT_SLACK_BYTES);
        let mut output = Capped { bytes: Vec::with_capacity(content_bytes + 1024), limit_bytes, full: false };
        let template = self.environment.get_template(NAME).map_err(failed)?;
        let messages: Vec<minijinja::Value> =
            turns.iter().map(|turn| context! { role => turn.role, content => turn.content }).collect();
        let values = context! { messages, add_generation_prompt => true, enable_thinking => thinking };
        match template.render_captured_to(values, &mut output) {
            Ok(_) => {}
            Err(_) if output.full => return Err(TextError::TemplateOutput { limit_bytes }),
            Err(error) => return Err(failed(error)),
        }
        String::from_utf8(output.bytes).map_err(|error| TextError::Template(error.to_string()))
    }
}

fn failed(error: Error) -> TextError {
    TextError::Template(error.to_string())
}

/// Takes bytes up to a limit and then fails.
struct Capped {
    bytes: Vec<u8>,
    limit_bytes: usize,
    full: bool,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit_bytes {
            self.full = true;
            return Err(io::Error::other("the template's output is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, String> {
        let template = ChatTemplate::new(source).map_err(|error| error.to_string())?;
        template.render(&[Turn::new(Speaker::User, "hi")], false).map_err(|error| error.to_string())
    }

    #[test]
    fn python_methods_work_and_blocks_are_trimmed() {
        let source = "{% for m in messages %}\n  {% if m.content.startswith('h') %}\n[{{ m.role }}]{{ m.content.upper() }}\n  {% endif %}\n{% endfor %}";
        assert_eq!(render(source).unwrap(), "[user]HI\n");
    }

    #[test]
    fn time_and_output_are_bounded() {
        let loops = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        assert!(render(loops).unwrap_err().contains("fuel"));
        let long = "{% for i in range(3000) %}{{ 'x' * 1000 }}{% endfor %}";
        assert_eq!(render(long).unwrap_err(), "the chat template wrote more than 1048584 bytes");
    }

    #[test]
    fn a_template_can_refuse() {
        assert!(render("{{ raise_exception('roles must alternate') }}").unwrap_err().contains("roles must alternate"));
        assert!(render("{% for %}").is_err());
    }

    #[test]
    fn the_source_is_found_where_hugging_face_puts_it() {
        let config = br#"{"chat_template": "from config"}"#;
        let list =
            br#"{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        assert_eq!(template_source(Some(b"own file"), Some(config)).unwrap().unwrap(), "own file");
        assert_eq!(template_source(None, Some(config)).unwrap().unwrap(), "from config");
        assert_eq!(template_source(None, Some(list)).unwrap().unwrap(), "d");
        assert_eq!(template_source(None, Some(b"{}")).unwrap(), None);
        assert_eq!(
            template_source(None, Some(br#"{"chat_template": 3}"#)).unwrap_err().to_string(),
            "tokenizer_config.json: `chat_template` must be a text or a list of named texts"
        );
    }
}
