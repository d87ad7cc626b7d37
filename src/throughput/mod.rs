//! Load generator for any [`ChatModel`](crate::chat::ChatModel) and the figures it gives.
