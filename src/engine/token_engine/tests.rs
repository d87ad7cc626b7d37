//! Tests of what callers rely on: a request's result does not depend on anything else that is going
//! on.

mod candle;
mod questions;

use super::FinishReason;
use super::*;
use crate::executor::{CpuExecutor, DeviceError, Executor, LogitAnswer};
use crate::kernels::{Compute, KernelSet};
use crate::qwen3::testing::{RandomTensors, odd_config, plain_config, random_model};
use crate::qwen3::{Config, Dtype, KvDtype, Model};
use crate::sample::Sampling;
use crate::schedule::{LogitQuestion, StepPlan};
use futures::executor::block_on;
use futures::future::{join_all, select};
use futures::{FutureExt, future};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn engine_with(config: &Config, compute: &Compute, options: EngineOptions) -> TokenEngine {
    TokenEngine::start(random_model(config, compute), vec![3], &options).unwrap()
}

fn engine(config: &Config, options: EngineOptions) -> TokenEngine {
    engine_with(config, &Compute::cpu(options.threads).unwrap(), options)
}

/// Options that run one generation at a time in a large pool without sharing, which gives a
/// request's result by itself.
fn alone() -> EngineOptions {
    let draft_tokens = 0;
    EngineOptions { threads: Some(1), max_running: 1, prefix_reuse: false, draft_tokens, ..EngineOptions::default() }
}

fn request(prompt: Vec<u32>, max_new_tokens: usize) -> TokenRequest {
    TokenRequest { prompt, max_new_tokens, sampling: Sampling::GREEDY, ignore_eos: true, stop: Vec::new() }
}

#[derive(Clone, Debug)]
enum Ask {
    Generate(TokenRequest),
    Score(Vec<u32>, Vec<Vec<u32>>),
}

#[derive(PartialEq, Debug)]
enum Outcome {
    Tokens(Vec<u32>, FinishReason),
    /// The bits of the log-probabilities, so that equality is bitwise.
    Scores(Vec<u64>),
}

async fn ask(engine: &TokenEngine, ask: Ask) -> Outcome {
    match ask {
        Ask::Generate(request) => {
            let output = engine.generate(request).await.unwrap();
            Outcome::Tokens(output.token_ids, output.finish_reason)
        }
        Ask::Score(prompt, answers) => {
            let output = engine.score(prompt, answers).await.unwrap();
            Outcome::Scores(output.logprobs.iter().map(|p| p.to_bits()).collect())
        }
    }
}

/// Prompts that often share a beginning: one of a few heads, and a tail of its own, which may
/// repeat a few times. Greedy outputs of random models repeat too, so that drafts are accepted.
fn prompt(vocab: u32) -> impl Strategy<Value = Vec<u32>> {
    let tail = (prop::collection::vec(0..vocab, 1..60), 1usize..60);
    (0u32..3, 0usize..80, tail).prop_map(move |(head, shared, (tail, period))| {
        let tail: Vec<u32> = (0..tail.len()).map(|i| tail[i % period]).collect();
        (0..shared as u32).map(|i| (head + i * i) % vocab).chain(tail).collect()
    })
}

fn asks(vocab: u32, count: usize) -> impl Strategy<Value = Vec<Ask>> {
    let sampling = (0u32..3, 0u32..20, 0.3f64..1.0, any::<u64>()).prop_map(|(kind, top_k, top_p, seed)| match kind {
        0 => Sampling::GREEDY,
        1 => Sampling::at(1.5, seed),
        _ => Sampling { temperature: 0.8, top_k, top_p, seed },
    });
    let generate = (prompt(vocab), 1usize..40, sampling, any::<bool>()).prop_map(|(prompt, max, sampling, ignore)| {
        Ask::Generate(TokenRequest { prompt, max_new_tokens: max, sampling, ignore_eos: ignore, stop: vec![7] })
    });
    let answers = prop::collection::vec(prop::collection::vec(0..vocab, 1..6), 1..4);
    let score = (prompt(vocab), answers).prop_map(|(prompt, answers)| Ask::Score(prompt, answers));
    prop::collection::vec(prop_oneof![3 => generate, 1 => score], 1..count)
}

