//! `maspo bench --requests FILES`: greedy answers to given conversations, with prompt lookup and
//! without.

use super::super::jsonl::{Input, parse};
use super::super::loading::Loading;
use super::super::output::print_message;
use super::super::{CliError, Exit};
use super::{Args, MAX_ROUNDS, print_object, print_table_line, spread};
use crate::chat::{Message, Sampling};
use crate::engine::{
    DtypeRequest, EngineOptions, LoadOptions, ModelSource, TextEngine, TokenRequest, TokenizerRequirement,
};
use crate::run::use_threads;
use crate::throughput::{DraftFigures, Drafting, measure_drafting};
use serde::Deserialize;
use serde_json::json;

/// The tokens that the K/V pool holds by default, so that the prompts of all requests stay in it.
const KV_TOKENS: usize = 1 << 17;

/// One line of a file. Other fields are ignored, so that the embedded model's probes can be used.
#[derive(Deserialize)]
struct Line {
    messages: Vec<Message>,
}

pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    check(args)?;
    let kv_tokens = Some(args.kv_tokens.unwrap_or(KV_TOKENS));
    let options = EngineOptions { threads: args.threads, kv_tokens, ..EngineOptions::default() };
    let options = args.device.with(options);
    let source = ModelSource::parse(&args.model).map_err(CliError::bad_input)?;
    use_threads(options.threads);
    let mut loading = Loading::new(source.name());
    let how = LoadOptions {
        dtype: DtypeRequest::Requested(args.dtype[0]),
        compute: None,
        date: None,
        watch: &mut |progress| loading.show(progress),
    };
    let mut model = TextEngine::open(&source, &options, TokenizerRequirement::Required, how)?;
    loading.finish();
    let requests = read(args, &model)?;
    let (longest, limit) = (requests.iter().map(|request| request.prompt.len()).max().unwrap_or(0), model.limit());
    if longest + args.new_tokens > limit {
        let message =
            format!("a prompt of {longest} tokens and --new-tokens {} do not fit: {limit} do", args.new_tokens);
        return Err(CliError::bad_input(message));
    }
    let ways = ways(args, &options);
    let head = format!("{source}, {}, {}", model.dtype(), model.device());
    print_table_line(
        args,
        &format!("{head}: {} requests, medians (least-greatest) of {} rounds", requests.len(), args.rounds),
    )?;
    let progress = |round, way: Drafting, seconds| {
        print_message(format_args!(
            "round {round}: {} at once, drafts of {}: {seconds:.3} s",
            way.batch, way.draft_tokens
        ));
    };
    let figures = measure_drafting(&mut model, &options, &requests, &ways, args.rounds, progress)
        .map_err(|error| CliError::new(Exit::RunFailed, error))?;
    print_table_line(
        args,
        "at once   drafts   rows   steps   decoded   drafted   accepted   \
         seconds                   faster by                processor seconds",
    )?;
    for figures in &figures {
        print_table_line(args, &row(figures))?;
    }
    print_table_line(args, "all ways gave the same tokens")?;
    let head = json!({ "model": source.name(), "dtype": model.dtype(), "device": model.device() });
    let figures = json!({ "requests": requests.len(), "rounds": args.rounds, "ways": figures });
    print_object(args, head, figures)?;
    Ok(Exit::Ok)
}

fn check(args: &Args) -> Result<(), CliError> {
    let mut faults = Vec::new();
    if args.batch.contains(&0) {
        faults.push("--batch: at least one request must be under way".to_string());
    }
    if args.new_tokens == 0 {
        faults.push("--new-tokens must be at least 1".to_string());
    }
    if !(1..=MAX_ROUNDS).contains(&args.rounds) {
        faults.push(format!("--rounds must be between 1 and {MAX_ROUNDS}"));
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::bad_inputs(faults)) }
}

/// Returns the ways to answer: for every batch without drafts first, then with.
fn ways(args: &Args, options: &EngineOptions) -> Vec<Drafting> {
    let draft_tokens = args.draft_tokens.unwrap_or(options.draft_tokens);
    let rows = if args.draft_rows.is_empty() { &[options.draft_rows][..] } else { &args.draft_rows };
    let drafting = |batch, draft_tokens, draft_rows| Drafting { batch, draft_tokens, draft_rows };
    let of_batch = |&batch: &usize| {
        let with = rows.iter().map(move |&draft_rows| drafting(batch, draft_tokens, draft_rows));
        std::iter::once(drafting(batch, 0, options.draft_rows)).chain(with)
    };
    args.batch.iter().flat_map(of_batch).collect()
}

/// Reads the requests of all files; all are greedy.
fn read(args: &Args, model: &TextEngine) -> Result<Vec<TokenRequest>, CliError> {
    let (mut requests, mut faults) = (Vec::new(), Vec::new());
    let request = |line: &str| {
        let Line { messages } = parse(line)?;
        let prompt = model.encode_chat(&messages, false).map_err(|error| error.to_string())?;
        let (max_new_tokens, sampling) = (args.new_tokens, Sampling::GREEDY);
        Ok(TokenRequest { prompt, max_new_tokens, sampling, ignore_eos: false, stop: Vec::new() })
    };
    for file in &args.requests {
        requests.extend(Input::open(file)?.read_all(request, &mut faults)?);
    }
    if requests.is_empty() && faults.is_empty() {
        faults.push("--requests: there is no request in the files".to_string());
    }
    if faults.is_empty() { Ok(requests) } else { Err(CliError::bad_inputs(faults)) }
}

fn row(figures: &DraftFigures) -> String {
    let Drafting { batch, draft_tokens, draft_rows } = figures.drafting;
    format!(
        "{batch:>7}   {draft_tokens:>6}   {draft_rows:>4}   {:>5}   {:>7}   {:>7}   {:>8}   {:<24}  {:<23}  {}",
        figures.steps,
        figures.decoded_tokens,
        figures.drafted_tokens,
        figures.accepted_tokens,
        spread(figures.seconds, " s"),
        spread(figures.speedup, " x"),
        figures.processor_seconds.map_or("unknown".to_string(), |seconds| spread(seconds, " s")),
    )
}
