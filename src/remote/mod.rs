//! A model behind an OpenAI-compatible HTTP server, as the port `ChatModel`. It knows the dialects
//! of a few servers, waits for a server that is away, and reads the judge's log-probabilities where
//! the server gives them. On Linux its sockets come from the broker, a process that was started
//! before the egress lock and connects to the configured addresses only.

mod options;
mod url;

mod broker;
mod transport;

mod client;
mod failure;
mod pool;

mod body;
mod ids;
mod reply;
mod server;

mod model;
mod probe;

#[cfg(test)]
mod tests;

pub use broker::{BROKER_ARGUMENT, broker_main, reachable, start_broker};
pub use failure::RemoteError;
pub use model::{Notify, RemoteModel};
pub use options::{Api, ApiKey, EndpointOptions};
pub use probe::{Probe, letters, probe, question};
pub use url::{BaseUrl, UrlError};
