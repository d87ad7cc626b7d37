//! Prompt texts: templates with slots, constraints on candidates, fences around quoted text, and
//! tagged passages in a model's output. Pure functions over text.

mod canonical;
mod constraints;
mod fence;
mod spelling;
mod tags;
mod template;

pub use canonical::{canonical, without_marks};
pub use constraints::{Constraints, PromptError, Rejection, Sanitized, sanitize};
pub use fence::{clip, fence};
pub use spelling::has_slot;
pub use tags::{Tag, last_tagged, tags};
pub use template::{Slot, Template};
