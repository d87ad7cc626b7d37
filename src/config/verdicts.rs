//! Reads from `[eval]` whether verdicts are read, and what becomes of them.

use super::section::Section;
use crate::base::Rule;
use crate::eval::VerdictOptions;
use crate::task::{Scorer, normalised};

/// The values of `max_fpr`. So low a rate takes some thirty thousand negative cases.
pub(super) const MAX_FPR: Rule = Rule::Real(0.0001, 0.5);
/// The values of `unsure_below`.
pub(super) const UNSURE_BELOW: Rule = Rule::NOT_NEGATIVE;

/// The keys that say what becomes of verdicts.
const KEYS: [&str; 3] = ["positive", "max_fpr", "unsure_below"];

/// Reads the keys; `None` if no verdicts are read, or if there are faults, which are reported.
/// `scorer` is the scorer unless it has faults.
pub(super) fn read(section: &Section<'_>, scorer: Option<&Scorer>) -> Option<VerdictOptions> {
    let before = section.faults.count();
    let wanted: Option<bool> = section.get("verdicts");
    let positive: Option<Vec<String>> = section.get("positive");
    let max_fpr = section.real("max_fpr", MAX_FPR);
    let unsure_below = section.real("unsure_below", UNSURE_BELOW);
    if section.faults.count() > before {
        return None;
    }
    if wanted != Some(true) {
        for key in KEYS.into_iter().filter(|key| section.has(key)) {
            section.fault(key, "is for verdicts: set `verdicts = true`");
        }
        return None;
    }
    let labels = match scorer? {
        Scorer::Label { labels } => labels,
        _ => {
            section.fault("verdicts", "is for `scorer = \"label\"` only");
            return None;
        }
    };
    if section.number("samples", super::samples::SAMPLES).is_some_and(|samples| samples > 1) {
        section.fault("verdicts", "is for one answer of a case: leave out `samples`");
    }
    let mut known = Vec::new();
    for text in positive.iter().flatten() {
        let found = labels.iter().find(|label| normalised(label) == normalised(text));
        match found {
            Some(label) if !known.contains(label) => known.push(label.clone()),
            Some(label) => section.fault("positive", &format!("holds {label:?} twice")),
            None => {
                section.fault("positive", &format!("holds {text:?}, which is not one of `labels`"));
            }
        }
    }
    if positive.is_some() && (known.is_empty() || known.len() == labels.len()) && section.faults.count() == before {
        section.fault("positive", "must hold some of the labels, and not all of them");
    }
    if max_fpr.is_some() && positive.is_none() {
        section.fault("max_fpr", "needs `positive`, the labels of the cases that are to be found");
    }
    let options = VerdictOptions { labels: labels.clone(), positive: known, max_fpr, unsure_below };
    (section.faults.count() == before).then_some(options)
}
