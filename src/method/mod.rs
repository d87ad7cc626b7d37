//! The methods behind one port: given a graph, a pool, models, a budget and a seed, each of them
//! gives a system and emits events, as MASPO's search does. This module knows no files, no terminal
//! and no journal. It never imports `task`: a method that learns from labels gets them through
//! [`Labels`], which holds labelled training items and nothing else.

mod options;

mod labels;
mod plan;

mod answering;
mod lab;

mod dropout;
mod gepa;
mod merge;
mod port;
mod single;
mod spo;
mod tpe;

pub use answering::{Answering, Outputs};
pub use labels::Labels;
pub use options::{AnswerSets, Feedback, MethodKind, MethodOptions};
pub use plan::plan;
pub use port::{MethodInput, run};
