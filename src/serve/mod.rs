//! An OpenAI-compatible HTTP server over one local model, or over a team on it: requests in, the
//! engine's tokens or the team's answer out. It knows no agents, no experiments and no flags;
//! whoever starts it binds the listener first. No
//! text of a request is a path, a template or a model to open, and none is written to a log.

mod options;

mod listener;
mod patience;
mod token;

mod fault;
mod fields;
mod guard;
mod sampling;

mod ask;
mod generation;
mod logprobs;
mod metrics;

mod answer;
mod events;
mod routes;
mod server;
mod team;

#[cfg(test)]
mod tests;

pub use listener::{Bound, Listen};
pub use options::{Hosts, ServeOptions};
pub use server::serve;
pub use team::{Team, TeamAnswer};
pub use token::Token;
