//! `maspo report`: one page that shows what a run found and hides nothing that is missing; hostile
//! texts stay text; nothing is loaded; and nothing but an earlier report is overwritten.

use futures::executor::block_on;
use maspo::base::Digest;
use maspo::chat::{ChatModel, ScriptedModel};
use maspo::config::{ModelCheck, load};
use maspo::engine::Backend;
use maspo::engine::qwen3::Dtype;
use maspo::report::EgressLock;
use maspo::run::{Opened, RecordedRun, Silent, Start};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// What a page may have at most.
const MOST_BYTES: usize = 3_000_000;

/// Markup, scripts, styles, template syntax, marks that turn text around, and control characters.
const HOSTILE: &str = "<script>window.pwned=1</script><img src=x onerror=\"window.pwned=1\">\
    <svg onload=window.pwned=1></svg></pre></details></style><style>body{display:none}</style>\
    <a href=\"javascript:window.pwned=1\">x</a>' onfocus='window.pwned=1' \" autofocus=\"\
    {{ 7*7 }}{% raw %}\u{202e}desrever\u{2066}\u{200f}\u{1b}[31m\u{7}\u{9b}\u{200b}\
    z\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn maspo(arguments: &[&str], cwd: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    command.args(arguments).current_dir(cwd).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    stderr
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(words), "{stderr}");
}

/// A folder with a small run of the demonstration experiment in `runs/tiny`.
fn small_run(more: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = root().join("models/triage");
    for (name, rows) in [("pool.jsonl", 12), ("test.jsonl", 30)] {
        let text = fs::read_to_string(data.join(name)).unwrap();
        let few: String = text.lines().take(rows).flat_map(|line| [line, "\n"]).collect();
        fs::write(dir.path().join(name), few).unwrap();
    }
    let config = fs::read_to_string(root().join("configs/triage.toml")).unwrap();
    let config = config.replace("../models/triage/train.jsonl", data.join("train.jsonl").to_str().unwrap());
    fs::write(dir.path().join("tiny.toml"), config.replace("../models/triage/", "")).unwrap();
    let mut arguments = vec!["optimize", "tiny.toml", "--out", "runs/tiny"];
    for set in ["search.rounds=1", "search.steps=2", "search.batch=4", "search.final_check=4"] {
        arguments.extend(["--set", set]);
    }
    arguments.extend(more);
    done(&maspo(&arguments, dir.path()));
    dir
}

fn page(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

/// Returns the text between two marks.
fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    text.split_once(open).unwrap_or_else(|| panic!("there is no {open}")).1.split_once(close).unwrap().0
}

