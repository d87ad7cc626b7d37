//! What the documents say of the program and of each other holds: `docs/cli.md` is made of what
//! clap knows about every command, and no link leads nowhere.

use clap::{Arg, Command};
use expect_test::expect_file;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HEAD: &str = "\
# Commands

<!-- Written by `UPDATE_EXPECT=1 cargo test --release --test docs`. Do not edit by hand. -->

Data goes to stdout, everything else to stderr. Every command that takes `--json` then prints one
JSON object with a version field. Colours are left out where `NO_COLOR` is set or the output is no
terminal.

| exit code | meaning |
| ---: | --- |
| 0 | The command did what it was asked to. |
| 1 | The run itself failed. |
| 2 | The input is wrong; the message names the place and what to do. |
| 3 | The environment lacks something: disk space, a writable folder, a device. |
| 130 | Stopped by ctrl-C; `maspo optimize --resume` goes on. |

";

#[test]
fn the_command_reference_is_current() {
    let mut program = maspo::cli::command();
    program.build();
    let commands: Vec<&Command> = program.get_subcommands().filter(|command| shown(command)).collect();
    let mut text = HEAD.to_string();
    text += "| command | what it does |\n| --- | --- |\n";
    for command in &commands {
        writeln!(text, "| [`maspo {0}`](#maspo-{0}) | {1} |", command.get_name(), about(command)).unwrap();
    }
    for command in &commands {
        section(command, &mut text);
    }
    expect_file!["../docs/cli.md"].assert_eq(&text);
}

fn shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn about(command: &Command) -> String {
    command.get_about().unwrap_or_else(|| panic!("`{}` has no description", command.get_name())).to_string()
}

fn section(command: &Command, text: &mut String) {
    let shown = |argument: &&Arg| !argument.is_hide_set() && argument.get_id() != "help";
    let (positional, flags): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(shown).partition(|argument| argument.is_positional());
    let required = flags.iter().filter(|flag| flag.is_required_set());
    let usage: String = positional.iter().chain(required).map(|argument| format!(" {}", name(argument))).collect();
    let (command, about) = (command.get_name(), about(command));
    let about = wrapped(&about);
    write!(text, "\n## maspo {command}\n\n{about}.\n\n```text\nmaspo {command}{usage} [OPTIONS]\n```\n\n").unwrap();
    text.push_str("| argument | default | meaning |\n| --- | --- | --- |\n");
    for argument in positional.into_iter().chain(flags) {
        let (name, default, meaning) = (name(argument), default(argument), meaning(argument));
        writeln!(text, "| `{name}` | {default} | {meaning} |").unwrap();
    }
}

/// Returns a sentence in lines of at most 99 columns, so that a full stop still fits.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a line");
        match line.chars().count() + 1 + word.chars().count() {
            _ if line.is_empty() => line.push_str(word),
            ..100 => *line += &format!(" {word}"),
            _ => lines.push(word.to_string()),
        }
    }
    lines.join("\n")
}

/// Returns an argument as it is written on a command line.
fn name(argument: &Arg) -> String {
    if argument.is_positional() {
        return argument.to_string();
    }
    let long = argument.get_long().expect("every flag has a long name");
    let values = argument.get_value_names().filter(|_| argument.get_action().takes_values()).unwrap_or_default();
    values.iter().fold(format!("--{long}"), |name, value| format!("{name} {value}"))
}

fn default(argument: &Arg) -> String {
    let values: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    match argument.get_action().takes_values() {
        true if values.is_empty() && argument.is_required_set() => "required".to_string(),
        true => values.join(" "),
        false => String::new(),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.unwrap_or_else(|| panic!("`{}` has no description", argument.get_id())).to_string();
    let mut text = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|") + ".";
    let choices: Vec<String> = match argument.get_action().takes_values() {
        true => argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect(),
        false => Vec::new(),
    };
    if !choices.is_empty() {
        write!(text, " One of {}.", choices.join(", ")).unwrap();
    }
    text
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = Vec::new();
    find_documents(root, &mut documents);
    assert!(documents.len() > 10, "{documents:?}");
    let mut broken = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("a document is UTF-8");
        let folder = document.parent().expect("a file is in a folder");
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// Finds the Markdown files below a folder, except in folders that are hidden or hold what was
/// built.
fn find_documents(folder: &Path, documents: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && !["target", "runs", "shared", "vendor"].contains(&name) {
            find_documents(&path, documents);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
}

/// Returns the targets of the links to other files in a document, outside of fenced blocks.
fn links(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.filter(|target| !target.contains("://")));
    }
    found
}
