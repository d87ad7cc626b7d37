//! The command that resumes a run: its original arguments and `--resume`.

/// Returns the shell command that resumes a run that was started with these arguments. Every
/// argument is repeated as it was given, so no flag can be forgotten.
pub fn resume_command(arguments: &[String]) -> String {
    // Arguments after `--` are no flags.
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (flags, rest) = arguments.split_at(end);
    let flags = flags.iter().map(String::as_str);
    let words: Vec<&str> =
        ["maspo"].into_iter().chain(flags).chain(["--resume"]).chain(rest.iter().map(String::as_str)).collect();
    // A process argument cannot contain the NUL byte, which is the only one that cannot be quoted.
    shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> String {
        resume_command(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn every_argument_is_repeated_as_it_was_given() {
        assert_eq!(command(&["optimize", "a.toml", "--fast"]), "maspo optimize a.toml --fast --resume");
        assert_eq!(command(&["optimize", "--", "-a.toml"]), "maspo optimize --resume -- -a.toml");
    }

    #[test]
    fn a_shell_parses_the_command_into_the_same_arguments() {
        let arguments = ["optimize", "it's here.toml", "--set", r#"model.path="a b""#, "--out", "$HOME & more", ""];
        let expected = [&["maspo"][..], &arguments, &["--resume"]].concat();
        assert_eq!(shlex::split(&command(&arguments)).unwrap(), expected);
    }
}
