//! Bundles as files: what is refused, what is hashed, and how releases come and go.

use super::*;
use crate::base::{Digest, Seed};
use crate::chat::{Decoding, ModelIdentity};
use crate::engine::qwen3::Dtype;
use crate::prompt::Template;
use crate::report::{Estimate, VerdictFigures};
use crate::rollout::{AnswerRule, SystemEdge};
use std::fs;
use std::path::{Path, PathBuf};

fn agent(name: &str, prompt: &str) -> TeamAgent {
    TeamAgent {
        name: name.into(),
        role: "Says what it sees.".into(),
        max_new_tokens: 8,
        optimize: true,
        frozen: vec![],
        seed_prompt: Template::new(prompt),
    }
}

fn team() -> Team {
    Team {
        name: "tiny".into(),
        seed: Seed(7),
        graph: GraphPart {
            agents: vec![agent("look", "Look at {question}"), agent("say", "Say {context}")],
            edges: vec![SystemEdge { from: "look".into(), to: "say".into(), view: Default::default() }],
            rule: AnswerRule::Once,
        },
        templates: TemplatesPart {
            optimizer: "terse".into(),
            judge: "terse".into(),
            summary: "terse".into(),
            task: None,
            digest: Digest::of(b"templates"),
        },
        summary: SummaryPart { words: 30, request: "Summarize {output}".into() },
        task: TaskPart {
            question: vec!["question".into()],
            id: None,
            name_hint: None,
            max_prompt_bytes: 600,
            scorer: None,
            scorer_version: None,
            convention: None,
        },
        model: TeamModel {
            source: Some("embedded:triage".into()),
            dtype: Dtype::Auto,
            thinking: false,
            decoding: Decoding { temperature: Some(0.7), ..Decoding::default() },
            identity: Some(ModelIdentity { name: "triage".into(), digest: Digest::of(b"model") }),
        },
    }
}

fn bundle(look: &str) -> Bundle {
    let prompts = [("look".to_string(), look.to_string()), ("say".to_string(), "Say: {context}".to_string())];
    let evidence = Evidence {
        run: RunOrigin {
            name: "tiny".into(),
            seed: Seed(7),
            method: "maspo".into(),
            result_hash: Digest::of(b"result"),
            journal: Digest::of(b"journal"),
        },
        measured_by: MeasuredBy::Run,
        test: None,
        pool: JudgedEvidence::of(&[1.0, 0.5, 1.0 / 3.0], Seed(1)),
        verdicts: None,
    };
    Bundle::new(team(), &prompts, evidence, utc(0))
}

fn write(dir: &Path, name: &str, look: &str) -> PathBuf {
    let path = dir.join(name);
    bundle(look).write(&path).unwrap();
    path
}

#[test]
fn a_bundle_is_the_same_after_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "b.json", "Look well at {question} \u{202e}\u{1b}[31m\u{7f}");
    let read = Bundle::read(&path).unwrap();
    assert_eq!(read, bundle("Look well at {question} \u{202e}\u{1b}[31m\u{7f}"));
    assert_eq!(read.entries()[1], ("say".to_string(), "Say: {context}".to_string()));
    assert_eq!(open_prompts(&path).unwrap(), read.entries());
    // The hash is that of a text which any tool can make: sorted keys, no white space.
    assert_eq!(bundle("a {question}").hash, bundle("a {question}").sealed().hash);
    assert_ne!(bundle("a {question}").hash, bundle("b {question}").hash);
}

#[test]
fn verdicts_are_evidence_and_bundles_without_them_stay_as_they_were() {
    let plain = bundle("Look at {question}");
    let fields: Vec<String> = match serde_json::to_value(&plain.evidence).unwrap() {
        serde_json::Value::Object(fields) => fields.keys().cloned().collect(),
        other => panic!("{other}"),
    };
    assert_eq!(fields, ["run", "measured_by", "test", "pool"]);

    let mut with = plain.clone();
    with.evidence.verdicts = Some(VerdictFigures {
        positive: vec!["scraper".into()],
        unread: 0,
        log_loss: Some(0.5),
        calibration_error: Some(0.125),
        roc_area: Some(Estimate { value: 0.9, ci95: (0.85, 0.95) }),
        average_precision: None,
        threshold: None,
    });
    let with = with.sealed();
    assert_ne!(with.hash, plain.hash);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.json");
    with.write(&path).unwrap();
    assert_eq!(Bundle::read(&path).unwrap(), with);
}

