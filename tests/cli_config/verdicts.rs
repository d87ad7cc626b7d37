//! What `maspo eval` says of verdicts.

use super::experiment::Experiment;
use serde_json::Value;

/// The triage experiment with verdicts, and some of its cases.
fn triage() -> (Experiment, String) {
    let config = format!("{}/configs/triage.toml", env!("CARGO_MANIFEST_DIR"));
    let flags = "--set data.test.limit=40 --set eval.verdicts=true";
    (Experiment::new(), format!("{config} {flags} --set eval.positive=[\"scraper\",\"stuffing\",\"scalper\"]"))
}

#[track_caller]
fn json(experiment: &Experiment, args: &str) -> Value {
    let (code, stdout, stderr) = experiment.run(&format!("{args} --json"));
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).expect("one JSON object on stdout")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

#[test]
fn verdicts_say_how_likely_each_label_is() {
    let (experiment, config) = triage();
    let eval = json(&experiment, &format!("eval {config} --max-fpr 0.2 --set eval.unsure_below=2"));
    let verdicts = &eval["verdicts"];
    assert_eq!((&verdicts["n"], &verdicts["unread"]), (&40.into(), &0.into()));
    let items = verdicts["items"].as_array().expect("a list");
    for (verdict, item) in items.iter().zip(eval["items"].as_array().expect("a list")) {
        assert_eq!(verdict["id"], item["id"]);
        let list = |key: &str| verdict[key].as_array().expect("a list").iter().map(number).collect::<Vec<_>>();
        let (logprobs, probabilities) = (list("logprobs"), list("probabilities"));
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(logprobs.iter().map(|logprob| logprob.exp()).sum::<f64>() <= 1.0 + 1e-6);
        let positive: f64 = probabilities[1..].iter().sum();
        assert!((1.0 / (1.0 + (-number(&verdict["score"])).exp()) - positive).abs() < 1e-9);
        assert_eq!(verdict["unsure"], number(&verdict["margin"]) < 2.0);
        let above = number(&verdicts["threshold"]["above"]);
        assert_eq!(verdict["flagged"], number(&verdict["score"]) > above);
    }
    // The model's greedy answer is its likeliest one.
    assert!(verdicts["as_written"].as_u64() >= Some(38), "{}", verdicts["as_written"]);
    let threshold = &verdicts["threshold"];
    assert_eq!((&threshold["chosen_on"], &threshold["chosen"]["negatives"]), (&"train".into(), &28.into()));
    assert!(number(&threshold["chosen"]["fpr_bounds95"][1]) <= 0.2);
    assert_eq!(threshold["checked"]["negatives"], verdicts["roc"]["negatives"]);
    let unsure = items.iter().filter(|verdict| verdict["unsure"] == true).count() as u64;
    assert_eq!(verdicts["coverage"]["unsure_below"]["covered"], 40 - unsure);
    // Three calls for every case of `test` and of `train`, and one for its labels.
    assert_eq!(eval["ledger"]["worker"]["calls"], 4 * 140);
    assert_eq!(json(&experiment, &format!("eval {config} --max-fpr 0.2"))["verdicts"]["roc"], verdicts["roc"]);
}

#[test]
fn without_enough_negatives_there_is_no_threshold_but_the_number_needed() {
    let (experiment, config) = triage();
    let (code, stdout, _) = experiment.run(&format!("eval {config} --max-fpr 0.05"));
    assert_eq!(code, 0);
    let expected = "threshold  none: 28 negative cases in `train` cannot show a rate of false positives of at most \
        0.05; 59 are needed\n";
    assert!(stdout.contains(expected), "{stdout}");
    assert!(stdout.contains("\nROC area   0.") && stdout.contains("\ncoverage   lead of "), "{stdout}");
    let (code, stdout, _) = experiment.run(&format!("eval {config} --max-fpr 0.2 --split train"));
    assert_eq!(code, 0);
    assert!(stdout.contains("           not checked: these are the cases that it was chosen on\n"), "{stdout}");
}

#[test]
fn a_run_reports_the_verdicts_of_the_prompts_that_it_ends_with() {
    let (experiment, config) = triage();
    let small = "--set search.rounds=1 --set search.steps=1 --set search.final_check=2 --set eval.max_fpr=0.2";
    let (code, stdout, stderr) = experiment.run(&format!("optimize {config} {small} --out run"));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("Verdicts on the held-out cases\n  ROC area           0."), "{stdout}");
    let result = std::fs::read_to_string(experiment.path("run/result.json")).expect("the result");
    let result: Value = serde_json::from_str(&result).expect("one JSON object");
    let eval = json(&experiment, &format!("eval {config} --max-fpr 0.2 --prompts run/prompts.json"));
    let (figures, verdicts) = (&result["verdicts"], &eval["verdicts"]);
    assert_eq!(figures["roc_area"]["value"], verdicts["roc"]["auc"]);
    assert_eq!(figures["average_precision"]["ci95"], verdicts["precision_recall"]["ci95"]);
    assert_eq!(figures["threshold"]["above"], verdicts["threshold"]["above"]);
    assert_eq!(figures["threshold"]["held_out_fpr"], verdicts["threshold"]["checked"]["fpr"]);
    // The same search without verdicts has the same result.
    let without = config.replace("eval.verdicts=true", "eval.verdicts=false");
    let without = without.split(" --set eval.positive").next().expect("the flags before");
    let small = small.replace(" --set eval.max_fpr=0.2", "");
    let (code, _, stderr) = experiment.run(&format!("optimize {without} {small} --out plain"));
    assert_eq!(code, 0, "{stderr}");
    let plain = std::fs::read_to_string(experiment.path("plain/result.json")).expect("the result");
    let plain: Value = serde_json::from_str(&plain).expect("one JSON object");
    assert_eq!((&plain["result_hash"], plain.get("verdicts")), (&result["result_hash"], None));
}
