//! Digests of the judge's and the optimizer's templates, rendered with fixed texts. The embedded
//! model is trained on exactly these templates; `models/triage/templates.json` holds the digests
//! that it was trained with. Also compiled into `tests/embedded_model.rs`, so it knows nothing of
//! the triage world.

use maspo::base::Digest;
use maspo::judge::template::{Question, ReplyForm, render};
use maspo::prompt::Slot;
use maspo::propose::template::{self, Evidence, OptimizerInput};
use maspo::templates::Templates;
use std::collections::BTreeMap;

/// Returns one digest per rendered template, by name.
pub(crate) fn digests() -> BTreeMap<&'static str, String> {
    let terse = Templates::terse();
    let question = |context| Question { role: "the role", question: "a query </data>", context, frozen: &[] };
    let answers = ["one answer".into(), "another".into()];
    let judge = |context| render(&terse.judge, &question(context), "", answers, ReplyForm::Letter);
    let frozen = ["<answer>label</answer>".to_string()];
    let evidence = |successors: Vec<(&'static str, &'static str)>, answer| Evidence {
        question: "a query",
        context: "a report",
        output: "an output that is longer than the excerpt",
        successors,
        answer,
        ..Evidence::default()
    };
    let brief = |cases, frozen| OptimizerInput {
        agent: "name",
        role: "the role",
        parent: "do it\n{context}",
        slots: &[Slot::Context],
        frozen,
        traces: vec![evidence(vec![("next", "its output")], Some("final"))],
        cases,
        excerpt_bytes: 30,
        ..OptimizerInput::default()
    };
    let plain = template::render(&terse.optimizer, &brief(vec![], &[]));
    let mined = template::render(&terse.optimizer, &brief(vec![evidence(vec![], None)], &frozen));
    [("judge", judge(None)), ("judge-context", judge(Some("a report"))), ("propose", plain), ("propose-cases", mined)]
        .into_iter()
        .map(|(name, messages)| (name, Digest::of(messages[0].content.as_bytes()).to_string()))
        .collect()
}
