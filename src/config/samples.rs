//! Reads from `[eval]` how many samples of a case are scored, and how they are drawn.

use super::models::{TEMPERATURE, TOP_K, TOP_P};
use super::section::Section;
use crate::base::Rule;
use crate::eval::SampleOptions;

/// The values of `samples`.
pub(super) const SAMPLES: Rule = Rule::Whole(1, 1000);

/// The keys that say how several samples are drawn and counted.
const KEYS: [&str; 4] = ["pass_at", "temperature", "top_p", "top_k"];

/// Reads the keys; `None` if each case has one sample, or if there are faults, which are reported.
pub(super) fn read(section: &Section<'_>) -> Option<SampleOptions> {
    let before = section.faults.count();
    let samples = section.number("samples", SAMPLES).unwrap_or(1);
    let pass_at = section.get::<Vec<usize>>("pass_at");
    let temperature = section.real("temperature", TEMPERATURE);
    let top_p = section.real("top_p", TOP_P);
    let top_k = section.number("top_k", TOP_K).map(|top_k| u32::try_from(top_k).unwrap_or(u32::MAX));
    if section.faults.count() > before {
        return None;
    }
    if samples == 1 {
        for key in KEYS.into_iter().filter(|key| section.has(key)) {
            section.fault(key, "is for several samples of a case: set `samples` to more than 1");
        }
        return None;
    }
    if temperature == Some(0.0) {
        section.fault("temperature", "is 0, which makes all samples of a case equal");
    }
    let pass_at = pass_at.unwrap_or_else(|| vec![1, samples]);
    if let Some(at) = (0..pass_at.len()).find(|at| pass_at[..*at].contains(&pass_at[*at])) {
        section.fault("pass_at", &format!("holds {} twice", pass_at[at]));
    }
    if let Some(k) = pass_at.iter().find(|k| !(1..=samples).contains(k)) {
        section.fault("pass_at", &format!("holds {k}; it can hold numbers from 1 to `samples` = {samples}"));
    }
    (section.faults.count() == before).then_some(SampleOptions { samples, pass_at, temperature, top_p, top_k })
}