/// Checks what holds for every page, whatever is on it.
#[track_caller]
fn check_closed(html: &str) {
    assert!(html.len() < MOST_BYTES, "{} bytes", html.len());
    // One script and one style, both with their hash in the policy, which allows nothing else.
    let policy = between(html, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let policy = unescaped(policy);
    for (name, open, close) in [("script", "<script>", "</script>"), ("style", "<style>", "</style>")] {
        assert_eq!(html.matches(&format!("<{name}")).count(), 1, "{name}");
        let hash = base64(&Sha256::digest(between(html, open, close).as_bytes()));
        assert!(policy.contains(&format!("{name}-src 'sha256-{hash}'")), "{policy} has not {hash}");
    }
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    for element in ["<img", "<iframe", "<object", "<embed", "<link", "<base", "<form", "<video", "<svg on", "<math"] {
        assert!(!html.contains(element), "{element}");
    }
    let markup = html.replace(between(html, "<script>", "</script>"), "");
    for tag in markup.replace(between(html, "<style>", "</style>"), "").split('<').skip(1) {
        // What stands between quotes is data; the rest is what the browser acts on.
        let names: String = tag.split('>').next().unwrap().split('"').step_by(2).collect();
        let acts = |word: &str| ["src", "style", "on"].iter().any(|name| word.starts_with(name)) && word.contains('=');
        assert!(!names.split_whitespace().any(acts), "<{names}>");
    }
    for target in html.split("href=\"").skip(1) {
        let target = unescaped(target.split('"').next().unwrap());
        assert!(target.starts_with('#') || target.starts_with("./"), "{target}");
    }
    let hidden = |c: &char| match c {
        '\n' | '\t' => false,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        c => c.is_control(),
    };
    assert_eq!(html.chars().find(hidden), None);
}

/// Returns the text that the templates escaped.
fn unescaped(html: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")]
        .iter()
        .fold(html.to_string(), |text, (code, plain)| text.replace(code, plain))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_run_is_one_page_with_its_evidence() {
    let dir = small_run(&[]);
    let stderr = done(&maspo(&["report", "runs/tiny", "--traces", "all cases"], dir.path()));
    assert_eq!(stderr, "");
    let html = page(dir.path(), "report.html");
    check_closed(&html);
    let result: serde_json::Value = serde_json::from_str(&page(dir.path(), "runs/tiny/result.json")).unwrap();
    let verdict = match &result["difference"]["ci95"] {
        ci if ci[0].as_f64().unwrap() > 0.0 => "Better",
        ci if ci[1].as_f64().unwrap() < 0.0 => "Worse",
        _ => "No difference shown",
    };
    assert!(between(&html, "verdict-words\">", "</p>").contains(verdict), "{verdict}");
    let after = &result["optimized_accuracy"];
    assert!(html.contains(&format!("{} of 30 held-out cases right", after["correct"])));
    // Every part is there, with what the run knows and what only its experiment knows.
    for words in [
        "What changed",
        "Which change did it",
        "What it cost",
        "What got worse",
        "Confusion of labels",
        "Over tokens",
        "Over time",
        "Lineage of every candidate",
        "both orders agreed",
        "List the facts of the session.",
        "kernel sets",
        "data: pool",
        "maspo optimize tiny.toml",
        result["result_hash"].as_str().unwrap(),
    ] {
        assert!(html.contains(words), "{words}");
    }
    assert!(html.contains("with the seed prompts") && html.contains("<p class=\"who\">Question</p>"));
    // Nothing is said of what the run does not have.
    assert!(!html.contains("r1-gate") && !html.contains("r1-verdicts") && !html.contains("By the gate"));
    // All cases are on the pages that it links to.
    assert!(unescaped(&html).contains("href=\"./all%20cases/run-1-cases-0001.html\""));
    let cases = page(dir.path(), "all cases/run-1-cases-0001.html");
    check_closed(&cases);
    assert_eq!(cases.matches("<details class=\"case").count(), 30);

    // The same run gives the same page, wherever it is and from wherever it is looked at.
    done(&maspo(&["report", "runs/tiny", "--traces", "all cases"], dir.path()));
    assert_eq!(page(dir.path(), "report.html"), html);
    let elsewhere = tempfile::tempdir().unwrap();
    let run = dir.path().join("runs/tiny");
    let stderr = done(&maspo(&["report", run.to_str().unwrap()], elsewhere.path()));
    assert_eq!(stderr, "", "the experiment is found beside the run");

    // Two runs are compared; both are there in full.
    done(&maspo(&["report", "runs/tiny", "runs/tiny", "--out", "two.html"], dir.path()));
    let two = page(dir.path(), "two.html");
    check_closed(&two);
    assert!(two.contains("Runs side by side") && two.contains("id=\"r2-cases\""));
}

#[test]
fn what_is_missing_is_said() {
    let dir = small_run(&[]);
    // Other data than that of the run is not shown as if it were.
    let test = page(dir.path(), "test.jsonl");
    fs::write(dir.path().join("test.jsonl"), test.replacen("session", "sessions", 1) + "\n").unwrap();
    let swapped: String = test.lines().rev().flat_map(|line| [line, "\n"]).collect();
    fs::write(dir.path().join("test.jsonl"), swapped).unwrap();
    let stderr = done(&maspo(&["report", "runs/tiny"], dir.path()));
    assert!(stderr.contains("the experiment or its data is another one now"), "{stderr}");
    let html = page(dir.path(), "report.html");
    check_closed(&html);
    assert!(html.contains("cannot be read again") && !html.contains("Confusion of labels"));
    assert!(html.contains("held-out cases right"), "what the run itself records is there");

    // An unfinished run shows what there is.
    let database = rusqlite::Connection::open(dir.path().join("runs/tiny/run.sqlite")).unwrap();
    database.execute("DELETE FROM meta WHERE name = 'result' OR name LIKE 'evaluation.%'", []).unwrap();
    database.execute("DELETE FROM events WHERE seq > 4", []).unwrap();
    // Nor has an older run what this version records for the page.
    database.execute("DELETE FROM meta WHERE name IN ('team', 'kernels') OR name LIKE 'spent.%'", []).unwrap();
    drop(database);
    done(&maspo(&["report", "runs/tiny"], dir.path()));
    let html = page(dir.path(), "report.html");
    check_closed(&html);
    assert!(between(&html, "verdict-words\">", "</p>").contains("Unfinished"));
    assert!(html.contains("of 6 steps are done") && html.contains("--resume"));
    assert!(html.contains("The bill is written when the run is finished."));
    assert!(html.contains("The edges of the team are not recorded") && html.contains("Over steps"));
    assert!(!html.contains("Over tokens") && !html.contains("kernel sets"));
}

#[test]
fn a_method_that_ends_with_another_system_shows_it() {
    let dir = small_run(&["--set", "method=sc"]);
    done(&maspo(&["report", "runs/tiny"], dir.path()));
    let html = page(dir.path(), "report.html");
    check_closed(&html);
    assert!(html.contains("5 runs at temperature 0.7, which vote"), "the system's rule");
    assert!(html.contains("The system as a whole") && html.contains("not a run of this team"));
}

#[test]
fn what_the_gate_found_is_shown() {
    let dir = small_run(&["--set", "search.gate=anytime", "--set", "search.gate_alpha=0.5"]);
    done(&maspo(&["report", "runs/tiny"], dir.path()));
    let html = page(dir.path(), "report.html");
    check_closed(&html);
    let result: serde_json::Value = serde_json::from_str(&page(dir.path(), "runs/tiny/result.json")).unwrap();
    let gate = between(&html, "id=\"r1-gate\"", "</section>");
    assert!(gate.contains("6 queries were held back") && gate.contains("is at most 0.5, "), "{gate}");
    let tests = result["gate"]["tests"].as_array().unwrap();
    assert_eq!(gate.matches("<tr><th scope=\"row\"").count(), tests.len());
    for change in result["gate"]["changes"].as_array().unwrap() {
        let line = between(gate, &format!("<b dir=\"auto\">{}</b>", change["agent"].as_str().unwrap()), "</li>");
        assert_eq!(line.contains("its change helps"), change["helps"].as_bool().unwrap(), "{line}");
        let back = !change["helps"].as_bool().unwrap() && !change["kept"].as_bool().unwrap();
        assert_eq!(line.contains("taken back"), back, "{line}");
    }
    let card = between(&html, "<dt>Which change did it</dt>", "</dd>");
    let words = match tests[0]["shown"].as_bool().unwrap() {
        true => "The gate shows that",
        false => "The gate did not show the new prompts to be better, so all changes are taken back.",
    };
    assert!(card.contains(words), "{card}");
    assert!(!between(&html, "<div class=\"verdict ", "</div>").contains("sign test"), "it stopped when it had enough");
}

#[test]
fn verdicts_on_labels_are_drawn() {
    let positive = "eval.positive=[\"scraper\",\"stuffing\",\"scalper\"]";
    let sets = ["eval.verdicts=true", positive, "eval.max_fpr=0.2", "eval.unsure_below=2"];
    let dir = small_run(&sets.map(|set| ["--set", set]).concat());
    done(&maspo(&["report", "runs/tiny"], dir.path()));
    let html = page(dir.path(), "report.html");
    check_closed(&html);
    let result: serde_json::Value = serde_json::from_str(&page(dir.path(), "runs/tiny/result.json")).unwrap();
    let verdicts = between(&html, "id=\"r1-verdicts\"", "</section>");
    for name in ["roc_area", "average_precision"] {
        let figure = |value: &serde_json::Value| format!("{:.3}", value.as_f64().unwrap());
        let (value, interval) = (&result["verdicts"][name]["value"], &result["verdicts"][name]["ci95"]);
        let (low, high) = (figure(&interval[0]), figure(&interval[1]));
        // Once in the list, once with the curve.
        let words = format!("{} (95 % interval {low} to {high})", figure(value));
        assert!(verdicts.matches(&words).count() >= 2, "{name}: {words}");
    }
    let above = result["verdicts"]["threshold"]["above"].as_f64().unwrap();
    assert!(verdicts.contains(&format!("score above {above:+.3} for at most 0.2 false positives")), "{verdicts}");
    for words in
        ["ROC curve", "Precision over recall", "Risk over coverage", "scraper, stuffing, scalper", ">threshold<"]
    {
        assert!(verdicts.contains(words), "{words}");
    }
    assert_eq!(verdicts.matches("<svg class=\"chart\"").count(), 3);
    assert!(verdicts.contains("(below it, unsure)") && verdicts.contains("lead of 2.00 nats"));
}

#[test]
fn private_data_stays_private() {
    let dir = small_run(&["--set", "data.private=true"]);
    done(&maspo(&["report", "runs/tiny", "--traces", "traces"], dir.path()));
    let html = page(dir.path(), "report.html");
    check_closed(&html);
    assert!(html.contains("the data is private") && !dir.path().join("traces").exists());
    for line in page(dir.path(), "test.jsonl").lines().chain(page(dir.path(), "pool.jsonl").lines()) {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let question = row["question"].as_str().unwrap();
        assert!(!html.contains(&question[..question.len().min(30)]), "{question}");
    }
}

#[test]
fn wrong_input_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let report = |arguments: &[&str]| maspo(&[&["report"], arguments].concat(), dir.path());
    refused(&report(&[]), 2, "required arguments");
    refused(&report(&["nowhere"]), 2, "nowhere");
    fs::create_dir(dir.path().join("empty")).unwrap();
    refused(&report(&["empty"]), 2, "there is no run in empty");
    fs::write(dir.path().join("notes.html"), "my notes").unwrap();
    refused(&report(&["empty", "--out", "notes.html"]), 2, "is no report of maspo: choose another file with --out");
    refused(&report(&["empty", "--out", "."]), 2, "is a folder");
    assert_eq!(page(dir.path(), "notes.html"), "my notes");
    refused(&report(&["empty"; 65]), 2, "a page holds 64");
}

/// Opens scripted models for all roles.
fn scripted(model: ScriptedModel) -> Opened {
    let model: Arc<dyn ChatModel> = Arc::new(model);
    Opened {
        roles: [model.clone(), model.clone(), model],
        dtypes: vec![Dtype::Auto; 3],
        backend: Backend::Native,
        kernels: vec![HOSTILE.to_string()],
        notes: vec![HOSTILE.to_string()],
    }
}

/// Writes an experiment whose data is hostile, and runs it on a model whose answers are hostile.
fn hostile_run(dir: &Path) -> PathBuf {
    let long = format!("{HOSTILE}{}", "A".repeat(1_000_000));
    let row = |at: usize| match at {
        0 => json!({ "id": HOSTILE, "question": &long, "label": "human" }),
        _ => json!({ "id": format!("{HOSTILE}{at}"), "question": format!("{HOSTILE} number {at}"), "label": HOSTILE }),
    };
    let rows = |range: std::ops::Range<usize>| range.map(|at| row(at).to_string() + "\n").collect::<String>();
    fs::write(dir.join("pool.jsonl"), rows(10..18)).unwrap();
    fs::write(dir.join("test.jsonl"), rows(0..6)).unwrap();
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let shown = HOSTILE.replace(|c: char| c.is_control(), "");
    let config = format!(
        r#"
        schema = 1
        name = "hostile"
        [model]
        path = "embedded:triage"
        [graph]
        topology = "sequential"
        [[agent]]
        name = "<img/src=x/onerror=window&pwned>"
        role = {role}
        prompt = {first}
        [[agent]]
        name = "last"
        role = {role}
        prompt = "Answer {{context}}"
        [data]
        pool = {{ file = "pool.jsonl", question = "question" }}
        test = {{ file = "test.jsonl", id = "id", question = "question", answer = "label" }}
        [eval]
        scorer = "text"
        [search]
        rounds = 1
        steps = 2
        batch = 4
        final_check = 4
        "#,
        role = text(&shown),
        first = text(&format!("{shown} Read {{question}}")),
    );
    fs::write(dir.join("hostile.toml"), config).unwrap();
    let settings = load(&dir.join("hostile.toml"), &[], false, ModelCheck::None).unwrap();
    let answer = format!("{HOSTILE} <answer>{HOSTILE}</answer>");
    let model = ScriptedModel::new(move |request| {
        let asked = &request.messages[request.messages.len() - 1].content;
        if request.sampling.temperature > 0.0 {
            let seed = request.sampling.seed;
            return format!("<change>{HOSTILE}</change><prompt>{HOSTILE} {seed} {{question}}</prompt>");
        }
        if asked.len() > 500_000 {
            answer.clone() + &"B".repeat(1_000_000)
        } else {
            format!("{answer} {}", asked.len())
        }
    })
    .with_scores(|request, _| {
        // Preferences that look random: about half of all comparisons are won.
        let odd = Digest::of(request.messages[0].content.as_bytes()).0[0].is_multiple_of(2);
        if odd { vec![-0.1, -2.4] } else { vec![-2.4, -0.1] }
    });
    let out = dir.join("run");
    let config = dir.join("hostile.toml");
    let arguments = ["optimize", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let arguments = arguments.map(String::from);
    let run = RecordedRun {
        settings: &settings,
        dir: &out,
        start: Start::Begin,
        arguments: &arguments,
        egress_lock: EgressLock::default,
    };
    block_on(run.carry_out_on(&scripted(model), &mut Silent)).unwrap();
    out
}

#[test]
fn hostile_texts_stay_texts() {
    let dir = tempfile::tempdir().unwrap();
    // A page of it can be kept for a look with a browser.
    let keep = std::env::var_os("MASPO_KEEP_REPORT").map(PathBuf::from);
    let run = hostile_run(dir.path());
    let stderr = done(&maspo(&["report", run.to_str().unwrap(), "--traces", "traces"], dir.path()));
    assert!(!stderr.contains("warning"), "{stderr}");
    for name in ["report.html", "traces/run-1-cases-0001.html"] {
        let html = page(dir.path(), name);
        check_closed(&html);
        assert!(html.contains("&lt;script&gt;window.pwned=1&lt;"), "{name}: the texts are there");
        assert!(html.contains("⟦U+202E⟧desrever⟦U+2066⟧") && html.contains("⟦U+001B⟧[31m"), "{name}");
        assert!(html.contains("{{ 7*7 }}{% raw %}") && !html.contains("49{%"), "{name}: no text is a template");
        assert!(html.contains("more characters]") && !html.contains(&"A".repeat(10_000)), "{name}: lines are cut");
        // Many runs share the room of a page.
        if name == "report.html" {
            let runs = [run.to_str().unwrap(); 6];
            done(&maspo(&[&["report", "--out", "many.html"], &runs[..]].concat(), dir.path()));
            let bytes = page(dir.path(), "many.html").len();
            assert!(bytes < 20_000_000, "{bytes}");
        }
        if let Some(keep) = &keep {
            fs::write(keep.join(format!("hostile-{}", name.replace('/', "-"))), html).unwrap();
        }
    }
}
