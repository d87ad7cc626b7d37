//! The tables of the experiment file, described for people: what docs/schema/experiment.json and
//! the tables of docs/config.md say of every key. The options structs describe themselves; here is
//! what no struct of the program declares.

#![expect(dead_code, reason = "these types are described and never made")]

use super::super::agents::{MAX_NEW_TOKENS, Topology};
use super::super::scorer::ScorerKind;
use crate::base::Seed;
use crate::chat::BudgetOptions;
use crate::engine::Backend;
use crate::engine::qwen3::{Dtype, KvDtype};
use crate::graph::EdgeView;
use crate::judge::JudgeOptions;
use crate::method::{MethodKind, MethodOptions};
use crate::misalignment::MisalignmentOptions;
use crate::propose::ProposeOptions;
use crate::remote::Api;
use crate::reward::RewardOptions;
use crate::rollout::RolloutOptions;
use crate::search::SearchOptions;
use schemars::JsonSchema;

/// An experiment of maspo: which agents are optimized, on which data, with which models. Every key
/// is explained in docs/config.md.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "maspo experiment")]
pub(super) struct Experiment {
    /// The version of this format, which is 1.
    #[schemars(extend("enum" = [1]))]
    schema: u64,
    /// The experiment file, or a list of them, that this one extends. Tables are merged key by key,
    /// and everything else, lists such as `[[agent]]` too, is replaced: later files of the list win
    /// over earlier ones, and this file over all. By default none.
    extends: Option<Extends>,
    /// The experiment's name, which is part of the name of the run's folder: letters, digits, `-`,
    /// `_` and `.`, at most 100 bytes. By default the name of the file without its extension.
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// The seed that every random draw of the run is derived from.
    #[schemars(range(min = 0), extend("default" = Seed(1)))]
    seed: Option<u64>,
    /// The models that play the roles.
    model: Model,
    /// The pattern of the graph, and what agents see of each other.
    graph: Option<Graph>,
    /// The agents of the graph. At least one must have `optimize = true`.
    #[schemars(length(min = 1))]
    agent: Vec<Agent>,
    /// The edges of the graph, unless `graph.topology` says what they are.
    edge: Option<Vec<Edge>>,
    /// The queries to optimize on, and labelled cases to measure with.
    data: Data,
    /// How answers to labelled cases are scored.
    eval: Option<Eval>,
    /// The method that optimizes the agents or replaces them.
    #[schemars(extend("default" = "maspo"))]
    method: Option<MethodKind>,
    /// Options of the methods other than `maspo`.
    methods: Option<MethodOptions>,
    /// Hard limits on the calls and tokens of the run, before its evaluation.
    budget: Option<BudgetOptions>,
    /// Options of the search loop.
    search: Option<SearchOptions>,
    /// The weights of the joint reward (Eq. 5). They need not add up to 1; they are normalized.
    reward: Option<RewardOptions>,
    /// How the judge compares answers.
    judge: Option<JudgeOptions>,
    /// Which misalignment cases (Eq. 6) are kept and shown.
    misalignment: Option<MisalignmentOptions>,
    /// How the optimizer model writes candidates.
    propose: Option<ProposeOptions>,
    /// How the graph of agents is run.
    rollout: Option<RolloutOptions>,
    /// The texts of the requests to optimizer, judge and summarizer.
    templates: Option<Templates>,
    /// How the models are run.
    engine: Option<Engine>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Extends {
    /// One file.
    One(String),
    /// Several files.
    Several(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Model {
    /// The model: a Hugging Face folder (`config.json`, `tokenizer.json`, safetensors), a `.gguf`
    /// file, or `embedded:triage`. Needed here unless every role has a path of its own.
    path: Option<String>,
    /// What the weight matrices are kept in. `auto` keeps them as in the file or, where they do not
    /// fit into free memory, in the finest of `q8_0` and `q4_k` that does. `f8` (e4m3 with one
    /// scale per row) is for NVIDIA GPUs only, `f32` for the CPU only.
    #[schemars(extend("enum" = Dtype::ALL.map(Dtype::name), "default" = Dtype::default()))]
    dtype: Option<String>,
    /// Whether the chat template turns thinking on.
    #[schemars(extend("default" = false))]
    thinking: Option<bool>,
    /// The sampling temperature; 0 takes the likeliest token. It holds for the worker and
    /// for a judge that writes; the optimizer has `propose.temperature`. By default 0.
    temperature: Option<f64>,
    /// Sample from the smallest set of tokens whose probabilities reach this. By default 1.
    top_p: Option<f64>,
    /// Sample from this many of the likeliest tokens; 0 is all of them. By default
    /// 0.
    top_k: Option<u64>,
    /// The most tokens of a thought, which is then closed so that the answer follows; 0 skips it.
    /// `max_new_tokens` bounds the thought and the answer together. By default there is no other
    /// bound.
    max_thinking_tokens: Option<u64>,
    /// The URL of a server that has the model, such as `http://127.0.0.1:8000`, in place of `path`;
    /// a list of URLs shares the load.
    endpoint: Option<Endpoint>,
    /// The model's name on the server; needed where it has several.
    name: Option<String>,
    /// The server's dialect; `auto` finds it out.
    api: Option<Api>,
    /// Where the server's key is: `{ env = "NAME" }` or `{ file = "PATH" }`.
    api_key: Option<ApiKey>,
    /// The folder or .gguf file with the model's tokenizer and chat template. Prompts are then
    /// rendered in this process and sent as token ids, where the server takes them.
    tokenizer: Option<String>,
    /// The most requests that are open at the server at once. By default 32.
    max_in_flight: Option<u64>,
    /// How many seconds a request may take. By default 600.
    timeout_s: Option<u64>,
    /// How often a request is sent again while the server is away; the pauses double from half a
    /// second to half a minute. By default 8.
    retries: Option<u64>,
    /// Fields added to the body of every request as they are.
    extra: Option<serde_json::Map<String, serde_json::Value>>,
    /// Another model for the worker, which runs the agents.
    worker: Option<Role>,
    /// Another model for the optimizer, which writes candidates.
    optimizer: Option<Role>,
    /// Another model for the judge, which compares answers.
    judge: Option<Role>,
    /// Models that judge beside the judge: every comparison is asked of all, and their verdicts are
    /// averaged.
    #[schemars(length(max = 15))]
    judges: Option<Vec<Role>>,
}

/// Where the key of a server is: one of the two.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ApiKey {
    /// The variable of the environment that holds it.
    env: Option<String>,
    /// The file that holds it.
    file: Option<String>,
}

/// One URL, or several.
#[derive(JsonSchema)]
#[serde(untagged)]
enum Endpoint {
    One(String),
    Several(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Role {
    /// The model of this role. By default `model.path`.
    path: Option<String>,
    /// What the weight matrices of this role's model are kept in. By default `model.dtype`.
    #[schemars(extend("enum" = Dtype::ALL.map(Dtype::name)))]
    dtype: Option<String>,
    /// Whether the chat template turns thinking on for this role. By default `model.thinking`.
    thinking: Option<bool>,
    /// The sampling temperature; 0 takes the likeliest token. By default
    /// `model.temperature`; for the optimizer `propose.temperature`.
    temperature: Option<f64>,
    /// Sample from the smallest set of tokens whose probabilities reach this. By default
    /// `model.top_p`.
    top_p: Option<f64>,
    /// Sample from this many of the likeliest tokens; 0 is all of them. By default
    /// `model.top_k`.
    top_k: Option<u64>,
    /// The most tokens of a thought, which is then closed so that the answer follows; 0 skips it.
    /// By default `model.max_thinking_tokens`.
    max_thinking_tokens: Option<u64>,
    /// The URL of a server that has the model, such as `http://127.0.0.1:8000`, in place of `path`;
    /// a list of URLs shares the load. By default
    /// `model.endpoint`.
    endpoint: Option<Endpoint>,
    /// The model's name on the server; needed where it has several.
    name: Option<String>,
    /// The server's dialect; `auto` finds it out.
    api: Option<Api>,
    /// Where the server's key is: `{ env = "NAME" }` or `{ file = "PATH" }`.
    api_key: Option<ApiKey>,
    /// The folder or .gguf file with the model's tokenizer and chat template. Prompts are then
    /// rendered in this process and sent as token ids, where the server takes them.
    tokenizer: Option<String>,
    /// The most requests that are open at the server at once.
    max_in_flight: Option<u64>,
    /// How many seconds a request may take.
    timeout_s: Option<u64>,
    /// How often a request is sent again while the server is away; the pauses double from half a
    /// second to half a minute.
    retries: Option<u64>,
    /// Fields added to the body of every request as they are.
    extra: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Graph {
    /// The edges by pattern, over the agents in the order in which they are listed. Without it the
    /// edges are listed as `[[edge]]`.
    topology: Option<Topology>,
    /// The number of agents that debate in each round. Needed with `topology = "debate"`, and
    /// refused without.
    #[schemars(range(min = 1))]
    debaters: Option<u64>,
    /// What an agent sees of its predecessors' outputs, where an edge does not say.
    #[schemars(extend("default" = EdgeView::default()))]
    view: Option<EdgeView>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Agent {
    /// The agent's name, unique in the graph; without blanks, full stops and back quotes.
    #[schemars(length(min = 1))]
    name: String,
    /// What the agent is for, in one or two sentences. The judge judges by it, and the optimizer
    /// model reads it.
    #[schemars(length(min = 1))]
    role: String,
    /// The seed prompt, as text or as `{ file = "…" }`. `{question}` and `{context}` are its slots,
    /// each at most once; every other brace is plain text. An agent without predecessors needs
    /// `{question}` and cannot have `{context}`. One with predecessors needs `{context}` and may
    /// have `{question}`.
    prompt: Prompt,
    /// The most new tokens of an answer.
    #[schemars(extend("default" = MAX_NEW_TOKENS))]
    max_new_tokens: Option<u64>,
    /// Passages that every candidate must keep word for word, such as an output format.
    #[schemars(extend("default" = []))]
    frozen: Option<Vec<String>>,
    /// Whether the search may change the prompt. At least one agent must have it.
    #[schemars(extend("default" = true))]
    optimize: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Prompt {
    /// The text.
    Text(String),
    /// A file that holds the text.
    File(PromptFile),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PromptFile {
    /// The file, relative to the experiment file. One line break at its end is not part of the
    /// prompt.
    file: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Edge {
    /// The name of the agent whose output is read.
    from: String,
    /// The name of the agent that reads it. The order of the edges is the order of the outputs in
    /// its context.
    to: String,
    /// What `to` sees of the output of `from`. By default `graph.view`.
    view: Option<EdgeView>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Data {
    /// The queries to optimize on. Of these the search sees only the questions.
    pool: Pool,
    /// Labelled cases that may be looked at while developing.
    train: Option<Labelled>,
    /// Labelled cases that are held out for `maspo eval`, `maspo compare` and the report.
    test: Option<Labelled>,
    /// Whether the words of the rows are kept out of everything that is printed or reported, as the
    /// licences of some sets ask. The run's journal, which only its owner can read, has them.
    #[schemars(extend("default" = false))]
    private: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Pool {
    /// The JSONL file (one JSON object per line), relative to the experiment file.
    file: String,
    /// The field that holds the question. The values of several fields are joined by line breaks,
    /// and so are the texts of a list, such as answer options.
    #[schemars(extend("default" = "question"))]
    question: Option<Question>,
    /// The field that holds the id: a text or a number, unique in the file. By default the number
    /// of the line is the id.
    id: Option<String>,
    /// A field of tests that shows what a program's function has to be called, which the question
    /// then says. Nothing else of the tests is read.
    name_hint: Option<String>,
    /// Where the file comes from, in a sentence. It is named when the file is absent. By default
    /// none.
    origin: Option<String>,
    /// What rows must be to be taken, as a table from fields to values: one value, a list of them,
    /// or `{ min = …, max = … }`. Other rows are as if they were not in the file.
    #[serde(rename = "where")]
    conditions: Option<Conditions>,
    /// The number of rows that are left out at the start of the file.
    #[schemars(extend("default" = 0))]
    skip: Option<u64>,
    /// The most rows that are taken; the paper's |D| is 50. By default all.
    limit: Option<u64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Labelled {
    /// The JSONL file. By default the pool's.
    file: Option<String>,
    /// The field that holds the question. By default as in the pool.
    question: Option<Question>,
    /// The field that holds the id. By default as in the pool.
    id: Option<String>,
    /// Where the file comes from, in a sentence. It is named when the file is absent. By default
    /// that of the pool's file, if the file is the same.
    origin: Option<String>,
    /// What rows must be to be taken, as a table from fields to values: one value, a list of them,
    /// or `{ min = …, max = … }`. Other rows are as if they were not in the file. By default as in
    /// the pool; `{}` is no condition.
    #[serde(rename = "where")]
    conditions: Option<Conditions>,
    /// The number of rows that are left out at the start of the file.
    #[schemars(extend("default" = 0))]
    skip: Option<u64>,
    /// The most rows that are taken. By default all.
    limit: Option<u64>,
    /// Whether rows that the pool has are left out: those with the same text (but for case, white
    /// space and Unicode normal forms) and, where both sets have their ids from the same field or
    /// file, those with the same id. Without it, such rows in `data.test` are an error.
    #[schemars(extend("default" = false))]
    exclude_pool: Option<bool>,
    /// The field that holds the gold answer; with `scorer = "code"` the one with the tests, by
    /// default `tests`.
    #[schemars(extend("default" = "answer"))]
    answer: Option<String>,
    /// A field of tests that shows what a program's function has to be called, which the question
    /// then says. By default as in the pool.
    name_hint: Option<String>,
}

type Conditions = std::collections::BTreeMap<String, Condition>;

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Condition {
    /// The value of the field.
    Value(Scalar),
    /// One of these values.
    OneOf(Vec<Scalar>),
    /// A range of numbers.
    Range(Range),
    /// Conditions on the fields of an object.
    Inside(std::collections::BTreeMap<String, serde_json::Value>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Scalar {
    Text(String),
    Number(f64),
    Truth(bool),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Range {
    /// The least number.
    min: Option<f64>,
    /// The greatest number.
    max: Option<f64>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Question {
    /// One field.
    One(String),
    /// Several fields.
    Several(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Eval {
    /// How an answer is compared with the gold answer. Needed with `data.train` or `data.test`.
    scorer: Option<ScorerKind>,
    /// The allowed answers. Needed with `scorer = "label"`, and refused without.
    #[schemars(length(min = 2))]
    labels: Option<Vec<String>>,
    /// With `scorer = "math"`: whether an answer may be rounded to the digits of the gold answer.
    #[schemars(extend("default" = false))]
    round_to_gold: Option<bool>,
    /// With `scorer = "number"`: how far the answer may be from the gold answer.
    #[schemars(range(min = 0), extend("default" = 0))]
    abs_tol: Option<f64>,
    /// With `scorer = "number"`: the same as a share of the gold answer.
    #[schemars(range(min = 0), extend("default" = 0))]
    rel_tol: Option<f64>,
    /// With `scorer = "regex"`: the expression. Its last match is the answer, or what the first
    /// group matches there.
    pattern: Option<String>,
    /// With `scorer = "json"`: the field of the output's last JSON object, or a dotted path.
    field: Option<String>,
    /// The number of samples of every case that `maspo eval` scores. With more than one it reports
    /// pass@k and the accuracy of the majority. Other commands score one answer.
    #[schemars(extend("default" = 1))]
    samples: Option<u64>,
    /// The numbers k of pass@k, from 1 to `samples`. By default 1 and `samples`.
    pass_at: Option<Vec<u64>>,
    /// The sampling temperature, if `samples` is more than 1. By default the worker's, or 0.7.
    temperature: Option<f64>,
    /// The share of likely tokens that is kept, if `samples` is more than 1. By default the
    /// worker's.
    top_p: Option<f64>,
    /// The number of likely tokens that is kept, if `samples` is more than 1; 0 keeps all. By
    /// default the worker's.
    top_k: Option<u64>,
    /// With `scorer = "label"`: whether `maspo eval` reads how likely each label is as the answer,
    /// instead of the word alone. The worker must be a model in this process.
    #[schemars(extend("default" = false))]
    verdicts: Option<bool>,
    /// The labels of positive cases, such as abuse, that verdicts are to tell from the others.
    positive: Option<Vec<String>>,
    /// The rate of false positives that a threshold must keep to, with 95 % confidence. It is
    /// chosen on `data.train`. Needs `positive`.
    max_fpr: Option<f64>,
    /// The lead of the likeliest label over the second, in nats, below which a verdict is unsure.
    unsure_below: Option<f64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Templates {
    /// The template set: `terse`, `standard`, or a folder with files of one's own. By default
    /// `terse` for what is asked of `embedded:triage`, and `standard` for any other model.
    set: Option<String>,
    /// A preset for the kind of task, which adds what helps with it to the requests to optimizer
    /// and judge. The set `standard` has `mathematics`, `choice`, `code` and `classification`. By
    /// default none.
    task: Option<String>,
}

/// The keys are those of [`EngineOptions`](crate::engine::EngineOptions), whose package does not
/// describe them for an experiment file. Defaults and bounds are taken from there.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Engine {
    /// Where the models run: `auto`, `cpu`, `cuda`, `cuda:N` or `metal`. `auto` is the first NVIDIA
    /// GPU if this build can use it, or else the CPU. Another device gives other bits, so the
    /// cached answers of one do not count for another. The flag `--device` overrides it.
    #[schemars(regex(pattern = "^(auto|cpu|cuda(:[0-9]+)?|metal)$"))]
    device: String,
    /// What computes the models there. `native` is the kernels of this program, and `candle` the
    /// operations of the library candle: slower, on the CPU, on Apple's GPUs, and on NVIDIA's in a
    /// build with the feature `candle-cuda`. `auto` is `native`, but on a GPU whose results fail
    /// the check of `maspo doctor --check` it is `candle`. Another backend gives other bits, and on
    /// candle an answer may depend on what is computed beside it, whatever `deterministic` says. A
    /// resumed run keeps the backend that it began with. The flag `--backend` overrides it.
    #[schemars(extend("enum" = Backend::ALL.map(Backend::name)))]
    backend: String,
    /// Whether an answer depends on its request alone. On the CPU it always does. On a GPU, `false`
    /// divides the matrix products of prefill by the batch, and gives those of bf16 weights to
    /// cuBLAS where it is installed. The flags `--deterministic` and `--fast` override it.
    deterministic: bool,
    /// The number of compute threads of the CPU. By default one per core.
    threads: Option<u64>,
    /// The number of tokens per block of keys and values. Prefixes are shared in whole blocks.
    block_tokens: u64,
    /// What keys and values are kept in. `auto` is floats: of 32 bits on the CPU if the weights
    /// that make them have 32, otherwise of 16. `int8`, on the CPU only, is signed bytes with one
    /// scale per token and head: about half the memory of 16-bit floats, and other answers. The
    /// flag `--kv-dtype` overrides it.
    #[schemars(extend("enum" = KvDtype::ALL.map(KvDtype::name)))]
    kv_dtype: String,
    /// The number of tokens that the pool of keys and values holds over all sequences. By default
    /// what fits into a share of the memory that is free beside the weights, which is divided among
    /// the models of a run: 75 % on the CPU, where it is taken as it is needed, and 90 % on a GPU.
    kv_tokens: Option<u64>,
    /// The most tokens that are computed in one step. Longer prompts are prefilled in chunks.
    step_tokens: u64,
    /// The most sequences that run at once.
    max_running: u64,
    /// The most requests that wait inside the engine. Further requests wait outside.
    queue: u64,
    /// Whether sequences share the keys and values of equal prefixes.
    prefix_reuse: bool,
    /// Whether the quantized weights of a model of 200 M parameters or more are kept in
    /// `$XDG_CACHE_HOME/maspo/weights` (or `~/.cache/maspo/weights`) for the next start, under the
    /// digest of the model's files. The flag `--no-weight-cache` stands for `false`.
    weight_cache: bool,
    /// The most tokens of one output that are drafted in one step by prompt lookup: where its last
    /// three tokens stood before, in its prompt or in itself, what followed them there is the
    /// draft. Drafts are added only while a step has at most 8 rows. 0 drafts nothing.
    draft_tokens: u64,
}
