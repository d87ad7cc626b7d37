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

mod gate;

mod ascent;
mod candidates;
mod closing;
mod copied;
mod evaluator;
mod racing;

pub use ascent::optimize;
pub(crate) use beam::round_score;
pub use copied::CopiedPassage;
pub(crate) use copied::find as find_copied;
pub(crate) use events::EVENTS_VERSION;
pub use events::{
    CandidateRecord, Counters, Event, EventSink, FinalCheck, FinalVerdict, Finished, Learned, Models, Outcome,
    Proposed, Ranked, Refreshed, Started, Step, Stopped, Trial,
};
pub use gate::{GateEnd, GateTest, Tested};
pub use input::{Options, SearchError, SearchInput};
pub use options::{GateMode, Schedule, SearchOptions};
pub use plan::{Plan, RolePlan, plan};
pub(crate) use plan::{judge_cost, team_cost};
pub use result::{Lineage, MisalignmentRate, SearchResult};
pub(crate) use schedule::{draw_batch, optimizable};
