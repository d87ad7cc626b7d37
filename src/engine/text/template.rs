//! The model's own chat template, run by minijinja with bounded time (fuel) and bounded output.

use super::template_json::tojson;
use super::template_syntax::for_minijinja;
use super::{Date, Speaker, SpecialTokens, TextError, json_object};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;

/// Instructions that one rendering may execute; Qwen3's template needs about 60 a message.
const FUEL: u64 = 5_000_000;
/// A rendering may be this much longer than the messages, plus [`OUTPUT_SLACK_BYTES`].
const OUTPUT_FACTOR: usize = 4;
const OUTPUT_SLACK_BYTES: usize = 1 << 20;
const NAME: &str = "chat_template";
/// The name of a list of special tokens in templates.
const ADDITIONAL: &str = "additional_special_tokens";
/// The function that gives a template the date.
const DATE: &str = "strftime_now";

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

/// Returns the template's source: `chat_template.jinja`, or else `chat_template` in
/// `tokenizer_config.json` (a text, or a list of named templates of which `default` is taken).
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
    match json_object("tokenizer_config.json", bytes)?.get("chat_template") {
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

/// A compiled chat template and what it sees beside the messages.
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    special_tokens: SpecialTokens,
    date: Date,
}

impl ChatTemplate {
    /// Compiles `source` with the settings that Hugging Face's templates are written for. It sees
    /// no special tokens and today's date unless told otherwise.
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
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, for_minijinja(source)).map_err(failed)?;
        let (source, special_tokens) = (source.to_string(), SpecialTokens::default());
        Ok(Self { environment, source, special_tokens, date: Date::today() }.with_date(Date::today()))
    }

    /// Returns this template with the special tokens that it sees by name.
    #[must_use]
    pub fn with_special_tokens(self, special_tokens: SpecialTokens) -> Self {
        Self { special_tokens, ..self }
    }

    /// Returns this template with the date that `strftime_now` gives.
    #[must_use]
    pub fn with_date(mut self, date: Date) -> Self {
        self.environment.add_function(DATE, move |format: String| -> Result<String, Error> {
            date.format(&format)
                .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now({format:?}): {error}")))
        });
        Self { date, ..self }
    }

    /// Returns the template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the values beside messages that can change what the template renders: the special
    /// tokens that it names, and the date where it uses it.
    pub fn inputs(&self) -> Vec<(String, String)> {
        let named = self.special_tokens.named().iter().cloned();
        let additional = (ADDITIONAL.to_string(), self.special_tokens.additional().join("\n"));
        let all = named.chain([additional, (DATE.to_string(), self.date.to_string())]);
        all.filter(|(name, value)| !value.is_empty() && self.source.contains(name.as_str())).collect()
    }

    /// Returns every text that the template can write and that is not a message's.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let named = self.special_tokens.named().iter().map(|(_, text)| text.as_str());
        let additional = self.special_tokens.additional().iter().map(String::as_str);
        [self.source.as_str()].into_iter().chain(named).chain(additional)
    }

    /// Renders a conversation up to the start of the model's answer.
    pub(super) fn render(&self, turns: &[Turn<'_>], thinking: bool) -> Result<String, TextError> {
        let content_bytes: usize = turns.iter().map(|turn| turn.content.len()).sum();
        let limit_bytes = content_bytes.saturating_mul(OUTPUT_FACTOR).saturating_add(OUTPUT_SLACK_BYTES);
        let mut output = Capped { bytes: Vec::with_capacity(content_bytes + 1024), limit_bytes, full: false };
        let template = self.environment.get_template(NAME).map_err(failed)?;
        let messages: Vec<minijinja::Value> =
            turns.iter().map(|turn| context! { role => turn.role, content => turn.content }).collect();
        let none = || minijinja::Value::from(());
        let mut values = self.token_values();
        values.extend([
            ("messages", minijinja::Value::from(messages)),
            ("tools", none()),
            ("documents", none()),
            ("add_generation_prompt", true.into()),
            ("enable_thinking", thinking.into()),
        ]);
        match template.render_captured_to(minijinja::Value::from(values), &mut output) {
            Ok(_) => {}
            Err(_) if output.full => return Err(TextError::TemplateOutput { limit_bytes }),
            Err(error) => return Err(failed(error)),
        }
        String::from_utf8(output.bytes).map_err(|error| TextError::Template(error.to_string()))
    }
}

