//! Prompt texts: templates with slots, constraints on candidates, fences around quoted text, and
//! tagged passages in a model's output. Pure functions over text.

mod constraints;
mod fence;
mod tags;
mod template;

pub use constraints::{Constraints, PromptError, Rejection, Sanitized, sanitize};
pub use fence::{clip, fence};
pub use tags::last_tagged;
pub use template::{Slot, Template};
