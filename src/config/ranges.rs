//! What the options' numbers may be, beyond their types.

use super::section::Section;
use crate::engine::EngineOptions;
use crate::judge::JudgeOptions;
use crate::misalignment::{MisalignmentOptions, Sampling};
use crate::propose::ProposeOptions;
use crate::reward::RewardOptions;
use crate::rollout::RolloutOptions;
use crate::search::{Options, SearchOptions};

/// Most generations of successors that a lookahead judges (the ablation's largest).
const MAX_LOOKAHEAD_DEPTH: usize = 3;
/// Most compute threads.
const MAX_THREADS: usize = 1024;
/// Most tokens drafted per step.
const MAX_DRAFT_TOKENS: usize = 64;
/// Tokens per K/V block that the engine has kernels for.
const BLOCK_TOKENS: [usize; 3] = [16, 32, 64];

/// Reads the sections of the search and its parts.
pub(super) fn read(root: &Section<'_>) -> Options {
    Options {
        search: section(root, "search", check_search),
        reward: section(root, "reward", check_reward),
        judge: section(root, "judge", check_judge),
        misalignment: section(root, "misalignment", check_misalignment),
        propose: section(root, "propose", check_propose),
        rollout: section(root, "rollout", check_rollout),
    }
}

/// Reads `[engine]`.
pub(super) fn read_engine(root: &Section<'_>) -> EngineOptions {
    section(root, "engine", check_engine)
}

fn section<T>(root: &Section<'_>, name: &'static str, check: impl Fn(&Section<'_>, &T)) -> T
where
    T: serde::de::DeserializeOwned + Default,
{
    let Some(section) = root.section(name) else { return T::default() };
    let options = section.options();
    check(&section, &options);
    options
}

fn at_least_1(section: &Section<'_>, numbers: &[(&str, usize)]) {
    for (key, _) in numbers.iter().filter(|(_, number)| *number == 0) {
        section.fault(key, "is 0; it must be at least 1");
    }
}

fn not_negative(section: &Section<'_>, numbers: &[(&str, f64)]) {
    for (key, number) in numbers.iter().filter(|(_, number)| *number < 0.0) {
        section.fault(key, &format!("is {number}; it must not be negative"));
    }
}

fn check_search(section: &Section<'_>, options: &SearchOptions) {
    let SearchOptions { rounds, steps, beam, candidates, batch, final_check, refresh: _, schedule: _ } = *options;
    at_least_1(section, &[("rounds", rounds), ("steps", steps), ("beam", beam), ("candidates", candidates)]);
    at_least_1(section, &[("batch", batch), ("final_check", final_check)]);
}

fn check_reward(section: &Section<'_>, options: &RewardOptions) {
    let RewardOptions { local, lookahead, global, lookahead_depth } = *options;
    let weights = [("local", local), ("lookahead", lookahead), ("global", global)];
    not_negative(section, &weights);
    if weights.iter().all(|(_, weight)| *weight == 0.0) {
        section.fault("local", "and `lookahead` and `global` are all 0; at least one must be positive");
    }
    if !(1..=MAX_LOOKAHEAD_DEPTH).contains(&lookahead_depth) {
        section.fault("lookahead_depth", &format!("is {lookahead_depth}; it must be 1 to {MAX_LOOKAHEAD_DEPTH}"));
    }
}

fn check_judge(section: &Section<'_>, options: &JudgeOptions) {
    not_negative(section, &[("tie_band", options.tie_band)]);
    let mass = options.min_letter_mass;
    if !(0.0..=1.0).contains(&mass) {
        section.fault("min_letter_mass", &format!("is {mass}; it must be 0 to 1"));
    }
    at_least_1(section, &[("max_new_tokens", options.max_new_tokens)]);
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

fn check_propose(section: &Section<'_>, options: &ProposeOptions) {
    let ProposeOptions { temperature, max_new_tokens, traces: _, excerpt_bytes, max_prompt_bytes } = *options;
    not_negative(section, &[("temperature", temperature)]);
    let sizes =
        [("max_new_tokens", max_new_tokens), ("excerpt_bytes", excerpt_bytes), ("max_prompt_bytes", max_prompt_bytes)];
    at_least_1(section, &sizes);
}

fn check_rollout(section: &Section<'_>, options: &RolloutOptions) {
    let RolloutOptions { max_in_flight, summary_words } = *options;
    at_least_1(section, &[("max_in_flight", max_in_flight), ("summary_words", summary_words)]);
}

fn check_engine(section: &Section<'_>, options: &EngineOptions) {
    let EngineOptions {
        device: _,
        deterministic: _,
        threads,
        block_tokens,
        kv_dtype: _,
        kv_tokens,
        step_tokens,
        max_running,
        queue,
        prefix_reuse: _,
        weight_cache: _,
        worth_keeping: _,
        weight_folder: _,
        draft_tokens,
        draft_rows: _,
        models_to_open: _,
    } = *options;
    if !BLOCK_TOKENS.contains(&block_tokens) {
        section.fault("block_tokens", &format!("is {block_tokens}; it must be 16, 32 or 64"));
    }
    if draft_tokens > MAX_DRAFT_TOKENS {
        section.fault("draft_tokens", &format!("is {draft_tokens}; it must be 0 to {MAX_DRAFT_TOKENS}"));
    }
    let bounded = [
        ("threads", threads.unwrap_or(1), MAX_THREADS),
        ("kv_tokens", kv_tokens.unwrap_or(1), 1 << 28),
        ("step_tokens", step_tokens, 1 << 16),
        ("max_running", max_running, 1 << 12),
        ("queue", queue, 1 << 20),
    ];
    for (key, number, most) in bounded.into_iter().filter(|(_, number, most)| !(1..=*most).contains(number)) {
        section.fault(key, &format!("is {number}; it must be 1 to {most}"));
    }
}