impl ChatTemplate {
    /// Returns the special tokens as the template's variables; one that there is not is undefined.
    fn token_values(&self) -> BTreeMap<&str, minijinja::Value> {
        let named = self.special_tokens.named().iter();
        let mut values: BTreeMap<&str, minijinja::Value> =
            named.map(|(name, text)| (name.as_str(), minijinja::Value::from(text.as_str()))).collect();
        let additional = self.special_tokens.additional();
        if !additional.is_empty() {
            values.insert(ADDITIONAL, minijinja::Value::from(additional.to_vec()));
        }
        values
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
    use crate::text::TokenFiles;

    fn render(source: &str) -> Result<String, String> {
        let template = ChatTemplate::new(source).map_err(|error| error.to_string())?;
        template.render(&[Turn::new(Speaker::User, "hi")], false).map_err(|error| error.to_string())
    }

    #[test]
    fn python_methods_work_and_blocks_are_trimmed() {
        let source = "{% for m in messages %}\n  {% if m.content.startswith('h') %}\n\
            [{{ m.role }}]{{ m.content.upper() }}\n  {% endif %}\n{% endfor %}";
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
    fn special_tokens_are_texts_or_undefined() {
        let config = br#"{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null,
            "additional_special_tokens": ["<x>", "<y>"], "extra_special_tokens": {"image_token": "<img>"}}"#;
        let files = TokenFiles { tokenizer_config: Some(config), ..TokenFiles::default() };
        let tokens = SpecialTokens::read(files).unwrap();
        let render = |source: &str| {
            let template = ChatTemplate::new(source).unwrap().with_special_tokens(tokens.clone());
            template.render(&[Turn::new(Speaker::User, "hi")], false).map_err(|error| error.to_string())
        };
        assert_eq!(render("{{ bos_token + 'a' + eos_token }}").unwrap(), "<s>a</s>");
        assert_eq!(render("{% if pad_token %}p{% endif %}{{ pad_token }}{{ pad_token is defined }}").unwrap(), "False");
        assert_eq!(render("{{ additional_special_tokens[1] }}{{ image_token }}").unwrap(), "<y><img>");
        assert!(render("{{ 'a' + unk_token }}").unwrap_err().contains("undefined"));
        let inputs = |source: &str| {
            ChatTemplate::new(source)
                .unwrap()
                .with_special_tokens(tokens.clone())
                .with_date("2026-01-02".parse().unwrap())
                .inputs()
        };
        assert_eq!(inputs("{{ messages[0].content }}"), []);
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(
            inputs("{{ eos_token }}{{ pad_token }}{{ strftime_now('%Y') }}"),
            [pair("eos_token", "</s>"), pair("strftime_now", "2026-01-02")]
        );
    }

    #[test]
    fn the_date_is_the_one_that_is_given() {
        let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}").unwrap();
        let turns = [Turn::new(Speaker::User, "hi")];
        let dated = template.with_date("2024-07-26".parse().unwrap());
        assert_eq!(dated.render(&turns, false).unwrap(), "26 Jul 2024");
    }

    #[test]
    fn what_transformers_adds_to_jinja_is_there() {
        for (source, expected) in [
            (
                "{% for i in [1, 2, 3, 4] %}{% if i == 2 %}{% continue %}{% endif %}\
                {% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
                "13",
            ),
            (
                "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ messages[0].content }}{% endgeneration %}{{ x }}",
                "hi1",
            ),
            ("a {%- generation %} b {%- endgeneration %} c", "a b c"),
            ("{{ tools is none }}{{ documents is none }}{% if tools %}t{% endif %}", "TrueTrue"),
            ("a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n", "a\nb\nc"),
            ("{{ {'b': '<', 'a': [1]} | tojson }}", r#"{"b": "<", "a": [1]}"#),
        ] {
            assert_eq!(render(source).unwrap(), expected, "{source}");
        }
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
