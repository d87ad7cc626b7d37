//! Prompt texts: templates with slots, the constraints that a candidate must meet, fences around
//! foreign text, and tagged passages of what a model wrote. Pure functions over text.

mod constraints;
mod fence;
mod tags;
mod template;

pub use constraints::{Constraints, PromptError, Rejection, Sanitized, sanitize};
pub use fence::{clip, fence};
pub use tags::last_tagged;
pub use template::{Slot, Template};