fn options() -> impl Strategy<Value = EngineOptions> {
    // 12 blocks of 16 tokens hold the longest request (180 tokens) and little else, so most runs
    // preempt.
    let limits = (prop_oneof![1usize..40, Just(512)], 1usize..20, 0usize..12);
    (1usize..3, 12usize..60, limits, any::<bool>()).prop_map(
        |(threads, blocks, (step_tokens, max_running, draft_tokens), prefix_reuse)| EngineOptions {
            threads: Some(threads),
            kv_tokens: Some(16 * blocks),
            step_tokens,
            max_running,
            prefix_reuse,
            draft_tokens,
            // More than the default, so that steps with many rows have drafts as well.
            draft_rows: 32,
            ..EngineOptions::default()
        },
    )
}

/// The CPU as a device that allows two started steps: the tokens of a step are read late, and fed
/// back into the next step before.
struct AsyncDevice {
    cpu: CpuExecutor,
    /// Whether it answers questions about logits.
    answers: bool,
    /// The tokens and answers of the steps that were started and not finished.
    started: VecDeque<(Vec<u32>, Vec<LogitAnswer>)>,
    last: Vec<u32>,
    finished: (Vec<u32>, Vec<LogitAnswer>),
    seen: Arc<Seen>,
}

/// What such a device has seen.
#[derive(Default)]
struct Seen {
    /// Tokens that were fed back.
    fed_back: AtomicUsize,
    /// Steps that were started before the one before them was finished.
    ahead: AtomicUsize,
    /// Questions that were answered.
    questions: AtomicUsize,
}

impl Executor for AsyncDevice {
    fn depth(&self) -> usize {
        2
    }

    fn start(&mut self, plan: &StepPlan) -> Result<(), DeviceError> {
        assert!(self.started.len() < 2);
        let mut plan = plan.clone();
        for fed_back in &plan.feedback {
            plan.tokens[fed_back.row] = self.last[fed_back.choice];
        }
        self.seen.fed_back.fetch_add(plan.feedback.len(), Ordering::SeqCst);
        self.seen.ahead.fetch_add(self.started.len(), Ordering::SeqCst);
        self.seen.questions.fetch_add(plan.questions.len(), Ordering::SeqCst);
        self.cpu.start(&plan)?;
        self.last = (0..plan.logits.len()).map(|choice| self.cpu.greedy(choice)).collect();
        let mut answers = Vec::new();
        for question in &plan.questions {
            answers.push(LogitAnswer::of(self.cpu.logits(question.choice)?, question));
        }
        self.started.push_back((self.last.clone(), answers));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        self.finished = self.started.pop_front().expect("a step that was started");
        Ok(())
    }

    fn greedy(&self, wanted: usize) -> u32 {
        self.finished.0[wanted]
    }

    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError> {
        assert!(self.started.is_empty(), "the logits of a later step are there");
        self.cpu.logits(wanted)
    }

    fn answers(&self, _: &[LogitQuestion]) -> bool {
        self.answers
    }

    fn answer(&self, index: usize) -> &LogitAnswer {
        &self.finished.1[index]
    }
}

/// Returns an engine on such a device, and what the device sees.
fn async_engine(config: &Config, options: &EngineOptions, answers: bool) -> (TokenEngine, Arc<Seen>) {
    let model = random_model(config, &Compute::cpu(options.threads).unwrap());
    let blocks = options.pool(config, model.kv_bytes_per_token(), None).total;
    let cpu = CpuExecutor::new(model, options.block_tokens, blocks);
    let seen = Arc::<Seen>::default();
    let (started, last, finished) = Default::default();
    let device = AsyncDevice { cpu, answers, started, last, finished, seen: seen.clone() };
    (TokenEngine::start_on(Box::new(device), config, vec![3], options, blocks).unwrap(), seen)
}

