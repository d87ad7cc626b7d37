//! The sections that are one options struct each: `[search]` and its parts, and `[engine]`. What
//! their numbers may be is declared beside the structs; what is checked here is what no single
//! number can say.

use super::section::Section;
use crate::base::Bounded;
use crate::engine::EngineOptions;
use crate::judge::JudgeOptions;
use crate::misalignment::{MisalignmentOptions, Sampling};
use crate::reward::RewardOptions;
use crate::search::Options;
use serde::de::DeserializeOwned;

/// Reads the sections of the search and its parts.
pub(super) fn read(root: &Section<'_>) -> Options {
    Options {
        search: section(root, |_, _| {}),
        reward: section(root, check_reward),
        judge: section(root, check_judge),
        misalignment: section(root, check_misalignment),
        propose: section(root, |_, _| {}),
        rollout: section(root, |_, _| {}),
        // `[templates]` is no struct of options.
        templates: None,
    }
}

/// Reads `[engine]`.
pub(super) fn read_engine(root: &Section<'_>) -> EngineOptions {
    section(root, |_, _| {})
}

/// Reads the section of `T`, reports every number that is outside its bounds, and then does
/// `check`.
fn section<T: Bounded + DeserializeOwned + Default>(root: &Section<'_>, check: fn(&Section<'_>, &T)) -> T {
    let Some(section) = root.section(T::SECTION) else { return T::default() };
    let options: T = section.options();
    for fault in options.out_of_bounds() {
        section.fault(fault.key, &format!("is {}; it must {}", fault.value, fault.rule));
    }
    check(&section, &options);
    options
}

fn check_reward(section: &Section<'_>, options: &RewardOptions) {
    if [options.local, options.lookahead, options.global].iter().all(|weight| *weight == 0.0) {
        section.fault("local", "and `lookahead` and `global` are all 0; at least one must be positive");
    }
}

fn check_judge(section: &Section<'_>, options: &JudgeOptions) {
    if options.rubrics.iter().any(|rubric| rubric.trim().is_empty()) {
        section.fault("rubrics", "holds an empty text");
    }
}

fn check_misalignment(section: &Section<'_>, options: &MisalignmentOptions) {
    let MisalignmentOptions { sampling, shown, capacity } = *options;
    if sampling != Sampling::Off && capacity < shown {
        section.fault("capacity", &format!("is {capacity}, fewer than the {shown} cases that `shown` asks for"));
    }
}
