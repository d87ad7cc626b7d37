//! Tests of the world: sessions follow the rule, only the clauses of a prompt matter, the shares
//! are disjoint, and the checked-in data and experiment files are what this program writes.

use crate::agents::{assess, read_session, run, verdict};
use crate::clauses::{Clause, Prompt, Role};
use crate::data::sets;
use crate::edits::edit_kind;
use crate::simulate::accuracy;
use crate::world::{Label, Session, Share, Signal};
use crate::{corpus, judge, optimizer};
use expect_test::expect;
use maspo::base::{Seed, Stage};
use rand::seq::SliceRandom;
use std::collections::BTreeSet;

fn rng(path: u64) -> rand_chacha::ChaCha8Rng {
    Seed(7).derive(Stage::Data, &[path]).rng()
}

/// A session whose six values point to the given labels, in the order of [`Signal::ALL`].
fn session(labels: [Label; 6]) -> Session {
    let values = labels.map(|label| crate::world::Value { label, wording: 0 });
    Session { values, text: String::new() }
}

#[test]
fn the_rule_has_a_majority_vote_two_exceptions_and_a_tie_break() {
    use Label::{Human as H, Scalper as C, Scraper as S, Stuffing as F};
    let check = |labels, expected: Label| assert_eq!(session(labels).truth(), expected, "{labels:?}");
    check([C, H, H, S, H, S], H);
    check([H, F, H, F, H, H], F);
    check([H, C, H, C, H, H], C);
    check([H, C, H, F, H, H], H);
    check([H, H, S, S, F, C], S);
}

