//! Reads which method runs, with its options, and the budget: `method`, `[methods]` and `[budget]`.

use super::section::Section;
use crate::base::Bounded;
use crate::chat::BudgetOptions;
use crate::method::{MethodKind, MethodOptions};
use crate::prompt::{Slot, Template};
use serde::de::DeserializeOwned;

/// Which method an experiment runs, and how much it may take.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MethodSettings {
    /// The method.
    pub kind: MethodKind,
    /// The options of the methods other than MASPO.
    pub options: MethodOptions,
    /// The hard limits of the run.
    pub budget: BudgetOptions,
}

/// Reads the keys. `labelled` says whether there are labelled training items.
pub(super) fn read(root: &Section<'_>, labelled: bool) -> MethodSettings {
    let kind: MethodKind = root.get("method").unwrap_or_default();
    let options: MethodOptions = section(root);
    let mut budget: BudgetOptions = section(root);
    if let Some(section) = root.section(BudgetOptions::SECTION)
        && let Some(file) = &budget.stop_file
    {
        budget.stop_file = Some(section.resolve("stop_file", &file.to_string_lossy()));
    }
    if let Some(section) = root.section(MethodOptions::SECTION)
        && let Some(prompt) = &options.prompt
    {
        let prompt = Template::new(prompt.as_str());
        if (prompt.count(Slot::Question), prompt.count(Slot::Context)) != (1, 0) {
            section.fault("prompt", "must have {question} exactly once, and no {context}");
        }
    }
    if kind.needs_labels(&options) && !labelled {
        let problem = format!("is \"{}\", which learns from labels: add labelled cases as `data.train`", kind.name());
        root.fault("method", &problem);
    }
    MethodSettings { kind, options, budget }
}

fn section<T: Bounded + DeserializeOwned + Default>(root: &Section<'_>) -> T {
    let Some(section) = root.section(T::SECTION) else { return T::default() };
    let options: T = section.options();
    for fault in options.out_of_bounds() {
        section.fault(fault.key, &format!("is {}; it must {}", fault.value, fault.rule));
    }
    options
}
