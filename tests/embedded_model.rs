//! The embedded model is trained on the judge's and the optimizer's templates, word for word: a change to a template needs a
//! new training.

#[path = "../examples/triage/templates.rs"]
mod templates;

#[test]
fn the_model_was_trained_on_the_templates_as_they_are() {
    let text = include_str!("../models/triage/templates.json");
    let trained: std::collections::BTreeMap<&str, String> = serde_json::from_str(text).expect("digests by name");
    assert_eq!(
        trained,
        templates::digests(),
        "a template has changed: retrain the model (models/triage/train), then run \
         `cargo run --release --example triage -- templates > models/triage/templates.json`"
    );
}
