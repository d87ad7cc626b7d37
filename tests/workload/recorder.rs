//! Runs the real search on fake models whose every answer consists of unique words, and records
//! each call of the second step as what it reads: which lines of text, and which words of which
//! answers.
//!
//! The calls, their order, the prompts around quoted texts (the templates of optimizer and judge),
//! both orders and the evidence of a proposal are real. The lengths below are chosen. A word or
//! punctuation mark counts as one token, and Qwen3's chat template for answers without thinking
//! surrounds every message.

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use maspo::base::{CancelToken, Seed};
use maspo::chat::{Budget, ChatError, ModelRole, ScriptedModel};
use maspo::graph::{Agent, EdgeView, Graph, sequential};
use maspo::prompt::Template;
use maspo::search::{Event, EventSink, Options, SearchInput, optimize};
use maspo::templates::Templates;
use maspo::throughput::{Call, Part, Workload};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The number of words of an agent's prompt before and after its slots, as in a prompt that a
/// search has improved.
const PROMPT_WORDS: (usize, usize) = (160, 40);

/// The number of words of a query, from a short record to a longer problem.
fn query_words(item: usize) -> usize {
    160 + item * 7 % 81
}

/// The number of words of an agent's prompt before and after its slots, as in a prompt that a
/// search has improved.
fn answer_words(call: usize) -> usize {
    64 + call * 13 % 65
}

/// `<|im_start|>user\n` and `<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n` in Qwen3's
/// tokens.
const CHAT: [(&str, usize); 2] = [("before", 3), ("after", 9)];

/// The size of the pool D, from which each step draws |B| = 10.
const POOL: usize = 50;

#[derive(Default)]
struct Recorder {
    /// Whether the recorded step is running.
    on: bool,
    /// The number of answers so far, which is part of their words.
    made: usize,
    /// Calls made so far. A repeated call is not recorded, since the response cache would answer
    /// it.
    known: HashMap<(ModelRole, String, u64), usize>,
    /// The recorded call of each answer, by the number of the answer.
    recorded: HashMap<usize, usize>,
    texts: HashMap<String, usize>,
    /// The queries of the mini-batch, in order.
    queries: Vec<String>,
    proposals: usize,
    workload: Workload,
}

/// Records the second step of a search as a workload, with the first seed whose first two steps
/// draw no query in common.
pub(crate) fn record() -> Workload {
    (0..200).find_map(|seed| record_with(Seed(seed))).expect("one seed in twelve does")
}

/// Records with one seed; `None` if the second step draws a query of the first.
fn record_with(seed: Seed) -> Option<Workload> {
    let recorder = Arc::new(Mutex::new(Recorder::default()));
    let model = |role: ModelRole| {
        let (complete, score) = (recorder.clone(), recorder.clone());
        let answer = move |request: &maspo::chat::Request| {
            let (content, seed) = (&request.messages[0].content, request.sampling.seed);
            complete.lock().unwrap().answer(role, content, seed)
        };
        let scores = move |request: &maspo::chat::Request, _: &[String]| {
            score.lock().unwrap().compare(&request.messages[0].content)
        };
        Arc::new(ScriptedModel::new(answer).with_scores(scores))
    };
    let mut options = Options { templates: Some(Templates::terse()), ..Options::default() };
    (options.search.rounds, options.search.steps) = (1, 2);
    let cancel = CancelToken::new();
    let input = SearchInput {
        graph: Arc::new(Graph::new(agents(), sequential(3, EdgeView::Raw), 8000).expect("a sound graph")),
        pool: (0..POOL).map(|item| passage(&format!("q{item}x"), query_words(item)).into()).collect(),
        worker: model(ModelRole::Worker),
        optimizer: model(ModelRole::Optimizer),
        judge: model(ModelRole::Judge),
        seed,
        options,
        cancel: cancel.clone(),
        budget: Budget::default(),
        closing_check: true,
        method: None,
    };
    let mut switch = Switch { recorder: recorder.clone(), cancel, batches: Vec::new() };
    block_on(optimize(input, &mut switch)).expect_err("it is stopped after the second step");
    let [first, second] = &switch.batches[..] else { panic!("two steps") };
    if first.iter().any(|item| second.contains(item)) {
        return None;
    }
    let recorder = recorder.lock().unwrap();
    Some(recorder.workload.clone())
}

fn agents() -> Vec<Agent> {
    let (before, after) = PROMPT_WORDS;
    let agent = |name: &str, slots: &str| Agent {
        name: name.into(),
        role: format!("Does the part of the work that a {name} does, and says so in a few words."),
        seed_prompt: Template::new(format!("{}\n\n{slots}\n\n{}", passage(name, before), passage("end", after))),
        frozen: vec![],
        max_new_tokens: 4096,
        optimize: true,
    };
    let later = "{question}\n\n{context}";
    vec![agent("solver", "{question}"), agent("checker", later), agent("editor", later)]
}

/// Returns words that occur nowhere else.
fn passage(stem: &str, words: usize) -> String {
    (0..words).map(|word| format!("{stem}{word}")).collect::<Vec<_>>().join(" ")
}