#[test]
fn a_threshold_is_rounded_up_to_what_a_bundle_keeps() {
    for (exact, kept) in [(1.234_567_1, 1.234_568), (-2.5, -2.5), (-1.000_000_9, -1.0), (0.000_01, 0.0001)] {
        let up = super::file::rounded(exact, f64::ceil);
        // The rounding of the whole file leaves it as it is.
        assert_eq!((up, super::file::rounded(up, f64::round)), (kept, kept), "{exact}");
        assert!(up >= exact);
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "b.json", "Look at {question}, twice.");
    let bytes = fs::read(&path).unwrap();
    // Reading takes long without optimization, so every third byte stands for all.
    for at in (0..bytes.len()).step_by(3) {
        let mut changed = bytes.clone();
        // Some changes give another right JSON text: a letter, a digit, white space.
        changed[at] = match bytes[at] {
            b' ' => b'\t',
            b'\n' => b' ',
            b'0'..=b'8' | b'a'..=b'y' | b'A'..=b'Y' => bytes[at] + 1,
            _ => b'x',
        };
        fs::write(&path, &changed).unwrap();
        assert!(Bundle::read(&path).is_err(), "byte {at} of {}", bytes.len());
    }
    // So is a file that is longer or shorter.
    for changed in [[&bytes[..], b"\n"].concat(), bytes[..bytes.len() - 1].to_vec()] {
        fs::write(&path, &changed).unwrap();
        assert!(matches!(Bundle::read(&path), Err(BundleError::Form { .. })));
    }
}

#[track_caller]
fn refused(change: impl Fn(&mut Bundle), says: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.json");
    let mut changed = bundle("Look at {question}");
    change(&mut changed);
    // Whoever changes a bundle can make its hash right again; the graph must hold all the same.
    changed.sealed().write(&path).unwrap();
    let error = Bundle::read(&path).unwrap_err().to_string();
    assert!(error.contains(says) && error.contains("b.json"), "{error}");
}

#[test]
fn prompts_and_graph_must_fit_each_other() {
    refused(|b| b.prompts["look"] = "Look".into(), "agent `look`: the prompt lacks {question}");
    refused(|b| b.prompts["look"] = 7.into(), "there is no prompt for the agent `look`");
    refused(|b| drop(b.prompts.insert("else".into(), "x".into())), "`else`, which is no agent");
    refused(|b| b.team.graph.edges.clear(), "terminal agents");
    refused(|b| b.team.graph.edges[0].from = "nobody".into(), "`nobody`, which is no agent");
    refused(|b| b.team.name = "tiny\u{1b}[2J".into(), "the name \"tiny\\u{1b}[2J\" has a character");
    refused(|b| b.team.graph.agents[0].name = "l\u{202e}ook".into(), "has a character that no name can have");
    refused(|b| b.schema = 2, "has schema 2, and this maspo reads bundles of schema 1");
    refused(|b| b.kind = "else".into(), "is no bundle");
}

#[test]
fn other_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prompts.json");
    fs::write(&path, r#"{"look": "Look at {question}", "kind": "a prompt"}"#).unwrap();
    assert_eq!(open_prompts(&path).unwrap().len(), 2);
    assert!(matches!(open_bundle(&path), Err(BundleError::NotABundle { .. })));
    fs::write(&path, "[").unwrap();
    let error = open_prompts(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("prompts.json:1:0: invalid type: sequence, expected an object from agent names to prompts"),
        "{error}"
    );
    assert!(matches!(open_prompts(dir.path()), Err(BundleError::EmptyFolder { .. })));
    assert!(matches!(open_prompts(&dir.path().join("none")), Err(BundleError::Unreadable { .. })));
}

