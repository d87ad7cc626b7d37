//! What people read: tables, the diff of the prompts, the bill. Pure functions from values to text; knows no terminal.

mod lock;

pub use lock::EgressLock;
