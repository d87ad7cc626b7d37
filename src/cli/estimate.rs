//! Estimates how long prompts can get, before any model is opened. Known texts are measured in
//! bytes, and what a model will write in tokens; together they give an estimate of prompt tokens.

use crate::base::AgentId;
use crate::chat::ModelRole;
use crate::config::Settings;
use crate::graph::{Edge, EdgeView};
use crate::judge::template::{Answer, Question, ReplyForm};
use crate::judge::{self, JudgeMode};
use crate::misalignment::Verdicts;
use crate::propose::template::{Evidence, OptimizerInput};
use crate::propose::{self, MAX_CHANGE_BYTES, MAX_TRIED, Tried};
use std::cmp::Ordering;

/// The bytes of English text per token, on the low side for byte-level vocabularies of Qwen's size.
const BYTES_PER_TOKEN: usize = 3;
/// The tokens that a chat template adds around one message.
const TEMPLATE_TOKENS: usize = 16;
/// The tokens of a summary per word.
const TOKENS_PER_WORD: usize = 2;

/// A text's length: known text in bytes, text from a model in tokens.
#[derive(Clone, Copy, Default)]
struct Length {
    bytes: usize,
    tokens: usize,
}

impl Length {
    fn bytes(bytes: usize) -> Self {
        Self { bytes, tokens: 0 }
    }

    fn tokens(tokens: usize) -> Self {
        Self { bytes: 0, tokens }
    }

    fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, tokens: self.tokens + other.tokens }
    }

    fn in_tokens(self) -> u64 {
        (self.bytes.div_ceil(BYTES_PER_TOKEN) + self.tokens + TEMPLATE_TOKENS) as u64
    }
}

/// Returns the longest prompt that `role` may be sent, in tokens, when every text has its greatest
/// length.
pub(super) fn longest_prompt(settings: &Settings, role: ModelRole) -> u64 {
    let graph = &settings.graph;
    let ids = (0..graph.agents().len()).map(AgentId);
    let longest = ids.map(|id| match role {
        ModelRole::Worker => worker(settings, id),
        ModelRole::Optimizer => optimizer(settings, id),
        ModelRole::Judge => judge(settings, id),
    });
    longest.map(Length::in_tokens).max().unwrap_or(0)
}

fn question(settings: &Settings) -> Length {
    let labelled = [&settings.train, &settings.test].into_iter().flatten().flatten().map(|case| &case.query);
    let longest = settings.pool.iter().chain(labelled).map(|query| query.question.len()).max();
    Length::bytes(longest.unwrap_or(0))
}

/// Returns the longest prompt that the agent may come to have.
fn prompt(settings: &Settings, id: AgentId) -> usize {
    let agent = settings.graph.agent(id);
    if agent.optimize { settings.options.propose.max_prompt_bytes } else { agent.seed_prompt.text().len() }
}

fn output(settings: &Settings, id: AgentId) -> Length {
    Length::tokens(settings.graph.agent(id).max_new_tokens)
}

fn context(settings: &Settings, id: AgentId) -> Length {
    let seen = |edge: &Edge| match edge.view {
        EdgeView::Raw | EdgeView::Extracted => output(settings, edge.from),
        EdgeView::Summary => Length::tokens(TOKENS_PER_WORD * settings.options.rollout.summary_words),
    };
    let named = |edge: &Edge| Length::bytes(settings.graph.agent(edge.from).name.len() + 8).plus(seen(edge));
    settings.graph.incoming(id).map(named).fold(Length::default(), Length::plus)
}

fn worker(settings: &Settings, id: AgentId) -> Length {
    Length::bytes(prompt(settings, id)).plus(question(settings)).plus(context(settings, id))
}

fn optimizer(settings: &Settings, id: AgentId) -> Length {
    let (graph, options) = (&settings.graph, &settings.options);
    let agent = graph.agent(id);
    let templates = &settings.templates().optimizer;
    let successors = graph.successors(id);
    let tried = vec![Tried { change: "x".repeat(MAX_CHANGE_BYTES), reward: 0.0 }; MAX_TRIED];
    let assignment = templates.assignments.iter().max_by_key(|assignment| assignment.instruction.len());
    // Everything around the quoted texts, with so many traces.
    let frame = |traces: usize| -> usize {
        let evidence = Evidence {
            context: " ",
            output: " ",
            successors: successors.iter().map(|id| (graph.agent(*id).name.as_str(), "")).collect(),
            answer: Some(""),
            truncated: true,
            unparsable: true,
            verdicts: Some(Verdicts { local: BETTER, lookahead: BETTER, global: BETTER }),
            ..Evidence::default()
        };
        let brief = OptimizerInput {
            agent: &agent.name,
            role: &agent.role,
            team: Some(graph),
            frozen: &agent.frozen,
            traces: vec![evidence; traces],
            tried: &tried,
            assignment,
            max_prompt_bytes: options.propose.max_prompt_bytes,
            ..OptimizerInput::default()
        };
        propose::template::render(templates, &brief).iter().map(|message| message.content.len()).sum()
    };
    // Input, context, output, final answer and the outputs of the successors, each with its fence
    // and heading.
    let texts = 4 + successors.len();
    let around = (frame(1) - frame(0)).max(40 * texts);
    let shown = options.propose.traces + options.misalignment.shown;
    Length::bytes(frame(0) + prompt(settings, id) + shown * (texts * options.propose.excerpt_bytes + around))
}

/// The verdict with the longest word.
const BETTER: Option<Ordering> = Some(Ordering::Greater);

fn judge(settings: &Settings, id: AgentId) -> Length {
    let options = &settings.options.judge;
    let agent = settings.graph.agent(id);
    let asked = Question { role: &agent.role, question: "", context: Some(""), frozen: &agent.frozen };
    let rubric = options.rubrics.iter().max_by_key(|rubric| rubric.len()).map_or("", String::as_str);
    let form = match options.mode {
        JudgeMode::Text => ReplyForm::Tagged,
        JudgeMode::Logit => ReplyForm::Letter,
        JudgeMode::Coin => return Length::default(),
    };
    let answers = [Answer { text: "", truncated: true }; 2];
    let messages = judge::template::render(&settings.templates().judge, &asked, rubric, answers, form);
    let frame = Length::bytes(messages.iter().map(|message| message.content.len()).sum());
    let answers = output(settings, id).plus(output(settings, id));
    frame.plus(question(settings)).plus(context(settings, id)).plus(answers)
}
