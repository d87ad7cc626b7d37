//! draft
mod number;
