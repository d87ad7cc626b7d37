//! What the language does with right and wrong files, and that the program's own sets are sound.

use super::*;
use expect_test::{Expect, expect, expect_file};
use std::collections::BTreeMap;

const SPECS: &[SlotSpec] = &[
    SlotSpec { name: "role", holds: Holds::Text, needed: true, about: "the role" },
    SlotSpec { name: "context", holds: Holds::Text, needed: false, about: "the context" },
    SlotSpec { name: "cut", holds: Holds::Flag, needed: false, about: "whether it is cut" },
    SlotSpec { name: "cases", holds: Holds::List(CASES), needed: false, about: "the cases" },
];
const CASES: &[SlotSpec] = &[SlotSpec { name: "role", holds: Holds::Text, needed: true, about: "its role" }];

fn values(role: &str, context: &str, cut: bool, cases: &[&str]) -> Scope {
    let cases = cases.iter().map(|role| Scope::default().text("role", *role));
    Scope::default().text("role", role).text("context", context).flag("cut", cut).list("cases", cases)
}

#[track_caller]
fn check(source: &str, values: &Scope, expected: &str) {
    let template = RequestTemplate::parse("x.txt", source, SPECS).expect("a sound file");
    assert_eq!(template.render(values), expected);
}

#[test]
fn slots_are_filled_in_one_pass() {
    check("{role}: {context}", &values("{context}", "{role}", false, &[]), "{context}: {role}");
    check("{role}{#cases}[{role}]{/cases}", &values("r", "", false, &["{#cut}", "{/cases}"]), "r[{#cut}][{/cases}]");
    check(
        "{ role } {Role} {a1} {} {{role}} {\"a\": 1}",
        &values("r", "", false, &[]),
        "{ role } {Role} {a1} {} {r} {\"a\": 1}",
    );
}

#[test]
fn sections_stand_if_there_is_something_and_once_per_entry() {
    let source = "{role}\n{#context}\n\nContext:\n{context}\n{/context}\n{#cut} cut{/cut}\n  \
                  {#cases}  \n- {role}\n{/cases}\nend";
    check(source, &values("r", "c", true, &["a", "b"]), "r\n\nContext:\nc\n cut\n- a\n- b\nend");
    check(source, &values("r", "", false, &[]), "r\n\nend");
}

#[track_caller]
fn faults(source: &str, expected: Expect) {
    let faults = RequestTemplate::parse("x.txt", source, SPECS).expect_err("a fault");
    let line = |fault: &TemplateFault| match fault.line {
        Some(line) => format!("{}:{line}: {}\n", fault.file, fault.problem),
        None => format!("{}: {}\n", fault.file, fault.problem),
    };
    expected.assert_eq(&faults.iter().map(line).collect::<String>());
}