impl Recorder {
    /// Returns the answer of a worker or optimizer.
    fn answer(&mut self, role: ModelRole, message: &str, seed: u64) -> String {
        let key = (role, message.to_string(), seed);
        let fresh = !self.known.contains_key(&key);
        let number = *self.known.entry(key).or_insert(self.made);
        self.made += usize::from(fresh);
        let (before, after) = PROMPT_WORDS;
        let words = if role == ModelRole::Optimizer { before + after } else { answer_words(number) };
        if self.on && fresh {
            self.recorded.insert(number, self.workload.calls.len());
            self.push(role, message, words);
        }
        let written: Vec<String> = (0..words).map(|word| format!("r{number}w{word}")).collect();
        if role == ModelRole::Optimizer {
            let (before, after) = (written[..before].join(" "), written[before..].join(" "));
            return format!("<prompt>{before}\n\n{{question}}\n\n{after}</prompt>");
        }
        written.join(" ")
    }

    /// The judge prefers later outputs for the first agent and earlier outputs for the others: then
    /// every sample is misaligned, and proposals show as many cases as they can.
    fn compare(&mut self, message: &str) -> Vec<f64> {
        let fresh = self.known.insert((ModelRole::Judge, message.to_string(), 0), 0).is_none();
        if self.on && fresh {
            self.push(ModelRole::Judge, message, 0);
        }
        let written = |answer: &str| {
            let word = message.split(answer).nth(1).and_then(|text| text.split_whitespace().nth(1));
            output_word(word.expect("an answer")).expect("a pretended answer").0
        };
        let later = written("Answer A:") > written("Answer B:");
        if later == message.contains("a solver does") { vec![-0.1, -2.4] } else { vec![-2.4, -0.1] }
    }

    fn push(&mut self, role: ModelRole, message: &str, new_tokens: usize) {
        self.proposals += usize::from(role == ModelRole::Optimizer);
        let phase = match (role, self.proposals) {
            (ModelRole::Judge, _) => 3,
            (ModelRole::Worker, 0) => 0,
            (ModelRole::Worker, 4..) => 2,
            _ => 1,
        };
        let item = (role != ModelRole::Optimizer).then(|| self.item(message));
        let mut prompt = vec![self.text(CHAT[0].0, CHAT[0].1)];
        for line in message.lines().filter(|line| !line.is_empty()) {
            self.push_line(line, &mut prompt);
        }
        prompt.push(self.text(CHAT[1].0, CHAT[1].1));
        self.workload.calls.push(Call { role, phase, item, new_tokens, prompt });
    }

    /// Adds a line to a prompt: texts, and words of recorded answers.
    fn push_line(&mut self, line: &str, prompt: &mut Vec<Part>) {
        let mut literal = String::new();
        for word in line.split(' ') {
            let Some((call, at)) = output_word(word).and_then(|(made, at)| Some((*self.recorded.get(&made)?, at)))
            else {
                literal.push_str(word);
                literal.push(' ');
                continue;
            };
            self.push_literal(&mut literal, prompt);
            match prompt.last_mut() {
                Some(Part::Output(from, _, end)) if *from == call && *end == at => *end += 1,
                _ => prompt.push(Part::Output(call, at, at + 1)),
            }
        }
        literal.push('\n');
        self.push_literal(&mut literal, prompt);
    }

    fn push_literal(&mut self, literal: &mut String, prompt: &mut Vec<Part>) {
        if !literal.is_empty() {
            prompt.push(self.text(literal, tokens(literal)));
            literal.clear();
        }
    }

    fn text(&mut self, text: &str, tokens: usize) -> Part {
        let next = self.workload.texts.len();
        let number = *self.texts.entry(text.to_string()).or_insert(next);
        if number == next {
            self.workload.texts.push(tokens);
        }
        Part::Text(number)
    }

    /// Returns the position of the message's query in the mini-batch; queries arrive in its order.
    fn item(&mut self, message: &str) -> usize {
        let query = message.lines().find(|line| line.starts_with('q')).expect("agents and judge are shown the query");
        self.queries.iter().position(|known| known == query).unwrap_or_else(|| {
            self.queries.push(query.to_string());
            self.queries.len() - 1
        })
    }
}

/// Parses `r12w3`, the fourth word of answer 12.
fn output_word(word: &str) -> Option<(usize, usize)> {
    let (made, at) = word.strip_prefix('r')?.split_once('w')?;
    Some((made.parse().ok()?, at.parse().ok()?))
}

/// Counts words and punctuation marks, including the end of a line.
fn tokens(text: &str) -> usize {
    let mut inside = false;
    let mut count = 0;
    for letter in text.chars() {
        let word = letter.is_alphanumeric();
        count += usize::from(if word { !inside } else { letter != ' ' });
        inside = word;
    }
    count
}

/// A sink that starts recording after the first step and stops the search after the second.
struct Switch {
    recorder: Arc<Mutex<Recorder>>,
    cancel: CancelToken,
    batches: Vec<Vec<usize>>,
}

impl EventSink for Switch {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        if let Event::Step(step) = event {
            self.batches.push(step.batch.clone());
            let second = self.batches.len() == 2;
            self.recorder.lock().unwrap().on = !second;
            if second {
                self.cancel.cancel();
            }
        }
        async { Ok(()) }.boxed()
    }
}