#[test]
fn a_team_answers_in_words() {
    let session = session([Label::Scraper, Label::Stuffing, Label::Human, Label::Stuffing, Label::Human, Label::Human]);
    let texts = |of: fn(Role) -> Prompt| {
        let outputs = run(&Role::CHAIN.map(of), &session);
        outputs.iter().map(crate::agents::Output::text).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        agent curl, rate rapid, cookies kept
        agent scraper, rate stuffing, cookies human
        human 1, scraper 1, stuffing 1, scalper 0
        <answer>human</answer>"#]]
    .assert_eq(&texts(Prompt::seed));
    expect![[r#"
        agent curl, rate rapid, cookies kept, path login, referrer search, zone match
        agent scraper, rate stuffing, cookies human, path stuffing, referrer human, zone human, alert stuffing
        human 3, scraper 1, stuffing 2, scalper 0
        alert stuffing
        <answer>stuffing</answer>"#]]
    .assert_eq(&texts(Prompt::ideal));
}

#[test]
fn the_trap_is_locally_better_and_loses_evidence() {
    let session = Session::sample(Share::Probe, &mut rng(1));
    let with = |prompt: &Prompt| {
        let mut prompt = prompt.clone();
        prompt.clauses.push((Clause::Brief, 0));
        prompt
    };
    let (poor, full) = (Prompt::seed(Role::Extract), Prompt::ideal(Role::Extract));
    let local = |new: &Prompt, old: &Prompt| {
        judge::compare(Role::Extract, &session, &read_session(new, &session), &read_session(old, &session))
    };
    assert_eq!((local(&with(&poor), &poor), local(&with(&full), &full)), (1.0, 0.0));
    let mut team = Role::CHAIN.map(Prompt::seed).to_vec();
    let base = run(&team, &session);
    team[0] = with(&poor);
    let trapped = run(&team, &session);
    assert_eq!(judge::compare(Role::Assess, &session, &trapped[1], &base[1]), 0.0);
}

#[test]
fn a_clause_for_another_agent_does_nothing_or_spoils_the_extractors_answer() {
    let mut rng = rng(5);
    for at in (0..3).cycle().take(200) {
        let session = Session::sample(Share::Corpus, &mut rng);
        let mut team = Role::CHAIN.map(Prompt::ideal).to_vec();
        let before = run(&team, &session);
        team[at] = team[at].with_stray(&mut rng);
        let after = run(&team, &session);
        if at == 0 && team[0].has(Clause::Point) {
            assert_eq!(judge::compare(Role::Extract, &session, &after[0], &before[0]), 0.0);
            assert_eq!(after[1].text(), "nothing");
        } else {
            assert_eq!(after, before);
        }
    }
}

#[test]
fn order_and_wording_of_clauses_do_not_matter() {
    let mut rng = rng(2);
    for role in Role::ALL {
        let session = Session::sample(Share::Corpus, &mut rng);
        let prompt = Prompt::random(role, 0.3, &mut rng);
        let mut other = prompt.clone();
        other.clauses.shuffle(&mut rng);
        other.clauses.iter_mut().for_each(|(_, wording)| *wording = (*wording + 1) % 3);
        let facts: Vec<_> = Signal::ALL.map(|signal| session.fact(signal)).to_vec();
        let output = |prompt: &Prompt| match role {
            Role::Assess => assess(prompt, &facts),
            Role::Verdict => verdict(prompt, assess(&Prompt::ideal(Role::Assess), &facts).findings()),
            _ => read_session(prompt, &session),
        };
        assert_eq!(output(&prompt), output(&other));
        assert_eq!(prompt.held_out(), other.held_out());
        assert_eq!(Prompt::parse(role, &prompt.text()), Some(prompt));
    }
    assert_eq!(Prompt::parse(Role::Extract, "Do as you like.\nSession:\n{question}"), None);
}

#[test]
fn ideal_prompts_solve_the_task_and_seed_prompts_do_not() {
    let sessions = Session::distinct(Share::Experiment, 500, Seed(3));
    let of = |roles: &[Role], prompt: fn(Role) -> Prompt| {
        accuracy(&roles.iter().map(|role| prompt(*role)).collect::<Vec<_>>(), &sessions)
    };
    for roles in [&Role::CHAIN[..], &Role::TEAM] {
        assert_eq!(of(roles, Prompt::ideal), 1.0);
        let seed = of(roles, Prompt::seed);
        assert!(seed < 0.6, "{seed}");
    }
}

#[test]
fn the_optimizer_makes_one_edit_and_is_little_informed() {
    let mut rng = rng(4);
    let parent = Prompt::seed(Role::Extract);
    let mut share = |warned, kind| {
        let hits = (0..2000).filter(|_| {
            let child = optimizer::propose(&parent, warned, &mut rng);
            assert_ne!(child.text(), parent.text());
            edit_kind(&parent, &child) == kind
        });
        hits.count() as f64 / 2000.0
    };
    assert!((0.28..0.38).contains(&share(false, "useful")));
    assert!((0.21..0.29).contains(&share(false, "trap")));
    assert!((0.07..0.13).contains(&share(true, "trap")));
}

#[test]
fn nothing_held_out_is_in_the_corpus() {
    let held_out: BTreeSet<_> = [Share::Probe, Share::Experiment]
        .into_iter()
        .flat_map(|share| Session::distinct(share, 300, Seed(1)))
        .map(|session| session.text)
        .collect();
    let examples: Vec<_> = corpus::examples(corpus::Lesson::First, 2000, Seed(1)).collect();
    for example in &examples {
        let text = &example.messages[0].content;
        assert!(held_out.iter().all(|session| !text.contains(session)), "{text}");
        if let Some(role) = Role::ALL.into_iter().find(|role| example.kind == format!("propose-{}", role.name())) {
            let prompt = maspo::prompt::last_tagged(&example.answer, "prompt").expect("a prompt");
            assert!(!Prompt::parse(role, prompt).expect("from the vocabulary").held_out());
        }
    }
    assert!(examples.iter().all(|example| example.messages[0].content.len() < 2500));
}

#[test]
fn the_checked_in_sets_are_disjoint_and_what_this_program_writes() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/triage");
    let mut seen = BTreeSet::new();
    for (name, lines) in sets(Seed(1)) {
        let written: String = lines.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).expect("checked in"), written);
        assert!(lines.iter().all(|line| seen.insert(line["question"].to_string())), "{name}");
    }
}

#[test]
fn the_experiment_files_hold_the_seed_prompts_and_roles() {
    for (file, roles) in [("triage", &Role::CHAIN[..]), ("triage-hierarchical", &Role::TEAM)] {
        let path = format!("{}/configs/{file}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("checked in");
        let file: toml::Table = text.parse().expect("TOML");
        let agents = file["agent"].as_array().expect("agents");
        assert_eq!(agents.len(), roles.len());
        for (agent, role) in agents.iter().zip(roles) {
            let is = |key: &str, expected: &str| assert_eq!(agent[key].as_str(), Some(expected));
            is("name", role.name());
            is("role", role.text());
            is("prompt", &Prompt::seed(*role).text());
        }
    }
}
