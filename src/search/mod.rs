//! The MASPO search: coordinate ascent over the agents, a beam of prompts per agent, and a refresh
//! of the beam when the search returns to an agent. This module knows no files and no terminal: it
//! plans, calls models, and emits events.

mod options;

mod beam;
mod schedule;

mod events;
mod result;

mod input;
mod plan;

mod ascent;
mod copied;
mod evaluator;

pub use ascent::optimize;
pub use copied::CopiedPassage;
pub use events::{
    CandidateRecord, Event, EventSink, FinalCheck, FinalVerdict, Finished, Models, Outcome, Proposed, Ranked,
    Refreshed, Started, Step,
};
pub use input::{Options, SearchError, SearchInput};
pub use options::{Schedule, SearchOptions};
pub use plan::{Plan, RolePlan, plan};
pub use result::{Lineage, MisalignmentRate, SearchResult};
