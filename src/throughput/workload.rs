//! A recorded search step: which calls it makes, which of them read the output of others, and which
//! tokens their prompts share. It holds lengths and structure only; the texts are random tokens, so
//! it runs on any model without a tokenizer.
//!
//! The recording is in `benches/workloads/maspo-step.jsonl`; `tests/workload.rs` makes it from the
//! search itself.

use crate::base::{Seed, Stage};
use crate::chat::ModelRole;
use rand::RngExt;
use serde::{Deserialize, Serialize};

const RECORDING: &str = include_str!("../../benches/workloads/maspo-step.jsonl");

/// The version of the recording's format.
const SCHEMA: u32 = 1;

/// The seed that the tokens of all texts are drawn from.
const SEED: Seed = Seed(1);

/// The calls of one search step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Workload {
    /// The number of tokens of every text that prompts are made of. Texts are lines of messages;
    /// two different texts share no tokens.
    pub texts: Vec<usize>,
    /// The calls, in an order in which each reads the output of earlier ones only.
    pub calls: Vec<Call>,
}

/// One model call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The model role.
    pub role: ModelRole,
    /// The phase: calls are made when those of all earlier phases are answered. Phase 0 is the
    /// traces of the first parent, 1 those of the others and the proposals, 2 the re-runs with the
    /// candidates, 3 the comparisons.
    pub phase: usize,
    /// The query of the mini-batch that the call is about; a proposal is about several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// The number of generated tokens; 0 for a comparison, which scores two letters.
    pub new_tokens: usize,
    /// The parts of its prompt.
    pub prompt: Vec<Part>,
}

/// One part of a prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// The text with this index.
    Text(usize),
    /// A range of the tokens that a call generated: the index of the call, the first token, and one
    /// past the last.
    Output(usize, usize, usize),
}

/// The first line of the recording.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: u32,
    texts: Vec<usize>,
}

impl Workload {
    /// The recording that is built into the program.
    ///
    /// # Panics
    /// Panics if the file was damaged before the program was built.
    pub fn recorded() -> Self {
        Self::parse(RECORDING).expect("the recording is tested")
    }

    /// Parses the output of [`Workload::to_jsonl`]; `None` if the text is something else.
    fn parse(jsonl: &str) -> Option<Self> {
        let mut lines = jsonl.lines();
        let head: Head = serde_json::from_str(lines.next()?).ok()?;
        let calls = lines.map(|line| serde_json::from_str(line).ok()).collect::<Option<Vec<Call>>>()?;
        let workload = Self { texts: head.texts, calls };
        (head.schema == SCHEMA && workload.is_sound()).then_some(workload)
    }

    /// The recording as JSON lines: the texts first, then one call per line.
    pub fn to_jsonl(&self) -> String {
        let head = serde_json::to_string(&Head { schema: SCHEMA, texts: self.texts.clone() });
        let calls = self.calls.iter().map(serde_json::to_string);
        std::iter::once(head).chain(calls).map(|line| line.expect("numbers are plain data") + "\n").collect()
    }

    /// Whether every call has a prompt and reads only outputs of calls before it.
    fn is_sound(&self) -> bool {
        self.calls.iter().enumerate().all(|(at, call)| {
            self.prompt_tokens(call) > 0
                && call.prompt.iter().all(|part| match *part {
                    Part::Text(text) => text < self.texts.len(),
                    Part::Output(from, start, end) => {
                        let earlier = self.calls[..at].get(from);
                        let phase = earlier.is_some_and(|earlier| earlier.phase <= call.phase);
                        phase && start < end && earlier.is_some_and(|earlier| end <= earlier.new_tokens)
                    }
                })
        })
    }

    /// Returns the step restricted to the first `queries` of its mini-batch. Where a proposal
    /// quotes a query that is left out, a text of equal length takes its place.
    pub fn with_queries(&self, queries: usize) -> Self {
        let mut texts = self.texts.clone();
        let mut numbers: Vec<Option<usize>> = Vec::with_capacity(self.calls.len());
        let mut calls: Vec<Call> = Vec::new();
        for call in &self.calls {
            let kept = call.item.is_none_or(|item| item < queries);
            numbers.push(kept.then_some(calls.len()));
            if !kept {
                continue;
            }
            let prompt = call.prompt.iter().map(|part| match *part {
                Part::Output(from, start, end) => match numbers[from] {
                    Some(from) => Part::Output(from, start, end),
                    None => {
                        texts.push(end - start);
                        Part::Text(texts.len() - 1)
                    }
                },
                text => text,
            });
            calls.push(Call { prompt: prompt.collect(), ..call.clone() });
        }
        Self { texts, calls }
    }

    /// The number of queries in the mini-batch.
    pub fn queries(&self) -> usize {
        self.calls.iter().filter_map(|call| call.item).max().map_or(0, |item| item + 1)
    }

    /// The number of calls of a role.
    pub fn count(&self, role: ModelRole) -> usize {
        self.calls.iter().filter(|call| call.role == role).count()
    }

    /// The length of a call's prompt in tokens.
    pub fn prompt_tokens(&self, call: &Call) -> usize {
        let length = |part: &Part| match *part {
            Part::Text(text) => self.texts.get(text).copied().unwrap_or(0),
            Part::Output(_, start, end) => end.saturating_sub(start),
        };
        call.prompt.iter().map(length).sum()
    }

    /// The number of tokens of the longest call, prompt and new ones together.
    pub fn longest(&self) -> usize {
        self.calls.iter().map(|call| self.prompt_tokens(call) + call.new_tokens.max(1)).max().unwrap_or(0)
    }

    /// Draws the tokens of every text from a vocabulary of this size.
    pub(super) fn draw_texts(&self, vocab_size: usize) -> Vec<Vec<u32>> {
        let draw = |(text, tokens): (usize, &usize)| {
            let mut rng = SEED.derive(Stage::Data, &[text as u64]).rng();
            (0..*tokens).map(|_| rng.random_range(0..vocab_size as u32)).collect()
        };
        self.texts.iter().enumerate().map(draw).collect()
    }
}
