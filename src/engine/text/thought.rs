//! Splits what a model wrote into its reasoning and its content. It knows the marks of a thought
//! (`<think>`, `</think>`) from the vocabulary and the chat template, and where a prompt leaves the
//! model. Nothing above this module looks for these marks.

use super::Tokenizer;
use super::tokenizer::Piece;

/// The marks around a thought. The first pair that the vocabulary or the template has is used.
const MARKS: [(&str, &str); 2] = [("<think>", "</think>"), ("[THINK]", "[/THINK]")];

/// What closes a thought if the template does not show it: the way of Qwen3 and DeepSeek-R1.
const CLOSING: (usize, usize) = (1, 2);

/// Where a prompt leaves the model: inside a thought or outside of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PromptThought {
    /// The template opened a thought. Everything up to the mark that closes it is reasoning.
    Open,
    /// Thinking is on, and the model is expected to open a thought itself.
    Expected,
    /// The template wrote an empty thought, so that content follows.
    Closed,
    /// The prompt has no thought, and thinking is off.
    Absent,
}

/// A completion in its two parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reply {
    /// The reasoning, without its marks; `None` if the model did not think.
    pub reasoning: Option<String>,
    /// What the model says after its reasoning; empty if it did not get that far.
    pub content: String,
    /// Whether the completion ended before its thought was closed.
    pub cut_in_reasoning: bool,
}

/// One mark: its text, and its id where the vocabulary has it as one token.
struct Mark {
    text: &'static str,
    id: Option<u32>,
}

/// How one model marks its thoughts.
pub(super) struct Thoughts {
    open: Mark,
    close: Mark,
    /// The text that closes a thought as the template writes it, with its line breaks.
    closing: String,
    /// Whether the vocabulary or the template has the marks.
    known: bool,
}

impl Thoughts {
    /// Finds the marks in a vocabulary and in the source of a chat template.
    pub(super) fn new(tokenizer: &Tokenizer, template: Option<&str>) -> Self {
        let id = |text: &str| match tokenizer.pieces(text)[..] {
            [Piece::Control(id)] => Some(id),
            _ => None,
        };
        let source = template.unwrap_or_default();
        let known = MARKS.into_iter().find(|(_, close)| id(close).is_some() || source.contains(close));
        let (open, close) = known.unwrap_or(MARKS[0]);
        let mark = |text| Mark { text, id: id(text) };
        let closing = closing(source, open, close);
        Self { open: mark(open), close: mark(close), closing, known: known.is_some() }
    }

    /// Returns where a rendered prompt leaves the model. `last` is the content of the last message,
    /// which a template may put at the very end: a mark in it is data.
    pub(super) fn after_prompt(&self, rendered: &str, last: &str, thinking: bool) -> PromptThought {
        let (end, last) = (rendered.trim_end(), last.trim_end());
        let is_written = |mark: &Mark| {
            let is_data = mark.id.is_none() && last.ends_with(mark.text) && end.ends_with(last);
            end.ends_with(mark.text) && !is_data
        };
        match () {
            () if is_written(&self.open) => PromptThought::Open,
            () if is_written(&self.close) => PromptThought::Closed,
            () if thinking => PromptThought::Expected,
            () => PromptThought::Absent,
        }
    }

    /// Returns what follows a prompt so that the model goes on with content: the rest of an empty
    /// thought, or nothing.
    pub(super) fn skip(&self, prompt: PromptThought) -> String {
        match prompt {
            PromptThought::Open => self.closing.clone(),
            PromptThought::Expected if self.known => {
                let line_break = if self.closing.starts_with('\n') { "\n" } else { "" };
                format!("{}{line_break}{}", self.open.text, self.closing)
            }
            PromptThought::Expected | PromptThought::Closed | PromptThought::Absent => String::new(),
        }
    }

    /// Returns the text that closes a thought, as the template writes it.
    pub(super) fn closing(&self) -> &str {
        &self.closing
    }

