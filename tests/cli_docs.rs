//! `docs/cli.md` is made of what clap knows about every command, so it cannot say anything else than `--help` does.

use clap::{Arg, Command};
use expect_test::expect_file;
use std::fmt::Write;

const HEAD: &str = "\
# Commands

<!-- Written by `UPDATE_EXPECT=1 cargo test --release --test cli_docs`. Do not edit by hand. -->

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
    write!(text, "\n## maspo {command}\n\n{about}.\n\n```text\nmaspo {command}{usage} [OPTIONS]\n```\n\n").unwrap();
    text.push_str("| argument | default | meaning |\n| --- | --- | --- |\n");
    for argument in positional.into_iter().chain(flags) {
        let (name, default, meaning) = (name(argument), default(argument), meaning(argument));
        writeln!(text, "| `{name}` | {default} | {meaning} |").unwrap();
    }
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