#[test]
fn releases_come_and_go_and_leave_their_history() {
    let dir = tempfile::tempdir().unwrap();
    let (live, bundles) = (dir.path().join("live"), dir.path());
    let [a, b, c] = ["a", "b", "c"].map(|name| write(bundles, name, &format!("{name} {{question}}")));
    let hash = |path: &Path| Bundle::read(path).unwrap().hash;
    let current = || Bundle::read(&live.join("bundle.json")).unwrap().hash;

    assert!(matches!(rollback(&live), Err(BundleError::EmptyFolder { .. })));
    assert_eq!(promote(&a, &live).unwrap().before, None);
    assert!(matches!(rollback(&live), Err(BundleError::NothingEarlier { .. })));
    assert!(matches!(promote(&a, &live), Err(BundleError::AlreadyReleased { .. })));
    assert_eq!(promote(&b, &live).unwrap().before.unwrap().hash, hash(&a));
    // The folder of releases is taken where a bundle is.
    assert_eq!(open_bundle(&live).unwrap().hash, hash(&b));
    assert_eq!(rollback(&live).unwrap().current.hash, hash(&a));
    assert_eq!(current(), hash(&a));
    assert_eq!(promote(&c, &live).unwrap().current.number, 3);
    assert_eq!(promote(&a, &live).unwrap().current.number, 4);
    // A second rollback skips the bundle that the first one withdrew.
    assert_eq!(rollback(&live).unwrap().current.hash, hash(&c));
    assert_eq!(rollback(&live).unwrap().current.hash, hash(&a));
    assert_eq!(releases(&live).unwrap().len(), 1);
    assert_eq!(fs::read_dir(live.join("history")).unwrap().count(), 4, "nothing was removed");
}

#[test]
fn a_killed_promotion_never_counted_and_two_at_once_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let [a, b] = ["a", "b"].map(|name| write(dir.path(), name, &format!("{name} {{question}}")));
    promote(&a, &live).unwrap();
    promote(&b, &live).unwrap();
    // Killed after the history was written, before the bundle in use was replaced.
    fs::copy(&a, live.join("bundle.json")).unwrap();
    let again = promote(&b, &live).unwrap();
    assert_eq!((again.current.number, again.before.unwrap().number), (3, 1));
    assert_eq!(releases(&live).unwrap().len(), 2);

    // A bundle that was copied there by hand is not lost.
    let by_hand = dir.path().join("by-hand");
    fs::create_dir(&by_hand).unwrap();
    fs::copy(&a, by_hand.join("bundle.json")).unwrap();
    assert!(matches!(rollback(&by_hand), Err(BundleError::NothingEarlier { .. })));
    assert_eq!(promote(&b, &by_hand).unwrap().current.number, 2);
    assert_eq!(rollback(&by_hand).unwrap().current.number, 1);
    assert_eq!(fs::read(by_hand.join("bundle.json")).unwrap(), fs::read(&a).unwrap());

    let lock = fs::File::options().write(true).open(live.join("promote.lock")).unwrap();
    lock.try_lock().unwrap();
    assert!(matches!(rollback(&live), Err(BundleError::Locked { .. })));
    assert!(matches!(promote(&a, &live), Err(BundleError::Locked { .. })));
}

#[test]
fn a_signature_is_of_one_file_by_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "b.json", "Look at {question}");
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let other = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let (secret, public) = (dir.path().join("key"), dir.path().join("key.pub"));
    fs::write(&secret, pair.sk.to_box(None).unwrap().to_string()).unwrap();
    fs::write(&public, pair.pk.to_box().unwrap().to_string()).unwrap();

    let bytes = fs::read(&path).unwrap();
    let key = VerifyingKey::open(public.to_str().unwrap()).unwrap();
    assert!(matches!(key.verify(&path, &bytes), Err(SignError::Unsigned { .. })));
    let signature = SigningKey::open(&secret, None).unwrap().sign(&bytes, "by Ann").unwrap();
    fs::write(signature_path(&path), signature).unwrap();
    assert_eq!(key.verify(&path, &bytes).unwrap(), "by Ann");
    assert_eq!(VerifyingKey::open(&pair.pk.to_base64()).unwrap().verify(&path, &bytes).unwrap(), "by Ann");
    assert!(matches!(key.verify(&path, &bytes[1..]), Err(SignError::Refused { .. })));
    let stranger = VerifyingKey::open(&other.pk.to_base64()).unwrap();
    assert!(matches!(stranger.verify(&path, &bytes), Err(SignError::Refused { .. })));

    // It goes with the bundle into use and back.
    let live = dir.path().join("live");
    promote(&path, &live).unwrap();
    promote(&write(dir.path(), "unsigned.json", "Look {question}"), &live).unwrap();
    let current = live.join("bundle.json");
    assert!(!signature_path(&current).exists());
    rollback(&live).unwrap();
    key.verify(&current, &fs::read(&current).unwrap()).unwrap();

    assert!(matches!(SigningKey::open(&path, None), Err(SignError::NotAKey { .. })));
    assert!(matches!(VerifyingKey::open("nowhere.pub"), Err(SignError::Unreadable { .. })));
}