fn check(config: &Config, asks: &[Ask], options: EngineOptions) {
    let single = engine(config, alone());
    let expected: Vec<Outcome> = asks.iter().map(|one| block_on(ask(&single, one.clone()))).collect();
    for answers in [false, true] {
        check_engine(&async_engine(config, &options, answers).0, asks, &expected);
    }
    check_engine(&engine(config, options), asks, &expected);
}

fn check_engine(together: &TokenEngine, asks: &[Ask], expected: &[Outcome]) {
    // In the second round, the prefixes are cached.
    for round in 0..2 {
        let found = block_on(join_all(asks.iter().map(|one| ask(together, one.clone()))));
        for ((found, expected), asked) in found.iter().zip(expected).zip(asks) {
            assert_eq!(found, expected, "round {round}: {asked:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn results_are_bitwise_those_of_the_request_alone(asks in asks(97, 24), options in options()) {
        check(&odd_config(), &asks, options);
    }

    #[test]
    fn also_for_a_shape_of_whole_vectors(asks in asks(128, 12), options in options()) {
        check(&plain_config(), &asks, options);
    }
}

#[test]
fn every_kernel_set_is_batch_invariant_in_every_format() {
    let mut accepted = 0;
    // A shape of whole blocks in every format, and one that is a multiple of no vector.
    let whole = Config { hidden_size: 256, intermediate_size: 256, ..plain_config() };
    let mut shapes = Dtype::ALL.map(|dtype| (whole.clone(), dtype, KvDtype::Auto)).to_vec();
    shapes.extend(KvDtype::ALL.map(|kv_dtype| (odd_config(), Dtype::F32, kv_dtype)));
    shapes.push((whole, Dtype::Q8_0, KvDtype::Int8));
    let sets = KernelSet::available();
    for (kernels, (config, dtype, kv_dtype)) in
        sets.iter().flat_map(|set| shapes.iter().map(move |shape| (*set, shape)))
    {
        let requests: Vec<_> = (1..20).map(|i| request((0..i * 7).map(|j| (i * j) % 97).collect(), 10)).collect();
        let run = |threads, options| {
            let compute = Compute::with_kernels(Some(threads), kernels).unwrap();
            let model = Model::load(config, &mut RandomTensors::new(), *dtype, &compute).unwrap().with_kv(*kv_dtype);
            let engine = TokenEngine::start(model, vec![3], &options).unwrap();
            let outputs = block_on(join_all(requests.iter().map(|request| engine.generate(request.clone()))));
            (outputs.into_iter().map(|output| output.unwrap().token_ids).collect::<Vec<_>>(), engine.counters())
        };
        let small = EngineOptions { kv_tokens: Some(320), step_tokens: 50, draft_rows: 32, ..EngineOptions::default() };
        let (batch, counters) = run(2, small);
        assert_eq!(batch, run(1, alone()).0, "{kernels} {dtype}, keys and values {kv_dtype}");
        accepted += counters.accepted_tokens;
    }
    assert!(accepted > 100, "drafts came true: {accepted}");
}

#[test]
fn tokens_are_carried_over_while_everybody_decodes() {
    let config = plain_config();
    // Each sequence decodes 29 tokens after the first; 28 of them are followed by another, which
    // can be fed back on the device. When a sequence ends, the up to 8 others wait for one step.
    for (draft_tokens, least) in [(0, 9 * 28 - 9 * 8), (8, 1)] {
        let options = EngineOptions { draft_tokens, ..EngineOptions::default() };
        let (device, seen) = async_engine(&config, &options, false);
        let requests: Vec<_> = (1..10).map(|i| request((0..30).map(|j| (i * 31 + j * j) % 97).collect(), 30)).collect();
        let ask_all =
            |engine: &TokenEngine| block_on(join_all(requests.iter().map(|one| engine.generate(one.clone()))));
        let (found, expected) = (ask_all(&device), ask_all(&engine(&config, alone())));
        for (found, expected) in found.into_iter().zip(expected) {
            assert_eq!(found.unwrap().token_ids, expected.unwrap().token_ids);
        }
        let fed_back = seen.fed_back.load(Ordering::SeqCst);
        assert!(fed_back >= least, "{fed_back} tokens with drafts of {draft_tokens}");
    }
}

#[test]
fn two_hundred_requests_finish_in_a_small_pool() {
    let options = EngineOptions { kv_tokens: Some(2048), max_running: 40, queue: 16, ..EngineOptions::default() };
    let engine = engine(&plain_config(), options);
    let requests = (0..200u32).map(|i| request((0..1 + i % 150).map(|j| (i * j) % 128).collect(), 1 + i as usize % 90));
    let outputs = block_on(join_all(requests.map(|request| engine.generate(request))));
    for (i, output) in outputs.iter().enumerate() {
        assert_eq!(output.as_ref().unwrap().token_ids.len(), 1 + i % 90);
    }
    let counters = engine.counters();
    assert_eq!(counters.requests, 200);
    assert!(counters.peak_blocks <= 128 && counters.peak_running <= 40, "{counters:?}");
}

#[test]
fn each_distinct_prefix_is_prefilled_once() {
    let engine = engine(&plain_config(), EngineOptions::default());
    let shared: Vec<u32> = (0..160).map(|i| i * 5 % 128).collect();
    let with_tail = |tail: u32| [&shared[..], &[tail, tail, tail]].concat();
    let outputs = block_on(join_all((0..10).map(|tail| engine.generate(request(with_tail(tail), 1)))));
    let reused: Vec<usize> = outputs.into_iter().map(|output| output.unwrap().reused_tokens).collect();
    assert_eq!(reused, [&[0][..], &[160; 9]].concat());
    let counters = engine.counters();
    assert_eq!((counters.prefilled_tokens, counters.reused_tokens), (160 + 10 * 3, 9 * 160));
}

#[test]
fn a_score_is_the_sum_of_its_tokens_log_probabilities() {
    let engine = engine(&plain_config(), EngineOptions::default());
    let prompt: Vec<u32> = (0..40).collect();
    let answers: Vec<Vec<u32>> = (0..128).map(|token| vec![token]).collect();
    let first = block_on(engine.score(prompt.clone(), answers)).unwrap();
    let total: f64 = first.logprobs.iter().map(|p| p.exp()).sum();
    assert!((total - 1.0).abs() < 1e-9, "all tokens together are certain: {total}");
    let then = block_on(engine.score([&prompt[..], &[9]].concat(), vec![vec![4]])).unwrap();
    let both = block_on(engine.score(prompt.clone(), vec![vec![9, 4], vec![9]])).unwrap();
    assert_eq!(both.logprobs, [first.logprobs[9] + then.logprobs[0], first.logprobs[9]]);
    assert_eq!((both.prompt_tokens, both.reused_tokens), (41, 32));
}

#[test]
fn outputs_end_where_they_should() {
    let engine = engine(&plain_config(), EngineOptions::default());
    let free = block_on(engine.generate(request(vec![1, 2, 3], 12))).unwrap();
    assert_eq!((free.token_ids.len(), free.finish_reason, free.prompt_tokens), (12, FinishReason::Length, 3));
    let stop = free.token_ids[5];
    let cut = free.token_ids.iter().position(|&token| token == stop).unwrap();
    let stopped = block_on(engine.generate(TokenRequest { stop: vec![stop], ..request(vec![1, 2, 3], 12) })).unwrap();
    assert_eq!((&stopped.token_ids[..], stopped.finish_reason), (&free.token_ids[..cut], FinishReason::Stop));
    let nothing = block_on(engine.generate(request(vec![1], 0))).unwrap();
    assert_eq!((nothing.token_ids.len(), nothing.finish_reason), (0, FinishReason::Length));
}

fn limited(limit: ThoughtLimit) -> Extras {
    Extras { limit: Some(limit), ..Extras::default() }
}

/// Returns the output of a request, and what a watcher sees of it.
async fn watched(engine: &TokenEngine, ask: &TokenRequest) -> (Vec<u32>, Vec<NewToken>) {
    let (tokens, seen) = futures::channel::mpsc::unbounded();
    let logprobs = Some(LogprobRequest { top: 2, of: vec![7] });
    let extras = Extras { watch: Some(Watch { tokens, logprobs }), ..Extras::default() };
    let output = engine.generate_with(ask.clone(), extras).await.unwrap();
    (output.token_ids, futures::StreamExt::collect(seen).await)
}

/// A watcher sees the tokens of the output and the one that ends it, with log-probabilities that
/// neither drafts nor company change; the likeliest one is the greedy choice.
#[test]
fn a_watcher_sees_every_token_with_its_log_probability() {
    let asks: Vec<TokenRequest> = (0..4).map(|seed| request(vec![1, 2, 3 + seed], 20)).collect();
    let drafting = EngineOptions { draft_tokens: 8, draft_rows: 32, ..EngineOptions::default() };
    let (plain, busy) = (engine(&plain_config(), alone()), engine(&plain_config(), drafting));
    let together = block_on(join_all(asks.iter().map(|ask| watched(&busy, ask))));
    for (ask, (ids, seen)) in asks.iter().zip(together) {
        let (expected, alone) = block_on(watched(&plain, ask));
        assert_eq!((&ids, seen.len()), (&expected, 20));
        assert_eq!(seen.iter().map(|token| token.id).collect::<Vec<_>>(), ids);
        for (one, other) in seen.iter().zip(&alone) {
            assert_eq!(one.logprobs, other.logprobs);
            let logprobs = one.logprobs.as_ref().unwrap();
            assert_eq!((logprobs.top[0], logprobs.top.len(), logprobs.of.len()), ((one.id, logprobs.chosen), 2, 1));
        }
    }
    let last = asks[0].clone();
    let stop = block_on(plain.generate(last.clone())).unwrap().token_ids[4];
    let (ids, seen) = block_on(watched(&plain, &TokenRequest { stop: vec![stop], ..last }));
    assert_eq!(seen.len(), ids.len() + 1);
    assert!(seen.last().is_some_and(|token| token.ends && token.id == stop));
}

/// A thought that is still open is closed at its limit, whatever is drafted and whatever else runs,
/// and the model goes on from there as after a prompt that ends so.
#[test]
fn a_thought_is_closed_at_its_limit() {
    let free = request(vec![1, 2, 3], 60);
    let limit = |max_tokens: usize, open: bool| ThoughtLimit {
        max_tokens,
        closing: vec![9, 8],
        is_open: Arc::new(move |tokens| {
            assert_eq!(tokens.len(), max_tokens);
            open
        }),
    };
    let run = |engine: &TokenEngine, request: &TokenRequest, limit: ThoughtLimit| {
        block_on(engine.generate_with(request.clone(), limited(limit))).unwrap().token_ids
    };
    for sampling in [Sampling::GREEDY, Sampling::at(1.0, 5)] {
        let free = TokenRequest { sampling, ..free.clone() };
        let plain = engine(&plain_config(), alone());
        let output = block_on(plain.generate(free.clone())).unwrap().token_ids;
        let closed = run(&plain, &free, limit(20, true));
        assert_eq!((&closed[..20], &closed[20..22], closed.len()), (&output[..20], &[9, 8][..], 60));
        assert_eq!(run(&plain, &free, limit(20, false)), output, "a thought that is closed already");
        assert_eq!(run(&plain, &free, limit(60, true)), output, "a limit that is not reached");
        let cut = TokenRequest { max_new_tokens: 21, ..free.clone() };
        assert_eq!(run(&plain, &cut, limit(20, true)), closed[..21]);
        if sampling.is_greedy() {
            let prompt = [&free.prompt[..], &closed[..22]].concat();
            assert_eq!(block_on(plain.generate(request(prompt, 38))).unwrap().token_ids, closed[22..]);
        }
        let busy =
            engine(&plain_config(), EngineOptions { draft_tokens: 8, draft_rows: 32, ..EngineOptions::default() });
        let asks = (0..6).map(|_| busy.generate_with(free.clone(), limited(limit(20, true))));
        let others =
            (0..6).map(|seed| busy.generate(TokenRequest { sampling: Sampling::at(1.5, seed), ..free.clone() }));
        for output in block_on(join_all(asks.chain(others))).into_iter().take(6) {
            assert_eq!(output.unwrap().token_ids, closed);
        }
    }
    let refused = block_on(
        engine(&plain_config(), alone())
            .generate_with(free, limited(ThoughtLimit { closing: vec![u32::MAX], ..limit(1, true) })),
    );
    assert!(matches!(refused, Err(EngineError::Token { id: u32::MAX, .. })));
}

#[test]
fn drafts_save_steps_and_change_nothing() {
    let [plain, drafting] =
        [0, 8].map(|draft_tokens| engine(&plain_config(), EngineOptions { draft_tokens, ..EngineOptions::default() }));
    let run = |engine: &TokenEngine, request: &TokenRequest| {
        let output = block_on(engine.generate(request.clone())).unwrap();
        (output.token_ids, output.finish_reason)
    };
    // Greedy outputs of this model repeat themselves, so most drafts are accepted.
    let free = request(vec![1, 2, 3], 200);
    let output = run(&plain, &free);
    let counters = plain.counters();
    assert_eq!((counters.steps, counters.drafted_tokens), (200, 0));
    assert_eq!(run(&drafting, &free), output);
    let counters = drafting.counters();
    assert!(counters.steps < 100 && counters.accepted_tokens <= counters.drafted_tokens, "{counters:?}");
    assert_eq!((counters.decoded_tokens, counters.steps + counters.accepted_tokens), (200, 200));
    for length in 1..60 {
        let cut = TokenRequest { max_new_tokens: length, ..free.clone() };
        assert_eq!(run(&drafting, &cut), (output.0[..length].to_vec(), FinishReason::Length));
        let stop = TokenRequest { stop: vec![output.0[length]], ..free.clone() };
        assert_eq!(run(&drafting, &stop), run(&plain, &stop), "stopped by token {length}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_facts() {
    let engine = engine(&plain_config(), EngineOptions { kv_tokens: Some(64), ..EngineOptions::default() });
    let error = |request| block_on(engine.generate(request)).unwrap_err().to_string();
    assert_eq!(error(request(vec![0; 60], 5)), "the prompt has 60 tokens and 5 more are asked for, but 64 fit");
    assert_eq!(error(request(vec![], 5)), "the prompt has no tokens");
    assert_eq!(error(request(vec![5, 128], 5)), "token 128 is not in the model's vocabulary of 128");
    let scored = block_on(engine.score(vec![0; 64], vec![vec![1]])).unwrap_err();
    assert_eq!(scored, EngineError::Overflow { prompt_tokens: 64, new_tokens: 1, limit: 64 });
    assert_eq!(block_on(engine.score(vec![0], vec![vec![]])).unwrap_err(), EngineError::EmptyAnswer(0));
    assert_eq!(block_on(engine.generate(request(vec![0; 60], 4))).unwrap().token_ids.len(), 4);
    let options = EngineOptions { draft_tokens: 65, ..EngineOptions::default() };
    let error = options.check().unwrap_err().to_string();
    assert_eq!(error, "`engine.draft_tokens` is 65; it must be between 0 and 64");
    let options = EngineOptions { block_tokens: 20, ..EngineOptions::default() };
    let model = random_model(&plain_config(), &Compute::cpu(Some(1)).unwrap());
    let error = TokenEngine::start(model, vec![], &options).err().unwrap();
    assert_eq!(error.to_string(), "`engine.block_tokens` is 20; it must be 16, 32 or 64");
}

#[test]
fn a_dropped_request_leaves_nothing_behind() {
    let config = Config { max_position_embeddings: 200_000, ..plain_config() };
    let engine = engine(&config, EngineOptions { kv_tokens: Some(200_000), ..EngineOptions::default() });
    // The long request would go on for minutes; it is dropped as soon as the short one is done.
    let long = engine.generate(request(vec![1], 190_000));
    let short = engine.generate(request(vec![2], 3));
    assert!(matches!(block_on(select(long, short)), future::Either::Right(_)));
    let after = block_on(engine.generate(request(vec![3], 5))).unwrap();
    assert_eq!(after.token_ids.len(), 5);
    assert!(engine.counters().decoded_tokens < 100_000);
}

#[test]
fn dropping_the_engine_stops_its_thread() {
    let engine = engine(&plain_config(), EngineOptions::default());
    let mut pending = engine.generate(request(vec![1], 1000));
    assert!((&mut pending).now_or_never().is_none());
    drop(pending);
    drop(engine);
}

/// On the emulated CUDA device, too, a request's answer does not depend on other requests.
#[cfg(unix)]
#[test]
fn a_request_has_the_same_answer_in_any_company_on_cuda() {
    use crate::executor::gpu::emulated::{Kind, OPTIONS, executor};
    let config = Config { max_position_embeddings: 1024, ..plain_config() };
    let options = EngineOptions { draft_tokens: 4, step_tokens: OPTIONS.step_tokens, ..EngineOptions::default() };
    let options = EngineOptions { max_running: OPTIONS.max_running, ..options };
    let start = || {
        let (device, _) = executor(Kind::Cuda, &config, Dtype::Q8_0)?;
        Some(TokenEngine::start_on(Box::new(device), &config, Vec::new(), &options, OPTIONS.blocks).unwrap())
    };
    let Some(engine) = start() else { return };
    let prompts: Vec<Vec<u32>> =
        (0..4u32).map(|i| (0..18 + i).map(|j| (i * 31 + j * j * 7 + 5) % 128).collect()).collect();
    let generate = |engine: &TokenEngine, prompt: &Vec<u32>| {
        block_on(engine.generate(request(prompt.clone(), 6))).unwrap().token_ids
    };
    let together = block_on(join_all(prompts.iter().map(|prompt| engine.generate(request(prompt.clone(), 6)))));
    let alone = start().unwrap();
    for (prompt, together) in prompts.iter().zip(together) {
        assert_eq!(generate(&alone, prompt), together.unwrap().token_ids);
    }
    let scored = |engine: &TokenEngine| block_on(engine.score(prompts[0].clone(), vec![vec![5], vec![6, 7]])).unwrap();
    assert_eq!(scored(&engine).logprobs, scored(&alone).logprobs);
}

/// A decode step of one sequence is one replay, started before the last tokens are read.
#[cfg(unix)]
#[test]
fn a_decode_step_is_one_replay_started_before_the_last_tokens_are_read() {
    use crate::executor::gpu::emulated::Asked::{self, Capture, Collect, Copy, Fetch, Launch, Replay, Write};
    use crate::executor::gpu::emulated::{Kind, OPTIONS, executor};
    let config = Config { max_position_embeddings: 1024, ..plain_config() };
    let Some((device, record)) = executor(Kind::Cuda, &config, Dtype::Bf16) else { return };
    let options = EngineOptions { draft_tokens: 0, prefix_reuse: false, ..EngineOptions::default() };
    record.lock().unwrap().clear();
    let engine = TokenEngine::start_on(Box::new(device), &config, vec![], &options, OPTIONS.blocks).unwrap();
    block_on(engine.generate(request(vec![5, 12, 33, 68, 117], 6))).unwrap();
    drop(engine);
    let asked = record.lock().unwrap().clone();
    let mut asked = asked.iter();
    let mut next = |count: usize| -> Vec<&Asked> { asked.by_ref().take(count).collect() };
    let layer = ["add_norm", "linear", "rotate", "decode_attention", "linear", "add_norm", "linear", "linear"];
    let step = [&["embed"][..], &layer, &layer, &["add_norm", "linear", "argmax"]].concat();
    // First come the prompt and, launched behind it, the first decode step. Only then does the
    // engine wait for the prompt's token.
    assert!(matches!(next(5)[..], [Write(_), Write(_), Write(_), Launch(_), Fetch(4)]));
    let launched = next(5);
    assert!(matches!(launched[..], [Write(_), Write(_), Copy(4), Launch(_), Fetch(4)]));
    assert_eq!(*launched[3], Launch(step));
    assert!(matches!(next(1)[..], [Collect(4)]));
    // The step is captured when it comes again, and replayed from then on.
    assert!(matches!(next(6)[..], [Write(_), Write(_), Copy(4), Capture(20, 1), Replay(0), Fetch(4)]));
    for _ in 0..3 {
        assert!(matches!(next(1)[..], [Collect(4)]));
        assert!(matches!(next(5)[..], [Write(_), Write(_), Copy(4), Replay(0), Fetch(4)]));
    }
    assert!(matches!(next(9)[..], [Collect(4), Collect(4)]), "nothing is started behind the last token");
}

/// For three sequences that end one after the other, the engine asks for no memory, computes no row
/// of a sequence that has ended, and is never more than two steps ahead of the tokens that were
/// read.
#[cfg(unix)]
#[test]
fn sequences_leave_the_steps_of_a_gpu_when_they_end() {
    use crate::executor::gpu::emulated::Asked::{Allocate, Capture, Collect, Fetch, Read, Replay};
    use crate::executor::gpu::emulated::{Kind, OPTIONS, executor};
    let config = Config { max_position_embeddings: 1024, ..plain_config() };
    let Some((device, record)) = executor(Kind::Cuda, &config, Dtype::Bf16) else { return };
    let options = EngineOptions { draft_tokens: 0, prefix_reuse: false, ..EngineOptions::default() };
    let engine = TokenEngine::start_on(Box::new(device), &config, vec![], &options, OPTIONS.blocks).unwrap();
    let asks = [(vec![5, 12, 33], 4), (vec![68, 117], 9), (vec![1, 2, 3, 4], 14)];
    let wanted: usize = asks.iter().map(|(_, tokens)| tokens).sum();
    record.lock().unwrap().clear();
    let together =
        block_on(join_all(asks.iter().map(|(prompt, tokens)| engine.generate(request(prompt.clone(), *tokens)))));
    let asked = record.lock().unwrap().clone();
    let mut under_way = VecDeque::new();
    let mut fetched = 0;
    for asked in &asked {
        match asked {
            Fetch(bytes) => under_way.push_back(*bytes),
            Collect(bytes) => {
                assert_eq!(under_way.pop_front(), Some(*bytes), "copies are collected in their order");
                fetched += bytes;
            }
            Allocate(bytes) => panic!("a step asks for {bytes} bytes of memory"),
            Read(bytes) => panic!("a greedy step reads {bytes} bytes and waits for them"),
            _ => {}
        }
        assert!(under_way.len() <= 2);
    }
    assert!(under_way.is_empty(), "nothing is started behind the last token");
    assert_eq!(fetched, 4 * wanted, "one row for every token that was asked for");
    let captured: Vec<u32> =
        asked.iter().filter_map(|asked| if let Capture(_, rows) = asked { Some(*rows) } else { None }).collect();
    assert!(captured.ends_with(&[2, 1]) || captured.ends_with(&[3, 2, 1]), "a graph for every company: {captured:?}");
    assert!(asked.iter().any(|asked| matches!(asked, Replay(_))));
    for ((prompt, tokens), together) in asks.into_iter().zip(together) {
        assert_eq!(block_on(engine.generate(request(prompt, tokens))).unwrap().token_ids, together.unwrap().token_ids);
    }
}
