//! Reads `[eval]`: how an answer is compared with the gold answer, and how many are.

use super::section::Section;
use crate::base::Rule;
use crate::eval::{SampleOptions, VerdictOptions};
use crate::task::{Pattern, Scorer, Tolerance, normalised};
use serde::Deserialize;

/// The values of a tolerance.
pub(super) const TOLERANCE: Rule = Rule::NOT_NEGATIVE;

/// How an answer is compared with the gold answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum ScorerKind {
    /// The last `<answer>…</answer>` is the gold label, whatever its case.
    Label,
    /// The last `<answer>…</answer>` names a choice from A to J.
    Letter,
    /// The last `<answer>…</answer>`, or the whole output without one, equals the gold answer but
    /// for white space and Unicode normal forms.
    Text,
    /// The answer in `\boxed{}`, in the last `<answer>…</answer>` or at the end equals the gold
    /// answer as mathematics.
    Math,
    /// The number in the last `<answer>…</answer>`, or the last number of the output without one,
    /// is the gold answer within `abs_tol` or `rel_tol`.
    Number,
    /// What `pattern` matches last equals the gold answer but for white space.
    Regex,
    /// `field` of the last JSON object in the output equals the gold answer.
    Json,
    /// The Python program in the output passes the tests of its row, in a sandbox.
    Code,
}

/// What a scorer is read from.
const HINT: &str =
    "labelled data needs a scorer: `label`, `letter`, `text`, `math`, `number`, `regex`, `json` or `code`";

/// The keys that belong to one kind of scorer, beside it.
const KEYS: [(&str, ScorerKind); 6] = [
    ("labels", ScorerKind::Label),
    ("round_to_gold", ScorerKind::Math),
    ("abs_tol", ScorerKind::Number),
    ("rel_tol", ScorerKind::Number),
    ("pattern", ScorerKind::Regex),
    ("field", ScorerKind::Json),
];

/// What the section says. What it does not say, or says with faults, is `None`.
#[derive(Default)]
pub(super) struct Scoring {
    /// How answers are scored.
    pub(super) scorer: Option<Scorer>,
    /// How several samples of a case are drawn.
    pub(super) samples: Option<SampleOptions>,
    /// How verdicts are read.
    pub(super) verdicts: Option<VerdictOptions>,
}

/// Reads the section; its faults are reported. `needed` says whether there are labelled cases.
pub(super) fn read(root: &Section<'_>, needed: bool) -> Scoring {
    let Some(section) = root.section("eval") else {
        if needed && root.entry("eval").is_none() {
            root.missing("eval.scorer", HINT);
        }
        return Scoring::default();
    };
    let kind: Option<ScorerKind> = if needed { section.require("scorer", HINT) } else { section.get("scorer") };
    let scorer = kind.and_then(|kind| options(&section, kind));
    let samples = super::samples::read(&section);
    let verdicts = super::verdicts::read(&section, scorer.as_ref());
    if section.has("unsafe_exec") {
        section.entry("unsafe_exec");
        section.fault("unsafe_exec", "is no key: an experiment file may come from others; use the flag --unsafe-exec");
    }
    section.finish();
    Scoring { scorer, samples, verdicts }
}

fn options(section: &Section<'_>, kind: ScorerKind) -> Option<Scorer> {
    for (key, of) in KEYS {
        // Whatever the scorer is, the key is a known one.
        section.entry(key);
        if of != kind && section.has(key) {
            section.fault(key, &format!("is for `scorer = \"{}\"` only", name(of)));
        }
    }
    match kind {
        ScorerKind::Label => labels(section),
        ScorerKind::Letter => Some(Scorer::Letter),
        ScorerKind::Text => Some(Scorer::Text),
        ScorerKind::Math => Some(Scorer::Math { round_to_gold: section.get("round_to_gold").unwrap_or(false) }),
        ScorerKind::Number => {
            let tolerance = |key| section.real(key, TOLERANCE).unwrap_or(0.0);
            Some(Scorer::Number { tolerance: Tolerance { abs: tolerance("abs_tol"), rel: tolerance("rel_tol") } })
        }
        ScorerKind::Regex => {
            let text = section.require_text("pattern", "a regular expression; its first group is the answer")?;
            match Pattern::new(&text) {
                Ok(pattern) => Some(Scorer::Regex { pattern }),
                Err(error) => {
                    section.fault("pattern", &format!("is no regular expression: {error}"));
                    None
                }
            }
        }
        ScorerKind::Json => {
            let field = section.require_text("field", "the field of the output's last JSON object, e.g. `verdict`")?;
            Some(Scorer::Json { field })
        }
        ScorerKind::Code => Some(Scorer::Code { unsafe_exec: false }),
    }
}

fn labels(section: &Section<'_>) -> Option<Scorer> {
    let Some(labels) = section.get::<Vec<String>>("labels") else {
        if section.entry("labels").is_none() {
            section.missing("labels", "the `label` scorer needs the allowed answers, e.g. labels = [\"yes\", \"no\"]");
        }
        return None;
    };
    let plain: Vec<_> = labels.iter().map(|label| normalised(label)).collect();
    if let Some(at) = (0..plain.len()).find(|at| plain[*at].is_empty() || plain[..*at].contains(&plain[*at])) {
        section.fault("labels", &format!("holds {:?}, which is empty or stands twice", labels[at]));
    }
    if labels.len() < 2 {
        section.fault("labels", "needs at least two labels");
    }
    Some(Scorer::Label { labels })
}

fn name(kind: ScorerKind) -> String {
    format!("{kind:?}").to_lowercase()
}
