//! Where labels come from: methods that learn from labels get those of `data.train`, and nothing of
//! the test reaches a method.

use maspo::Optimizer;
use maspo::chat::{ChatModel, ModelRole, Request, ScriptedModel};
use maspo::config::{ModelCheck, Settings, load};
use maspo::search::SearchResult;
use std::path::Path;
use std::sync::Arc;

/// The experiment with a method and small sizes.
fn settings(sets: &[&str]) -> Settings {
    let small = ["search.batch=4", "methods.train_items=12", "methods.trials=4", "methods.startup=1"];
    let sets: Vec<String> = small.iter().chain(sets).map(|set| (*set).to_string()).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/triage-hierarchical.toml");
    load(&path, &sets, false, ModelCheck::None).expect("a sound experiment")
}

/// Runs the method on models that answer by the length of what they read, and returns the result
/// with all messages that the models got.
fn run(settings: &Settings) -> (SearchResult, Vec<String>) {
    let reply = |request: &Request| {
        let length = request.messages[0].content.len();
        let label = if length.is_multiple_of(2) { "scraper" } else { "human" };
        format!(
            "<prompt>Look at {{question}} {{context}} {}.\n<answer>label</answer></prompt><answer>{label}</answer>",
            length % 7
        )
    };
    let model = Arc::new(ScriptedModel::new(reply));
    let models = ModelRole::ALL.map(|_| -> Arc<dyn ChatModel> { model.clone() });
    let result = Optimizer::of_settings(settings, models).run().expect("a run");
    let messages = model.seen().into_iter().flat_map(|request| request.messages).map(|message| message.content);
    (result, messages.collect())
}

#[test]
fn methods_that_learn_from_labels_cannot_read_those_of_the_test() {
    for sets in [
        &["method=agentdropout"][..],
        &["method=tpe", "methods.feedback=labels"],
        &["method=gepa", "methods.feedback=labels"],
    ] {
        let settings = settings(sets);
        let (result, messages) = run(&settings);
        assert_eq!(result.labelled, 12, "{sets:?}");
        let test = settings.test.as_ref().expect("the experiment has a test");
        for case in test {
            let question = &*case.query.question;
            assert!(messages.iter().all(|message| !message.contains(question)), "{sets:?}: {question}");
        }
        // Other labels of the test, or no test at all, change nothing.
        let mut other = settings.clone();
        other.test.iter_mut().flatten().for_each(|case| case.answer = "nonsense".to_string());
        assert!(run(&other).0 == result, "{sets:?}");
        other.test = None;
        assert!(run(&other).0 == result, "{sets:?}");
        // Other labels to learn from do.
        let mut other = settings.clone();
        let train = other.train.iter_mut().flatten();
        train
            .enumerate()
            .for_each(|(at, case)| case.answer = if at % 2 == 0 { "scraper" } else { "human" }.to_string());
        assert!(run(&other).0 != result, "{sets:?}");
    }
}

#[test]
fn methods_without_labels_look_at_no_labelled_row() {
    for method in ["maspo", "spo", "tpe", "gepa", "random"] {
        let mut settings =
            settings(&[&format!("method={method}"), "search.rounds=1", "search.steps=1", "methods.rounds=1"]);
        let (result, messages) = run(&settings);
        assert_eq!(result.labelled, 0, "{method}");
        for case in settings.train.iter().chain(&settings.test).flatten() {
            let question = &*case.query.question;
            assert!(messages.iter().all(|message| !message.contains(question)), "{method}: {question}");
        }
        (settings.train, settings.test, settings.scorer) = (None, None, None);
        assert!(run(&settings).0 == result, "{method}");
    }
}
