//! What a server can be told, and its limits.

use super::Token;
use std::time::Duration;

/// The largest body of a request.
pub(super) const MAX_BODY_BYTES: usize = 2 << 20;
/// The most completions that one request can ask for: prompts times `n`.
pub(super) const MAX_CHOICES: usize = 128;
/// The most likeliest tokens whose log-probabilities a request can ask for.
pub(super) const MAX_TOP_LOGPROBS: usize = 20;
/// The most tokens that `logprob_token_ids` can name.
pub(super) const MAX_LOGPROB_TOKENS: usize = 128;
/// The most texts in `stop`, and the longest of them in bytes.
pub(super) const MAX_STOPS: (usize, usize) = (16, 256);
/// How long a client may take for the head of a request, and how long it may be silent between two
/// requests.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// How long a client may take for the body of a request.
pub(super) const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may leave an answer unread.
pub(super) const READ_PATIENCE: Duration = Duration::from_secs(30);
/// What a client that was refused for lack of room should wait.
pub(super) const RETRY_AFTER_S: u32 = 1;

/// The options of a server.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The model's name in requests and answers.
    pub name: String,
    /// What every request must carry.
    pub token: Token,
    /// The values of `Host` that are answered.
    pub hosts: Hosts,
    /// Whether the chat template turns thinking on where a request does not say.
    pub thinking: bool,
    /// The most new tokens of a completion.
    pub max_tokens: usize,
    /// The most completions under way or waiting; more are refused.
    pub max_requests: usize,
    /// The most open connections; more wait until one is closed.
    pub max_connections: usize,
    /// How long open requests may go on after the server was told to stop.
    pub drain: Duration,
}

/// The values of the header `Host` that are answered. Anything else may be a page whose name was
/// pointed at this machine (DNS rebinding).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hosts {
    /// The exact values, with their port.
    pub exact: Vec<String>,
    /// Whether an IP address, with any port, is answered as well: a browser that was led here by a
    /// name sends that name.
    pub any_address: bool,
}

impl Hosts {
    /// Returns whether a request with this header is answered.
    pub(super) fn allow(&self, host: &str) -> bool {
        let is_address = || host.parse::<std::net::SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok();
        self.exact.iter().any(|known| known.eq_ignore_ascii_case(host)) || (self.any_address && is_address())
    }
}