    /// Splits the tokens that a model wrote after a prompt.
    ///
    /// The first mark that closes the thought ends it; every later mark is content. Where the
    /// vocabulary has the mark as one token, that token counts. The same text in other tokens
    /// counts only if the token does not occur.
    pub(super) fn split(&self, tokenizer: &Tokenizer, prompt: PromptThought, ids: &[u32]) -> Reply {
        let text = tokenizer.decode(ids);
        let end = self.end(tokenizer, ids, &text);
        let opens = self.opens(tokenizer, ids, &text);
        let thinks = match prompt {
            PromptThought::Open => true,
            PromptThought::Expected => end.is_some() || opens || self.position(&self.open, ids).is_some(),
            // A model may think although it was not asked to. A mark that the content only mentions
            // is none: it neither stands at the start nor closes what nothing opened.
            PromptThought::Absent => opens || end.as_ref().is_some_and(|(before, _)| !self.mentions_open(ids, before)),
            PromptThought::Closed => opens,
        };
        match end {
            _ if !thinks => Reply { reasoning: None, content: text, cut_in_reasoning: false },
            Some((before, after)) => Reply {
                reasoning: Some(self.without_open(&before)),
                content: after.trim_start().to_string(),
                cut_in_reasoning: false,
            },
            None => Reply { reasoning: Some(self.without_open(&text)), content: String::new(), cut_in_reasoning: true },
        }
    }

    /// Returns the text before and after the mark that closes the thought.
    fn end(&self, tokenizer: &Tokenizer, ids: &[u32], text: &str) -> Option<(String, String)> {
        if let Some(at) = self.position(&self.close, ids) {
            return Some((tokenizer.decode(&ids[..at]), tokenizer.decode(&ids[at + 1..])));
        }
        text.split_once(self.close.text).map(|(before, after)| (before.to_string(), after.to_string()))
    }

    /// Returns whether the text begins with the mark that opens a thought.
    fn opens(&self, tokenizer: &Tokenizer, ids: &[u32], text: &str) -> bool {
        let by_token = self.position(&self.open, ids).is_some_and(|at| tokenizer.decode(&ids[..at]).trim().is_empty());
        by_token || text.trim_start().starts_with(self.open.text)
    }

    fn mentions_open(&self, ids: &[u32], before: &str) -> bool {
        let close = self.position(&self.close, ids).unwrap_or(ids.len());
        before.contains(self.open.text) || self.position(&self.open, ids).is_some_and(|open| open < close)
    }

    fn position(&self, mark: &Mark, ids: &[u32]) -> Option<usize> {
        mark.id.and_then(|id| ids.iter().position(|other| *other == id))
    }

    fn without_open(&self, reasoning: &str) -> String {
        let text = reasoning.trim();
        text.strip_prefix(self.open.text).unwrap_or(text).trim().to_string()
    }
}

/// Returns the text that closes a thought in the source of a template: the mark with the line
/// breaks around it, from the place where most of them stand. A mark without any counts only in an
/// empty thought, because templates also take earlier answers apart at it.
fn closing(source: &str, open: &str, close: &str) -> String {
    let breaks_before = |text: &str| (1..).take_while(|n| text.ends_with(&"\\n".repeat(*n))).count();
    let breaks_after = |text: &str| (1..).take_while(|n| text.starts_with(&"\\n".repeat(*n))).count();
    let written = source.match_indices(close).filter_map(|(at, _)| {
        let after = breaks_after(&source[at + close.len()..]);
        let before = breaks_before(&source[..at]);
        let is_empty = source[..at - 2 * before].ends_with(open);
        // In an empty thought the first line break belongs to the mark that opens it.
        let before = if is_empty { before.saturating_sub(1) } else { before };
        (is_empty || before + after > 0).then_some((after, before))
    });
    let (after, before) = written.max().unwrap_or((CLOSING.1, CLOSING.0));
    format!("{}{close}{}", "\n".repeat(before), "\n".repeat(after))
}

#[cfg(test)]
mod tests {
    use super::PromptThought::{Absent, Closed, Expected, Open};
    use super::*;
    use crate::text::{ChatTemplate, ChatText, Message};
    use serde_json::{Value, json};

    const QWEN: &str = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\
        {%- endfor %}{{- '<|im_start|>assistant\\n' }}\
        {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}\
        {%- endif %}";
    const OPENS: &str = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\
        {%- endfor %}{{- '<|im_start|>assistant\\n<think>\\n' }}";
    const PLAIN: &str =
        "{%- for m in messages %}{{- m.role + ': ' + m.content + '\\n' }}{%- endfor %}{{- 'assistant: ' }}";
    const BARE: &str = "{{- messages[-1].content }}";

