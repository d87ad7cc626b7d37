//! A person at the terminal: shows every change with its worth and its cases, and reads one letter
//! and a comment. What models wrote is shown with its control characters escaped.

use super::super::output::{print, print_message};
use super::super::settings::chat_error;
use super::super::verify::evidence;
use super::super::{CliError, Exit};
use super::decider::Decider;
use crate::base::CancelToken;
use crate::base::printable;
use crate::bundle::{Bundle, TestVerdict};
use crate::prompt::Template;
use crate::report::{Colour, counted, prompt_diff};
use crate::review::{AgentDecision, CaseView, Change, Choice, Conclusion, Decisions, Session, edited};
use std::io::{self, BufRead, Write};
use std::path::PathBuf;

/// The most characters of a text of a case.
const SHOWN: usize = 600;
/// The longest line that is read.
const MAX_LINE: u64 = 1 << 16;

/// A person who answers on `input`.
pub(super) struct Terminal<R> {
    input: R,
    reviewer: Option<String>,
    colour: Colour,
    cancel: CancelToken,
}

impl<R: BufRead> Terminal<R> {
    /// A person whose ctrl-C cancels `cancel`; the next answer then ends the review.
    pub(super) fn new(input: R, reviewer: Option<String>, colour: Colour, cancel: CancelToken) -> Self {
        Self { input, reviewer, colour, cancel }
    }

    /// Asks a question and returns the answer; `None` at the end of the input.
    fn ask(&mut self, question: &str) -> Result<Option<String>, CliError> {
        print(question)?;
        let mut bytes = Vec::new();
        let read = io::Read::take(&mut self.input, MAX_LINE).read_until(b'\n', &mut bytes);
        let unreadable = |error: io::Error| CliError::new(Exit::Environment, format!("the terminal: {error}"));
        Ok(match read.map_err(unreadable)? {
            0 => None,
            _ if self.cancel.is_cancelled() => None,
            _ => Some(String::from_utf8_lossy(&bytes).trim().to_string()),
        })
    }

