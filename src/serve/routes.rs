//! The routes: from a request's head and body to its answer.

use super::answer::{Head, whole};
use super::ask::{Ask, Input, Prompt, Server as AskServer};
use super::events::stream;
use super::fault::Fault;
use super::fields::Fields;
use super::generation::{Generation, Job};
use super::guard;
use super::metrics::Gauges;
use super::options::{BODY_PATIENCE, MAX_BODY_BYTES};
use super::server::Server;
use super::team::{self, TeamAsk};
use crate::engine::text::{ChatPrompt, PromptThought, TextError};
use crate::engine::{EngineError, TextEngine};
use futures::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

/// The body of an answer.
pub(super) type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// Answers a request; whatever goes wrong is an answer too.
pub(super) async fn answer<B>(server: Arc<Server>, request: Request<B>) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let route = route(request.uri().path());
    let answered = match guard::check(&server.options, request.method(), request.headers()) {
        Ok(()) => dispatch(&server, route, request).await,
        Err(fault) => Err(fault),
    };
    let response = answered.unwrap_or_else(|fault| refusal(&fault));
    server.metrics.count(route, response.status().as_u16());
    response
}

/// Returns the route that a path names. What is counted is one of a few names, never a path.
fn route(path: &str) -> &'static str {
    const ROUTES: [&str; 7] =
        ["/health", "/metrics", "/version", "/v1/models", "/v1/chat/completions", "/v1/completions", "/tokenize"];
    ROUTES.into_iter().find(|route| *route == path).unwrap_or("other")
}

async fn dispatch<B>(server: &Arc<Server>, route: &'static str, request: Request<B>) -> Result<Response<Answer>, Fault>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let method = request.method().clone();
    match (method, route) {
        (_, "other") => Err(Fault::new(StatusCode::NOT_FOUND, "not_found", "there is no such route")),
        (Method::GET, "/health") => Ok(object(&json!({ "status": "ok" }))),
        (Method::GET, "/version") => Ok(object(&json!({ "version": version(), "server": "maspo" }))),
        (Method::GET, "/v1/models") => Ok(object(&models(server))),
        (Method::GET, "/metrics") => {
            let gauges = Gauges { open: server.open(), connections: server.connections() };
            let text = server.metrics.text(&server.engine, &gauges);
            Ok(respond(StatusCode::OK, "text/plain; version=0.0.4", text.into()))
        }
        (Method::POST, "/tokenize") => tokenize(server, Fields::of_body(&body(request).await?)?).await,
        (Method::POST, "/v1/completions") if server.team.is_some() => {
            let message = "a team answers questions only: use /v1/chat/completions";
            Err(Fault::new(StatusCode::NOT_FOUND, "not_found", message))
        }
        (Method::POST, "/v1/chat/completions") if server.team.is_some() => {
            let fields = Fields::of_body(&body(request).await?)?;
            of_team(server, TeamAsk::read(fields, &server.options.name)?).await
        }
        (Method::POST, "/v1/chat/completions" | "/v1/completions") => {
            let fields = Fields::of_body(&body(request).await?)?;
            let number = server.number();
            let about = AskServer {
                name: &server.options.name,
                max_tokens: server.options.max_tokens,
                other_seed: server.seed(number),
            };
            let ask = match route {
                "/v1/chat/completions" => Ask::chat(fields, &about)?,
                _ => Ask::completion(fields, &about)?,
            };
            complete(server, ask, number).await
        }
        _ => Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method", "the route has another method")),
    }
}

fn version() -> String {
    format!("maspo {}", env!("CARGO_PKG_VERSION"))
}

fn models(server: &Server) -> Value {
    let mut model = json!({
        "id": server.options.name, "object": "model", "created": server.start, "owned_by": "maspo",
        "max_model_len": server.engine.limit(), "digest": server.engine.digest(),
    });
    if let Some(team) = &server.team {
        model["maspo"] = team.about();
    }
    json!({ "object": "list", "data": [model] })
}

/// Returns the tokens of a text, as vLLM's route of that name does.
async fn tokenize(server: &Arc<Server>, mut fields: Fields) -> Result<Response<Answer>, Fault> {
    let text = fields.text("prompt")?.ok_or_else(|| Fault::field("prompt", "must be a text"))?;
    drop(fields.text("model")?);
    fields.only("add_special_tokens", &json!(false), "it must be false")?;
    fields.finish()?;
    let engine = server.engine.clone();
    let ids = off_thread(move || engine.encode_raw(&text)).await?.map_err(|error| text_fault(&error))?;
    Ok(object(&json!({ "count": ids.len(), "max_model_len": server.engine.limit(), "tokens": ids })))
}

async fn complete(server: &Arc<Server>, ask: Ask, number: u64) -> Result<Response<Answer>, Fault> {
    let head = Head::new(server, &ask, number);
    let count = ask.n * if let Input::Prompts(prompts) = &ask.input { prompts.len() } else { 1 };
    // Before any work, so that refusing is cheap.
    let ticket = Arc::new(server.admit(count)?);
    let (asked, streams, include_usage) = (ask.logprobs.clone(), ask.stream, ask.include_usage);
    let (engine, thinking, most) = (server.engine.clone(), server.options.thinking, server.options.max_tokens);
    let jobs = off_thread(move || jobs(&engine, &ask, thinking, most)).await??;
    let generations = jobs.into_iter().map(|job| Generation::new(&server.engine, job, Arc::clone(&ticket))).collect();
    if !streams {
        return Ok(object(&whole(server, &head, asked.as_ref(), generations).await?));
    }
    Ok(streamed(stream(Arc::clone(server), head, asked, include_usage, generations)))
}