    /// A tokenizer of single bytes with these added tokens.
    fn tokenizer(added: &[(&str, bool)]) -> Tokenizer {
        let plain = |b: &u32| (33..127).contains(b) || (161..173).contains(b) || (174..256).contains(b);
        let mut next = 256;
        let letter = |b: u32| {
            let code = if plain(&b) { b } else { (0..b).filter(|b| !plain(b)).count() as u32 + 256 };
            char::from_u32(code).unwrap().to_string()
        };
        let vocab: serde_json::Map<String, Value> = (0..256).map(|b| (letter(b), json!(b))).collect();
        let added = added.iter().map(|(content, special)| {
            next += 1;
            json!({"id": next - 1, "content": content, "special": special, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false})
        });
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        let file = json!({
            "version": "1.0", "added_tokens": added.collect::<Vec<_>>(), "normalizer": null, "pre_tokenizer": level,
            "decoder": level, "model": {"type": "BPE", "vocab": vocab, "merges": []},
        });
        Tokenizer::from_json(file.to_string().as_bytes()).unwrap()
    }

    /// Models whose marks are tokens, special tokens, and plain text.
    fn models(template: &str) -> Vec<ChatText> {
        let turns = [("<|im_start|>", true), ("<|im_end|>", true)];
        let marks = |special| [("<think>", special), ("</think>", special)];
        [[&turns[..], &marks(false)[..]].concat(), [&turns[..], &marks(true)[..]].concat(), turns.to_vec()]
            .map(|added| ChatText::new(tokenizer(&added), Some(ChatTemplate::new(template).unwrap())))
            .into()
    }

    #[track_caller]
    fn check(prompt: PromptThought, output: &str, reasoning: Option<&str>, content: &str, cut: bool) {
        for (kind, text) in models(QWEN).iter().enumerate() {
            let ids = text.tokenizer().encode_raw(output).unwrap();
            let expected =
                Reply { reasoning: reasoning.map(str::to_string), content: content.to_string(), cut_in_reasoning: cut };
            assert_eq!(text.split(prompt, &ids), expected, "{output:?} after {prompt:?}, vocabulary {kind}");
        }
    }

    #[test]
    fn what_follows_the_first_close_is_content() {
        check(Expected, "<think>Perhaps 41? No.</think>\n\n42", Some("Perhaps 41? No."), "42", false);
        check(Expected, "\n<think>\na\n</think>\n\n42 ", Some("a"), "42 ", false);
        check(Expected, "no mark opens this</think>42", Some("no mark opens this"), "42", false);
        check(Open, "Perhaps 41? No.</think>\n\n42", Some("Perhaps 41? No."), "42", false);
        check(Open, "<think>again</think>42", Some("again"), "42", false);
        check(Open, "</think>42", Some(""), "42", false);
        check(Expected, "<think>\n\n</think>\n\n", Some(""), "", false);
    }

    #[test]
    fn a_second_thought_is_content() {
        // The text of a special token is never shown.
        for model in [&models(QWEN)[0], &models(QWEN)[2]] {
            let split = |prompt, text| {
                let reply = model.split(prompt, &model.tokenizer().encode_raw(text).unwrap());
                (reply.reasoning.unwrap(), reply.content)
            };
            assert_eq!(split(Open, "a</think>b</think>c"), ("a".to_string(), "b</think>c".to_string()));
            let twice = split(Expected, "<think>a</think><think>b</think>c");
            assert_eq!(twice, ("a".to_string(), "<think>b</think>c".to_string()));
            let nested = split(Expected, "<think>a <think> b</think>c");
            assert_eq!(nested, ("a <think> b".to_string(), "c".to_string()));
        }
    }

    #[test]
    fn a_completion_that_ends_in_its_thought_has_no_content() {
        check(
            Expected,
            "<think>If it were <answer>C</answer> then",
            Some("If it were <answer>C</answer> then"),
            "",
            true,
        );
        check(Expected, "<think>", Some(""), "", true);
        check(Open, "<answer>C</answer>", Some("<answer>C</answer>"), "", true);
        check(Open, "", Some(""), "", true);
        // Cut inside of the mark itself.
        check(Open, "a</thin", Some("a</thin"), "", true);
    }

    #[test]
    fn a_model_that_does_not_think_loses_nothing() {
        check(Closed, "\n42 ", None, "\n42 ", false);
        check(Absent, " 42", None, " 42", false);
        check(Expected, "42", None, "42", false);
        check(Absent, "", None, "", false);
    }

    #[test]
    fn a_thought_that_was_not_asked_for_is_reasoning_all_the_same() {
        for prompt in [Closed, Absent] {
            check(prompt, "<think>a</think>\n42", Some("a"), "42", false);
            check(prompt, " <think>a", Some("a"), "", true);
        }
        check(Absent, "a</think>42", Some("a"), "42", false);
    }

