//! Requests to the servers of one model: balanced over them, and sent again while a server is away.

use super::failure::Failure;
use super::options::{ApiKey, EndpointOptions};
use super::{BaseUrl, Notify, RemoteError, reply, transport};
use serde_json::Value;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// The largest body of an answer.
const MAX_BODY_BYTES: u64 = 64 << 20;
/// The longest key in a file.
const MAX_KEY_BYTES: u64 = 16 << 10;
/// The first pause before a request is sent again; every further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that a server can ask for.
const LONGEST_WISH: Duration = Duration::from_secs(300);

/// The servers of one model.
pub(super) struct Client {
    agent: Agent,
    servers: Vec<Server>,
    key: Option<String>,
    retries: usize,
    notify: Notify,
    /// Whether it was said that a server is waited for.
    waits: AtomicBool,
}

struct Server {
    url: BaseUrl,
    /// Requests that are open there.
    open: AtomicUsize,
    /// Failures since its last answer; a server that answers is asked first.
    failures: AtomicUsize,
}

impl Client {
    pub(super) fn new(options: &EndpointOptions, notify: Notify) -> Result<Self, RemoteError> {
        for url in &options.urls {
            url.check_tls().map_err(|error| RemoteError::Url { url: url.clone(), error })?;
        }
        let server =
            |url: &BaseUrl| Server { url: url.clone(), open: AtomicUsize::new(0), failures: AtomicUsize::new(0) };
        let servers: Vec<Server> = options.urls.iter().map(server).collect();
        assert!(!servers.is_empty(), "an endpoint has a URL");
        let key = options.api_key.as_ref().map(key).transpose();
        let key = key.map_err(|reason| RemoteError::Key { url: servers[0].url.clone(), reason })?;
        let (agent, retries) = (transport::agent(options), options.retries);
        Ok(Self { agent, servers, key, retries, notify, waits: AtomicBool::new(false) })
    }

    /// Returns the first server's URL, for messages.
    pub(super) fn url(&self) -> &BaseUrl {
        &self.servers[0].url
    }

    /// Returns the answer of every server to a GET, in their order.
    pub(super) fn get_each(&self, path: &str) -> Vec<(BaseUrl, Result<Value, Failure>)> {
        let get =
            |at: usize| (self.servers[at].url.clone(), self.patiently(|| Some(at), |at| self.once(at, path, None)));
        (0..self.servers.len()).map(get).collect()
    }

    /// Returns the first server's answer to a GET, at once.
    pub(super) fn get_now(&self, path: &str) -> Result<Value, Failure> {
        self.once(0, path, None)
    }

    /// Posts a body to the server with the fewest open requests, and again while that may help.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, (BaseUrl, Failure)> {
        let last = AtomicUsize::new(0);
        let answer = self.patiently(
            || None,
            |at| {
                last.store(at, Ordering::Relaxed);
                self.once(at, path, Some(body))
            },
        );
        answer.map_err(|failure| (self.servers[last.load(Ordering::Relaxed)].url.clone(), failure))
    }

    /// Tries until there is an answer, a failure that stays, or too many failures.
    fn patiently(
        &self,
        fixed: impl Fn() -> Option<usize>,
        exchange: impl Fn(usize) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 0;
        loop {
            let at = fixed().unwrap_or_else(|| self.least_busy());
            let server = &self.servers[at];
            server.open.fetch_add(1, Ordering::SeqCst);
            let answer = exchange(at);
            server.open.fetch_sub(1, Ordering::SeqCst);
            let Err(Failure::Passing { reason, after }) = &answer else {
                server.failures.store(0, Ordering::SeqCst);
                if answer.is_ok() && self.waits.swap(false, Ordering::SeqCst) {
                    (self.notify)(&format!("{}: answers again", server.url));
                }
                return answer;
            };
            server.failures.fetch_add(1, Ordering::SeqCst);
            if tries >= self.retries {
                return answer;
            }
            tries += 1;
            if !self.waits.swap(true, Ordering::SeqCst) {
                let message = format!(
                    "warning: {}: {reason}; waiting for it, {} tries are left",
                    server.url,
                    self.retries - tries + 1
                );
                (self.notify)(&message);
            }
            // Another server may answer at once.
            let others = self.servers.iter().any(|other| other.failures.load(Ordering::SeqCst) == 0);
            if others && fixed().is_none() && after.is_none() {
                continue;
            }
            std::thread::sleep(after.map_or(pause, |after| after.clamp(FIRST_PAUSE, LONGEST_WISH)));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn least_busy(&self) -> usize {
        let load =
            |server: &Server| (server.failures.load(Ordering::SeqCst).min(1), server.open.load(Ordering::SeqCst));
        let busiest = self.servers.iter().enumerate().min_by_key(|(_, server)| load(server));
        busiest.map_or(0, |(at, _)| at)
    }

    /// Makes one exchange with one server.
    fn once(&self, at: usize, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.servers[at].url);
        let authorization = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let answer = match body {
            None => {
                let mut request = self.agent.get(&url);
                if let Some(authorization) = &authorization {
                    request = request.header("Authorization", authorization);
                }
                request.call()
            }
            Some(body) => {
                let mut request = self.agent.post(&url).header("Content-Type", "application/json");
                if let Some(authorization) = &authorization {
                    request = request.header("Authorization", authorization);
                }
                request.send(body.to_string().as_bytes())
            }
        };
        read(answer.map_err(|error| no_answer(&error))?)
    }
}

/// Says why there was no answer.
fn no_answer(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::passing("it did not answer in time (`model.timeout_s`)"),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::Refused { status: 0, message: error.to_string() }
        }
        other => Failure::passing(other.to_string()),
    }
}

fn read(mut answer: Response<Body>) -> Result<Value, Failure> {
    let status = answer.status();
    let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut text = Vec::new();
    let body = answer.body_mut().with_config().limit(MAX_BODY_BYTES).reader().read_to_end(&mut text);
    if let Err(error) = body {
        return Err(Failure::passing(format!("its answer was cut off ({error})")));
    }
    match status {
        status if status.is_success() => {
            serde_json::from_slice(&text).map_err(|error| Failure::passing(format!("its answer is not JSON ({error})")))
        }
        StatusCode::TOO_MANY_REQUESTS => Err(Failure::Passing {
            reason: "it has no room for the request (429)".to_string(),
            after: after.map(Duration::from_secs),
        }),
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            let (status, message) = (status.as_u16(), reply::fault_message(&text));
            // A request that is too long is a server error to some.
            match reply::too_long(&text) {
                Some(failure) => Err(failure),
                None => Err(Failure::Passing {
                    reason: format!("it failed ({status}: {message})"),
                    after: after.map(Duration::from_secs),
                }),
            }
        }
        status if status.is_redirection() => Err(Failure::Refused {
            status: status.as_u16(),
            message: "it redirects, which is not followed".to_string(),
        }),
        status => Err(reply::too_long(&text)
            .unwrap_or_else(|| Failure::Refused { status: status.as_u16(), message: reply::fault_message(&text) })),
    }
}

fn key(place: &ApiKey) -> Result<String, String> {
    let text = match place {
        ApiKey::Env(name) => std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?,
        ApiKey::File(path) => {
            let unreadable = |error: std::io::Error| format!("{}: {error}", path.display());
            let file = std::fs::File::open(path).map_err(unreadable)?;
            let mut text = String::new();
            file.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(unreadable)?;
            text
        }
    };
    let key = text.trim().to_string();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it must be one word of printable ASCII characters".to_string());
    }
    Ok(key)
}