    /// Asks for a decision on one change; `None` to end the review.
    fn choice(&mut self, session: &Session<'_>, change: &Change) -> Result<Option<Choice>, CliError> {
        loop {
            let answer = self.ask("accept, reject, edit, or quit? [a/r/e/q] ")?;
            match answer.as_deref().map(str::to_lowercase).as_deref() {
                None | Some("q" | "quit") => return Ok(None),
                Some("a" | "accept") => return Ok(Some(Choice::Accept)),
                Some("r" | "reject") => return Ok(Some(Choice::Reject)),
                Some("e" | "edit") => {
                    if let Some(prompt) = self.edit(session, change)? {
                        return Ok(Some(Choice::Edit(prompt)));
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Lets the person change the prompt; `None` if it cannot be used or nothing was changed.
    fn edit(&mut self, session: &Session<'_>, change: &Change) -> Result<Option<Template>, CliError> {
        let text = match editor() {
            Some(editor) => edit_with(&editor, change.after.text())?,
            None => {
                let question = "no $VISUAL or $EDITOR is set; a file with the new prompt (empty to go back): ";
                match self.ask(question)?.filter(|path| !path.is_empty()) {
                    Some(path) => std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}")),
                    None => return Ok(None),
                }
            }
        };
        let checked = text.and_then(|text| {
            edited(session.graph(), change.agent, &text, session.max_prompt_bytes()).map_err(|faults| faults.join("; "))
        });
        match checked {
            Ok(prompt) if prompt == change.after => {
                print("nothing was changed\n")?;
                Ok(None)
            }
            Ok(prompt) => {
                print(prompt_diff(&session.shown(&change.after), &session.shown(&prompt), self.colour))?;
                Ok(Some(prompt))
            }
            Err(fault) => {
                print(format!("this cannot be used: {}\n", printable(&fault)))?;
                Ok(None)
            }
        }
    }
}

impl<R: BufRead> Decider for Terminal<R> {
    fn decide(&mut self, session: &Session<'_>, of_run: &Bundle) -> Result<Option<Decisions>, CliError> {
        let changed = session.changed();
        let agents = counted(changed.len(), "agent", "agents");
        print(format!("Run `{}` changed the prompts of {agents}\n{}", printable(&of_run.team.name), evidence(of_run)))?;
        let reviewer = match self.reviewer.take() {
            Some(reviewer) => reviewer,
            None => match self.ask("who are you? ")?.filter(|name| !name.is_empty()) {
                Some(reviewer) => reviewer,
                None => return Ok(None),
            },
        };
        let mut agents = Vec::new();
        for (at, agent) in changed.iter().enumerate() {
            print_message(format_args!("measuring what the change of agent {} of {} is worth", at + 1, changed.len()));
            let change = session.change(*agent).map_err(chat_error)?;
            print(shown(session, &change, (at + 1, changed.len()), self.colour))?;
            let Some(choice) = self.choice(session, &change)? else { return Ok(None) };
            let comment = self.ask("comment (empty for none): ")?.filter(|comment| !comment.is_empty());
            agents.push(AgentDecision { agent: *agent, choice, comment });
        }
        let comment = self.ask("comment on the whole (empty for none): ")?.filter(|comment| !comment.is_empty());
        Ok(Some(Decisions { reviewer, comment, agents }))
    }

    fn confirm(&mut self, conclusion: &Conclusion) -> Result<bool, CliError> {
        let Conclusion::Bundle { bundle, rechecked, worse } = conclusion else { return Ok(false) };
        if *rechecked {
            print(format!(
                "\nThese prompts are not those of the run, so they were measured again.\n{}",
                evidence(bundle)
            ))?;
        }
        let question = match worse {
            true => "They are worse than the seed prompts. Write the bundle all the same? [y/n] ",
            false => "write the bundle? [y/n] ",
        };
        loop {
            match self.ask(question)?.as_deref().map(str::to_lowercase).as_deref() {
                Some("y" | "yes") => return Ok(true),
                None | Some("n" | "no") => return Ok(false),
                Some(_) => {}
            }
        }
    }
}

/// Returns a change as it is shown: the difference, its worth, and cases for and against it.
fn shown(session: &Session<'_>, change: &Change, (at, of): (usize, usize), colour: Colour) -> String {
    let mut text = format!("\n── {} ({at} of {of}) ──\n", printable(&change.name));
    text += &prompt_diff(change.before.text(), &session.shown(&change.after), colour);
    text += &match &change.worth {
        None => "worth    not measured: the pool is empty\n".to_string(),
        Some(worth) => {
            let (low, high) = worth.ci95;
            let says = match worth.verdict {
                TestVerdict::Better => "the team is better with it",
                TestVerdict::NoDifferenceShown => "no difference shown",
                TestVerdict::Worse => "the team is worse with it",
            };
            let [better, worse] = change.counts;
            format!(
                "worth    {:.2} on {} (0.50 is nothing; 95 % interval {low:.2} to {high:.2}): {says}\n         \
                 {better} answers better, {worse} worse, {} alike\n",
                worth.mean,
                counted(worth.n, "query", "queries"),
                worth.n - better - worse
            )
        }
    };
    for (title, cases) in [("better", &change.won), ("worse", &change.lost)] {
        for case in cases {
            text += &shown_case(title, case, session.is_private());
        }
    }
    text
}

fn shown_case(title: &str, case: &CaseView, private: bool) -> String {
    let CaseView { id, question, outputs: [without, with], answers: [before, after] } = case;
    if private {
        return format!("{title}   query {}: not shown, the data is private\n", printable(id));
    }
    let mut text = format!("{title}   query {}\n", printable(id));
    let lines = [
        ("question", question),
        ("wrote without it", without),
        ("writes with it", with),
        ("team before", before),
        ("team now", after),
    ];
    for (label, value) in lines {
        text += &format!("    {label:<17}{}\n", excerpt(value).replace('\n', &format!("\n    {:17}", "")));
    }
    text
}

/// Returns the beginning of a text, with its control characters escaped.
fn excerpt(text: &str) -> String {
    let short: String = text.trim().chars().take(SHOWN).collect();
    let rest = text.trim().chars().count().saturating_sub(SHOWN);
    let more = if rest == 0 { String::new() } else { format!(" … {rest} more characters") };
    printable(&short) + &more
}

fn editor() -> Option<String> {
    ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
}

/// Has the editor change a text, in a file that only this user can read.
fn edit_with(editor: &str, text: &str) -> Result<Result<String, String>, CliError> {
    let path = std::env::temp_dir().join(format!("maspo-review-{}.txt", std::process::id()));
    let scratch = Scratch::new(path, text).map_err(|error| {
        CliError::new(Exit::Environment, format!("a file for the editor cannot be written: {error}"))
    })?;
    let words = shlex::split(editor).filter(|words| !words.is_empty());
    let Some(words) = words else { return Ok(Err(format!("$EDITOR is {editor:?}, which is no command"))) };
    let status = std::process::Command::new(&words[0]).args(&words[1..]).arg(&scratch.0).status();
    Ok(match status {
        Ok(status) if status.success() => std::fs::read_to_string(&scratch.0).map_err(|error| error.to_string()),
        Ok(status) => Err(format!("{editor} ended with {status}")),
        Err(error) => Err(format!("{editor} cannot be started: {error}")),
    })
}

/// A file that goes when it is no longer needed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf, text: &str) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let scratch = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may have been removed by the editor.
        let _ = std::fs::remove_file(&self.0);
    }
}
