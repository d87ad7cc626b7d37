//! The response cache over any [`ChatModel`](crate::chat::ChatModel): an answer is durable before
//! it is used, and identical calls in flight are made once. It knows nothing of what the answers
//! mean.

mod model;
mod record;
mod stored;

#[cfg(test)]
mod tests;

pub use model::CachedModel;
pub use stored::StoredModel;