    /// A prompt that an optimizer model proposes may speak of the marks.
    #[test]
    fn marks_that_the_content_only_mentions_are_content() {
        let text = "<prompt>Reason between <think> and </think>.</prompt>";
        for (prompt, kinds) in [(Closed, [0, 2]), (Absent, [0, 2])] {
            for kind in kinds {
                let model = &models(QWEN)[kind];
                let reply = model.split(prompt, &model.tokenizer().encode_raw(text).unwrap());
                assert_eq!((reply.reasoning, reply.content.as_str()), (None, text), "{prompt:?} {kind}");
            }
        }
    }

    /// The mark as one token wins over the same text in other tokens.
    #[test]
    fn a_quoted_mark_does_not_close_where_the_vocabulary_has_it() {
        let model = &models(QWEN)[0];
        let tokenizer = model.tokenizer();
        let quoted = tokenizer.encode_data("the mark </think> ends it").unwrap();
        let close = tokenizer.encode_raw("</think>").unwrap();
        let answer = tokenizer.encode_data("42").unwrap();
        let reply = model.split(Open, &[&quoted[..], &close, &answer].concat());
        assert_eq!(reply.reasoning.as_deref(), Some("the mark </think> ends it"));
        assert_eq!(reply.content, "42");
        // A model that never learned to write the token closes its thought in letters.
        assert_eq!(model.split(Open, &quoted).content, "ends it");
    }

    #[test]
    fn the_prompt_says_where_it_leaves_the_model() {
        let state = |template: &str, content: &str, thinking| {
            models(template)
                .iter()
                .map(|text| text.open_turn(&[Message::user(content)], thinking).unwrap().thought)
                .fold(None, |all: Option<PromptThought>, one| {
                    assert!(all.is_none_or(|all| all == one), "{template} {content}: {all:?} {one:?}");
                    Some(one)
                })
        };
        assert_eq!(state(QWEN, "hi", false), Some(Closed));
        assert_eq!(state(QWEN, "hi", true), Some(Expected));
        assert_eq!(state(OPENS, "hi", false), Some(Open));
        assert_eq!(state(OPENS, "hi", true), Some(Open));
        assert_eq!(state(PLAIN, "hi", false), Some(Absent));
        // What a query says is data, also at the very end of a prompt.
        assert_eq!(state(BARE, "<think>", false), Some(Absent));
        assert_eq!(state(BARE, "is it </think>", false), Some(Absent));
        assert_eq!(state(QWEN, "<think>", false), Some(Closed));
        assert_eq!(state(OPENS, "</think>", false), Some(Open));
    }

    #[test]
    fn a_skipped_thought_is_the_one_that_the_template_writes() {
        for (template, thinking) in [(QWEN, true), (QWEN, false), (OPENS, true), (OPENS, false)] {
            for text in models(template) {
                let prompt = text.open_content(&[Message::user("hi")], thinking).unwrap();
                let expected = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
                assert_eq!(prompt.thought, Closed);
                assert_eq!(prompt.ids, text.tokenizer().encode_raw(expected).unwrap());
            }
        }
        for text in models(PLAIN) {
            let prompt = text.open_content(&[Message::user("hi")], false).unwrap();
            assert_eq!(prompt, text.open_turn(&[Message::user("hi")], false).unwrap());
        }
        // A model whose vocabulary has the marks opens a thought itself.
        let text = &models(PLAIN)[0];
        let prompt = text.open_content(&[Message::user("hi")], true).unwrap();
        let expected = "user: hi\nassistant: <think>\n\n</think>\n\n";
        assert_eq!(prompt.ids, text.tokenizer().encode_raw(expected).unwrap());
    }

    #[test]
    fn the_closing_is_what_the_template_writes() {
        let check =
            |source: &str, expected: &str| assert_eq!(closing(source, "<think>", "</think>"), expected, "{source}");
        check(QWEN, "\n</think>\n\n");
        check(OPENS, "\n</think>\n\n");
        check(r"{{ '<think></think>' }}", "</think>");
        check(r"{{ '<think>\n</think>\n' }}", "</think>\n");
        check(r"{% set c = m.content.split('</think>')[-1] %}", "\n</think>\n\n");
        check(r"{{ '<think>\n' + r.strip('\n') + '\n</think>\n\n' + c }}", "\n</think>\n\n");
        check("", "\n</think>\n\n");
    }
}