/// Has the team of the server answer.
async fn of_team(server: &Arc<Server>, ask: TeamAsk) -> Result<Response<Answer>, Fault> {
    let head = Head::of_team(server, server.number());
    let ticket = server.admit(1)?;
    if ask.stream {
        return Ok(streamed(team::stream(Arc::clone(server), head, ask, ticket)));
    }
    let team = server.team.as_deref().expect("the server has a team");
    Ok(object(&team::whole(team, &head, ask).await?))
}

fn streamed(events: impl Stream<Item = Bytes> + Send + 'static) -> Response<Answer> {
    let body = StreamBody::new(events.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Tokenizes the prompts of a request and checks that every completion fits.
fn jobs(engine: &TextEngine, ask: &Ask, thinking: bool, most: usize) -> Result<Vec<Job>, Fault> {
    let prompts: Vec<ChatPrompt> = match &ask.input {
        Input::Chat { messages, thinking: asked, max_thinking_tokens } => {
            let thinking = asked.unwrap_or(thinking);
            let prompt = match max_thinking_tokens {
                Some(0) => engine.open_content(messages, thinking),
                _ => engine.open_turn(messages, thinking),
            };
            vec![prompt.map_err(|error| text_fault(&error))?]
        }
        Input::Prompts(prompts) => {
            let encode = |prompt: &Prompt| match prompt {
                Prompt::Text(text) => engine.encode_raw(text).map_err(|error| text_fault(&error)),
                Prompt::Ids(ids) => Ok(ids.clone()),
            };
            let raw = |ids| ChatPrompt { ids, thought: PromptThought::Absent };
            prompts.iter().map(|prompt| encode(prompt).map(raw)).collect::<Result<_, _>>()?
        }
    };
    let is_chat = matches!(ask.input, Input::Chat { .. });
    let max_thinking_tokens = match &ask.input {
        Input::Chat { max_thinking_tokens, .. } => *max_thinking_tokens,
        Input::Prompts(_) => None,
    };
    let mut jobs = Vec::with_capacity(prompts.len() * ask.n);
    for prompt in prompts {
        let (tokens, limit) = (prompt.ids.len(), engine.limit());
        let max_new_tokens = ask.max_tokens.unwrap_or_else(|| limit.saturating_sub(tokens).clamp(1, most));
        check(engine, &prompt.ids, max_new_tokens)?;
        for index in 0..ask.n {
            jobs.push(Job {
                prompt: prompt.clone(),
                is_chat,
                max_new_tokens,
                max_thinking_tokens,
                sampling: ask.draws.of_choice(index),
                shaping: ask.draws.shaping,
                ignore_eos: ask.ignore_eos,
                stop_token_ids: ask.stop_token_ids.clone(),
                stop: ask.stop.clone(),
                logprobs: ask.logprobs.as_ref().map(|logprobs| logprobs.request.clone()),
                stream: ask.stream,
            });
        }
    }
    Ok(jobs)
}

/// Checks what the engine would refuse, before a stream has begun.
fn check(engine: &TextEngine, prompt: &[u32], new_tokens: usize) -> Result<(), Fault> {
    let vocab_size = engine.config().vocab_size;
    if prompt.is_empty() {
        return Err(EngineError::EmptyPrompt.into());
    }
    if let Some(&id) = prompt.iter().find(|id| **id as usize >= vocab_size) {
        return Err(EngineError::Token { id, vocab_size }.into());
    }
    let limit = engine.limit();
    match prompt.len().saturating_add(new_tokens) > limit {
        true => Err(Fault::too_long(prompt.len(), new_tokens, limit)),
        false => Ok(()),
    }
}

/// Returns the fault of a text that cannot be tokenized. A template's own message may quote the
/// request, so it is not repeated.
fn text_fault(error: &TextError) -> Fault {
    match error {
        TextError::Template(_) => Fault::field("messages", "were refused by the model's chat template"),
        TextError::NoMessages
        | TextError::NoTokenizer
        | TextError::NoTemplate
        | TextError::TemplateOutput { .. }
        | TextError::Rewritten
        | TextError::ControlToken { .. }
        | TextError::File { .. } => Fault::body(error.to_string()),
    }
}

/// Does work that takes a while beside the runtime, so that streams go on.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "server_failed", "the request could not be read"))
}

async fn body<B>(request: Request<B>) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let message = format!("the body has more than {MAX_BODY_BYTES} bytes");
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    let body = request.into_body();
    // The length that the head announces is enough to refuse it.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Fault::body("the body was cut off")),
        Err(_) => Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long")),
    }
}

fn object(value: &Value) -> Response<Answer> {
    respond(StatusCode::OK, "application/json", value.to_string().into())
}

fn refusal(fault: &Fault) -> Response<Answer> {
    let mut response = respond(fault.status, "application/json", fault.json().to_string().into());
    if let Some(seconds) = fault.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Answer> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
