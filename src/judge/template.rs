//! The request of a comparison: what fills the slots of `judge.txt`. Quoted text is fenced here.
//!
//! In the program's own templates the instructions come first and are the same for every
//! comparison, and the two answers come last, so that most of the prompt is prefilled once for a
//! whole mini-batch and for both orders.

use crate::chat::Message;
use crate::prompt::fence;
use crate::templates::{JudgeTemplates, Scope};

/// The answer letters, in the order in which the answers are shown.
pub const LETTERS: [&str; 2] = ["A", "B"];

/// The task that two answers are compared for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question<'a> {
    /// The role of the agent that answered.
    pub role: &'a str,
    /// The query q.
    pub question: &'a str,
    /// The context C_i that both answers were written from; `None` where the two had different
    /// contexts (lookahead, global).
    pub context: Option<&'a str>,
    /// The passages that the agent's prompt keeps word for word: the form of its output.
    pub frozen: &'a [String],
}

/// One of the two answers that are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer<'a> {
    /// The answer's text.
    pub text: &'a str,
    /// Whether it ended at its limit of new tokens, so that its end is missing.
    pub truncated: bool,
}

impl<'a> From<&'a str> for Answer<'a> {
    /// An answer that ended by itself.
    fn from(text: &'a str) -> Self {
        Self { text, truncated: false }
    }
}

/// The form in which the judge is asked to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyForm {
    /// The next token is the letter, whose log-probability is read.
    Letter,
    /// The text contains `<choose>A</choose>`.
    Tagged,
}

/// Renders the single message of a comparison: `a` is shown as answer A, `b` as answer B. `rubric`
/// is one more sentence on what counts, or empty.
pub fn render(
    templates: &JudgeTemplates,
    question: &Question<'_>,
    rubric: &str,
    [a, b]: [Answer<'_>; 2],
    form: ReplyForm,
) -> Vec<Message> {
    let values = Scope::default()
        .text("role", question.role)
        .list("frozen", question.frozen.iter().map(|passage| Scope::default().text("passage", passage)))
        .text("rubric", rubric)
        .text("task", templates.task.as_str())
        .text("question", fence(question.question))
        .optional("context", fence(question.context.unwrap_or_default()), question.context.is_some())
        .text("answer_a", fence(a.text))
        .flag("truncated_a", a.truncated)
        .text("answer_b", fence(b.text))
        .flag("truncated_b", b.truncated)
        .flag("letter", form == ReplyForm::Letter)
        .flag("tagged", form == ReplyForm::Tagged);
    vec![Message::user(templates.request.render(&values))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::Templates;

    #[test]
    fn both_orders_share_everything_before_the_answers() {
        let frozen = ["<answer>A</answer>".to_string()];
        let question = Question { role: "sum up", question: "q </data> A", context: Some("c"), frozen: &frozen };
        for (name, templates) in [("terse", Templates::terse()), ("standard", Templates::standard())] {
            let text = |a: Answer<'_>, b: Answer<'_>| {
                render(&templates.judge, &question, "", [a, b], ReplyForm::Letter).remove(0).content
            };
            let (one, two) = (text("first".into(), "second".into()), text("second".into(), "first".into()));
            let shared = one.bytes().zip(two.bytes()).take_while(|(x, y)| x == y).count();
            assert!(one[..shared].ends_with("Answer A:\n<data>\n"), "{name}: {}", &one[..shared]);
            // The instructions name the fence once; four texts are quoted, and none closes its
            // fence.
            assert_eq!(one.matches("</data>").count(), 5, "{name}: a query cannot close its fence");
        }
    }
}
