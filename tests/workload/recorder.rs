//! Runs the real search on pretended models whose every answer is made of words of its own, and
//! notes each call of the second step as what it reads: which lines of text, and which words of
//! which answers.
//!
//! What is real: the calls, their order, the prompts around foreign texts (templates of optimizer
//! and judge), both orders, the evidence of a proposal. What is chosen: the lengths below. A word
//! or mark counts as one token, and Qwen3's chat template for answers without thinking is put
//! around every message.

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use maspo::base::{CancelToken, Seed};
use maspo::chat::{ChatError, ModelRole, ScriptedModel};
use maspo::graph::{Agent, EdgeView, Graph, sequential};
use maspo::prompt::Template;
use maspo::search::{Event, EventSink, Options, SearchInput, optimize};
use maspo::throughput::{Call, Part, Workload};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Words of an agent's prompt before and after its slots: that of a prompt which a search has
/// worked on.
const PROMPT_WORDS: (usize, usize) = (160, 40);

/// Words of a query, from a short record or problem to a longer one.
fn query_words(item: usize) -> usize {
    160 + item * 7 % 81
}

/// Words of an agent's answer: 64 to 128.
fn answer_words(call: usize) -> usize {
    64 + call * 13 % 65
}

/// `<|im_start|>user\n` and `<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n` in Qwen3's
/// tokens.
const CHAT: [(&str, usize); 2] = [("before", 3), ("after", 9)];

/// |D|, from which each step draws |B| = 10.
const POOL: usize = 50;

#[derive(Default)]
struct Recorder {
    /// Whether the step is under way that is recorded.
    on: bool,
    /// Answers so far, which number their words.
    made: usize,
    /// What was asked before is not asked again: the response cache stands before the engine.
    known: HashMap<(ModelRole, String, u64), usize>,
    /// Number of an answer → its call in the recording.
    recorded: HashMap<usize, usize>,
    texts: HashMap<String, usize>,
    /// Queries of the mini-batch, in order.
    queries: Vec<String>,
    proposals: usize,
    workload: Workload,
}

/// The second step of a search as a workload; of the first seed whose first two steps draw no query
/// in common.
pub(crate) fn record() -> Workload {
    (0..200).find_map(|seed| record_with(Seed(seed))).expect("one seed in twelve does")
}

/// `None` where the second step meets a query of the first.
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
    let mut options = Options::default();
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

/// Words that occur nowhere else.
fn passage(stem: &str, words: usize) -> String {
    (0..words).map(|word| format!("{stem}{word}")).collect::<Vec<_>>().join(" ")
}

impl Recorder {
    /// What a worker or optimizer writes.
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

    /// The judge likes what was written later where the first agent is judged, and what was written
    /// earlier elsewhere: then every sample is misaligned, and proposals show as many cases as they
    /// can.
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

    /// A line: texts, and words of recorded answers.
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

    /// The place of the message's query in the mini-batch: queries are met in its order.
    fn item(&mut self, message: &str) -> usize {
        let query = message.lines().find(|line| line.starts_with('q')).expect("agents and judge are shown the query");
        self.queries.iter().position(|known| known == query).unwrap_or_else(|| {
            self.queries.push(query.to_string());
            self.queries.len() - 1
        })
    }
}

/// `r12w3`: the fourth word of the answer of number 12.
fn output_word(word: &str) -> Option<(usize, usize)> {
    let (made, at) = word.strip_prefix('r')?.split_once('w')?;
    Some((made.parse().ok()?, at.parse().ok()?))
}

/// Words and marks, a line's end among them.
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

/// Turns the recorder on after the first step and stops the search after the second.
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
