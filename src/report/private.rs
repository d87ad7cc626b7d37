//! Keeps the words of private data out of reports: passages of rows in prompts, in what the
//! optimizer model wrote of them, and in warnings are replaced by their digest.

use super::progress::Progress;
use super::run::RunReport;
use crate::base::Digest;
use crate::prompt::Template;
use crate::rollout::Prompts;
use std::collections::HashSet;
use std::ops::Range;

/// The shortest run of equal characters that counts as a row's own words, with white space and case
/// aside.
const PRIVATE_CHARS: usize = 24;

/// What stands for a text that is not shown at all.
const HIDDEN: &str = "[not shown: the data is private]";

/// The words of private rows.
struct Private {
    runs: HashSet<Box<[char]>>,
}

impl Private {
    /// The words of `rows`, except those that `allowed` texts have too.
    fn new<'a>(rows: impl Iterator<Item = &'a str>, allowed: &[&str]) -> Self {
        let runs = |text: &str| -> Vec<Box<[char]>> {
            let chars: Vec<char> = plain(text).into_iter().map(|(c, _)| c).collect();
            chars.windows(PRIVATE_CHARS).map(Box::from).collect()
        };
        let allowed: HashSet<_> = allowed.iter().flat_map(|text| runs(text)).collect();
        Self { runs: rows.flat_map(runs).filter(|run| !allowed.contains(run)).collect() }
    }

    /// Returns the text with the words of rows replaced.
    fn hide(&self, text: &str) -> String {
        let plain = plain(text);
        let chars: Vec<char> = plain.iter().map(|(c, _)| *c).collect();
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for (at, run) in chars.windows(PRIVATE_CHARS).enumerate() {
            if !self.runs.contains(run) {
                continue;
            }
            let bytes = plain[at].1.start..plain[at + PRIVATE_CHARS - 1].1.end;
            match hidden.last_mut() {
                Some(last) if last.end >= bytes.start => last.end = bytes.end,
                _ => hidden.push(bytes),
            }
        }
        let mut out = String::new();
        let mut from = 0;
        for range in hidden {
            out.push_str(&text[from..range.start]);
            out.push_str(&format!("[private {}]", Digest::of(text[range.clone()].as_bytes()).short()));
            from = range.end;
        }
        out + &text[from..]
    }

    fn hide_template(&self, prompt: &mut Template) {
        *prompt = Template::new(self.hide(prompt.text()));
    }
}

/// Returns the characters of a text in lower case, with one blank for each run of white space, and
/// the bytes that each stands for.
fn plain(text: &str) -> Vec<(char, Range<usize>)> {
    let mut plain: Vec<(char, Range<usize>)> = Vec::new();
    for (at, c) in text.char_indices() {
        let bytes = at..at + c.len_utf8();
        match plain.last_mut() {
            Some((' ', blank)) if c.is_whitespace() => blank.end = bytes.end,
            _ if c.is_whitespace() => plain.push((' ', bytes)),
            _ => plain.extend(c.to_lowercase().map(|c| (c, bytes.clone()))),
        }
    }
    plain
}

/// Returns a text without the words of private rows. Words that an allowed text has too, such as a
/// prompt that the user wrote, stay.
pub fn without_words<'a>(text: &str, rows: impl Iterator<Item = &'a str>, allowed: &[&str]) -> String {
    Private::new(rows, allowed).hide(text)
}