#[test]
fn faults_name_the_line() {
    faults(
        "{rolle}\n\n{cut} {cases}\n{/cut}",
        expect![[r#"
            x.txt:1: unknown slot `{rolle}`; did you mean `role`?
            x.txt:3: `{cut}` says yes or no, so it can only begin a section: `{#cut}…{/cut}`
            x.txt:3: `{cases}` is a list, so it can only begin a section: `{#cases}…{/cases}`
            x.txt:4: `{/cut}` ends a section that was not begun
            x.txt: the slot `{role}` is missing: the role
        "#]],
    );
    faults(
        "{role}\n{#cases}\n{#cut}\n{/cases}",
        expect![[r#"
            x.txt:2: the section `{#cases}` has no end: `{/cases}` is missing
            x.txt:3: the section `{#cut}` has no end: `{/cut}` is missing
            x.txt:4: `{/cases}` ends a section, but `{#cut}` is open
            x.txt: the slot `{role}` is missing: its role
        "#]],
    );
    faults(
        &format!("{{role}}\n{}{}", "{#cut}".repeat(9), "{/cut}".repeat(9)),
        expect![[r#"
            x.txt:2: `{#cut}` is the 9th section within another; 8 can be
        "#]],
    );
    faults(
        "{role} {answer_c}",
        expect![[r#"
            x.txt:1: unknown slot `{answer_c}`; known are `role`, `context`, `cut`, `cases`
        "#]],
    );
}

proptest::proptest! {
    #[test]
    fn no_file_makes_it_panic(source in "(\\{[#/]?(role|context|cut|cases|x)\\}|\n| |a|\\{|\\}){0,24}") {
        if let Ok(template) = RequestTemplate::parse("x.txt", &source, SPECS) {
            template.render(&values("r", "c", true, &["a"]));
        }
    }
}

/// A sound set of as few words as can be, with one file changed.
fn set(change: (&str, Option<&str>), task: Option<&str>) -> Result<Templates, Vec<TemplateFault>> {
    let mut files = BTreeMap::from([
        ("optimizer.txt", "{role} {parent} {slots} {#frozen}{passage}{/frozen} <prompt>"),
        ("judge.txt", "{role} {question} {answer_a} {answer_b} {#letter}A{/letter}{#tagged}<choose>{/tagged}"),
        ("summary.txt", "{words} {output}\n"),
    ]);
    match change {
        (name, Some(text)) => files.insert(name, text),
        (name, None) => files.remove(name),
    };
    let read = |name: &str| Ok(files.get(name).map(|text| text.as_bytes().to_vec()));
    Templates::read(&read, task)
}

#[test]
fn a_set_has_all_its_files() {
    let sound = set(("x", None), None).unwrap();
    assert_eq!(sound.summary.source(), "{words} {output}");
    assert!(sound.optimizer.assignments.is_empty() && sound.judge.task.is_empty());
    let check = |name, text, task, expected: Expect| {
        let faults = set((name, text), task).expect_err("a fault");
        let line = |fault: &TemplateFault| format!("{}:{:?}: {}\n", fault.file, fault.line, fault.problem);
        expected.assert_eq(&faults.iter().map(line).collect::<String>());
    };
    check(
        "summary.txt",
        None,
        None,
        expect![[r#"
        summary.txt:None: there is no such file
    "#]],
    );
    check(
        "judge.txt",
        Some(" \n"),
        None,
        expect![[r#"
        judge.txt:None: is empty
    "#]],
    );
    check(
        "optimizer.txt",
        Some("{role} {parent} {slots} {#frozen}{passage}{/frozen}"),
        None,
        expect![[r#"
        optimizer.txt:None: never says `<prompt>`; the reply is read between <prompt> and </prompt>
    "#]],
    );
    check(
        "assignments.txt",
        Some("mend: Mend it."),
        None,
        expect![[r#"
        optimizer.txt:None: has no slot `{assignment}`, but there is an assignments.txt
    "#]],
    );
    check(
        "x",
        None,
        Some("code"),
        expect![[r#"
        optimizer.txt:None: has no slot `{task}`, so that a task preset cannot be used with it
        judge.txt:None: has no slot `{task}`, so that a task preset cannot be used with it
    "#]],
    );
    let asks = "{role} {parent} {slots} {#frozen}{passage}{/frozen} <prompt> {assignment}";
    check(
        "optimizer.txt",
        Some(asks),
        None,
        expect![[r#"
        assignments.txt:None: there is no such file
    "#]],
    );
}

#[test]
fn assignments_are_one_a_line() {
    let read = |text: &'static str| {
        let files = move |name: &str| {
            let text = match name {
                "assignments.txt" => Some(text),
                "optimizer.txt" => Some("{role} {parent} {slots} {#frozen}{passage}{/frozen} <prompt> {assignment}"),
                _ => None,
            };
            Ok(text.map(|text| text.as_bytes().to_vec()))
        };
        match Templates::read(&files, None) {
            Ok(_) => unreachable!("the other files are missing"),
            Err(faults) => faults
                .iter()
                .find(|fault| fault.file == "assignments.txt")
                .map(|fault| (fault.line, fault.problem.clone())),
        }
    };
    assert_eq!(read("mend: Mend it.\n\nsimplify: Make it: short.\n"), None);
    for (text, line) in [("mend", 1), ("mend: a\nMend: b", 2), ("mend: a\nmend: b", 2), ("mend:", 1)] {
        assert_eq!(read(text).map(|(line, _)| line), Some(Some(line)), "{text}");
    }
}

#[test]
fn the_sets_of_the_program_are_sound_with_every_task() {
    for built_in in BuiltIn::ALL {
        built_in.read(None).unwrap();
        for task in built_in.tasks() {
            let templates = built_in.read(Some(task)).unwrap();
            assert!(!templates.optimizer.task.is_empty() && !templates.judge.task.is_empty(), "{task}");
        }
    }
    let tasks: Vec<_> = BuiltIn::STANDARD.tasks().into_iter().collect();
    assert_eq!(tasks, ["choice", "classification", "code", "mathematics"]);
    let names: Vec<_> = Templates::standard().optimizer.assignments.iter().map(|a| a.name.clone()).collect();
    assert_eq!(names, ["mend", "simplify", "restructure", "example"]);
    assert!(Templates::terse().optimizer.assignments.is_empty());
}

#[test]
fn each_request_is_of_the_set_for_its_model() {
    let (terse, standard) = (Templates::terse(), Templates::standard());
    let mixed = Templates::of_models(["embedded:triage", "Qwen3-8B", "embedded:triage"], None).unwrap();
    assert_eq!((&mixed.summary, &mixed.judge), (&terse.summary, &terse.judge));
    assert_eq!(mixed.optimizer, standard.optimizer);
}

/// Adds one row for each slot, and those of a list's entries below it.
fn rows(specs: &[SlotSpec], depth: usize, out: &mut String) {
    for spec in specs {
        let (mark, inner): (&str, &[SlotSpec]) = match spec.holds {
            Holds::Text => ("", &[]),
            Holds::Flag => ("#", &[]),
            Holds::List(inner) => ("#", inner),
        };
        let indent = "&emsp;".repeat(depth);
        let needed = if spec.needed { "yes" } else { "" };
        out.push_str(&format!("| {indent}`{{{mark}{}}}` | {needed} | {} |\n", spec.name, spec.about));
        rows(inner, depth + 1, out);
    }
}

/// `UPDATE_EXPECT=1 cargo test --lib templates` writes the tables anew.
#[test]
fn the_documentation_has_every_slot() {
    let docs = include_str!("../../docs/templates.md");
    let mut text = String::new();
    let mut rest = docs;
    for (file, specs) in [("optimizer.txt", OPTIMIZER), ("judge.txt", JUDGE), ("summary.txt", SUMMARY)] {
        let begin = format!("<!-- slots of {file} -->\n");
        let (before, after) = rest.split_once(&begin).expect("the file has a table");
        let (_, after) = after.split_once("<!-- end of slots -->").expect("a table has an end");
        let mut table = "\n| slot | needed | what it holds |\n| --- | --- | --- |\n".to_string();
        rows(specs, 0, &mut table);
        text.push_str(&format!("{before}{begin}{table}\n<!-- end of slots -->"));
        rest = after;
    }
    text.push_str(rest);
    expect_file!["../../docs/templates.md"].assert_eq(&text);
}