impl RunReport {
    /// Returns the report without the words of private rows. The seed prompts, which the user
    /// wrote, stay as they are.
    pub fn without_words_of<'a>(mut self, rows: impl Iterator<Item = &'a str>) -> Self {
        let seeds: Vec<String> = self.prompts.iter().map(|line| line.before.text().to_string()).collect();
        let private = Private::new(rows, &seeds.iter().map(String::as_str).collect::<Vec<_>>());
        self.prompts.iter_mut().for_each(|line| private.hide_template(&mut line.after));
        for line in &mut self.lineage {
            private.hide_template(&mut line.prompt);
            line.change = line.change.take().map(|change| private.hide(&change));
        }
        for line in self.steps.iter_mut().flat_map(|step| &mut step.candidates) {
            line.change = line.change.take().map(|change| private.hide(&change));
            line.text = line.text.take().map(|text| private.hide(&text));
        }
        let hide = |prompts: &mut Prompts| {
            let hidden: Vec<_> =
                prompts.iter().map(|(id, prompt)| (id, Template::new(private.hide(prompt.text())))).collect();
            *prompts = hidden.into_iter().fold(prompts.clone(), |prompts, (id, prompt)| prompts.with(id, prompt));
        };
        self.trials.iter_mut().for_each(|trial| hide(&mut trial.prompts));
        if let Some(check) = &mut self.final_check {
            hide(&mut check.optimized);
            check.kept.iter_mut().for_each(hide);
        }
        self.copied.iter_mut().for_each(|line| line.text = private.hide(&line.text));
        self.warnings.iter_mut().for_each(|warning| *warning = private.hide(warning));
        self
    }
}

impl Progress {
    /// Returns the progress without any text that a model wrote, for a run on private data, whose
    /// rows are not at hand.
    pub fn without_texts(mut self) -> Self {
        let Some(search) = &mut self.search else { return self };
        let hide = |prompt: &mut Template, seed: bool| {
            if !seed {
                *prompt = Template::new(HIDDEN);
            }
        };
        for line in &mut search.prompts {
            let is_seed = line.after == line.before;
            hide(&mut line.after, is_seed);
        }
        for line in &mut search.lineage {
            hide(&mut line.prompt, line.parent.is_none());
            line.change = line.change.take().map(|_| HIDDEN.to_string());
        }
        for line in search.steps.iter_mut().flat_map(|step| &mut step.candidates) {
            line.change = line.change.take().map(|_| HIDDEN.to_string());
            line.text = line.text.take().map(|_| HIDDEN.to_string());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "Which of the two mutants of the secret gene grows at 42 degrees?";

    #[test]
    fn the_words_of_a_row_are_replaced_wherever_they_stand() {
        let private = Private::new([ROW].into_iter(), &[]);
        let hidden = private.hide(&format!("Example: {}\nSolve it.", ROW.to_uppercase().replace(' ', "\n ")));
        assert!(hidden.starts_with("Example: [private ") && hidden.ends_with("]\nSolve it."), "{hidden}");
        assert!(!hidden.to_lowercase().contains("mutants"), "{hidden}");
        for short in ["", "the secret gene", "Answer the question. Straße ẞ"] {
            assert_eq!(private.hide(short), short);
        }
    }

    #[test]
    fn a_seed_prompt_may_have_the_same_words() {
        let allowed = "Say which of the two mutants of the set is meant.";
        let private = Private::new([ROW].into_iter(), &[allowed]);
        assert_eq!(private.hide(allowed), allowed);
        assert!(private.hide(ROW).contains("[private "));
    }

    #[test]
    fn reports_have_no_words_of_private_rows() {
        let mut report = super::super::fixture::report();
        for text in [&mut report.copied[0].text, &mut report.warnings[0]] {
            *text = ROW.to_string();
        }
        report.prompts[1].after = Template::new(format!("{} {ROW}", report.prompts[1].before.text()));
        let check = report.final_check.as_mut().unwrap();
        check.optimized = check.optimized.with(crate::base::AgentId(1), Template::new(format!("Find it. {ROW}")));
        check.kept = Some(check.optimized.clone());
        report.lineage[0].change = Some(ROW.to_string());
        report.trials = vec![super::super::fixture::trial(&format!("Find it. {ROW}"))];
        let hidden = report.without_words_of([ROW].into_iter());
        for shown in [hidden.json(), hidden.text(super::super::Colour::Off), hidden.prompts_json()] {
            assert!(!shown.contains("mutants") && shown.contains("[private "), "{shown}");
        }
    }
}
