//! The report as text for people.

use super::bill::thousands;
use super::diff::{Colour, prompt_diff};
use super::lines::{JudgeLine, PromptLine};
use super::run::RunReport;
use super::verdicts::VerdictFigures;
use crate::base::printable;
use crate::rollout::AnswerRule;
use crate::search::{FinalCheck, FinalVerdict, Models, Stopped};

impl RunReport {
    /// Returns what `maspo optimize` prints at the end, and `maspo show` prints again.
    pub fn text(&self, colour: Colour) -> String {
        let mut text = format!("Run `{}`, seed {}\n{}\n", self.name, self.seed.0, models(&self.model));
        text += &self.method();
        text += &self.accuracy();
        text += &self.verdicts.as_ref().map_or(String::new(), VerdictFigures::text);
        text += &self.final_check.as_ref().map_or(String::new(), final_check);
        let verdict = self.final_check.as_ref().map(|check| check.verdict);
        text += &self.gate.as_ref().map_or(String::new(), |gate| gate.text(verdict));
        text += &format!("\n{}", prompts(&self.prompts, colour));
        text += &format!("\n{}", self.search());
        text += &format!("\n{}", self.ledger.text(self.seconds));
        text += &format!(
            "  not needed: {} calls upstream of a change, {} calls whose input had not changed\n",
            thousands(self.avoided.upstream_reused),
            thousands(self.avoided.unchanged_skipped)
        );
        text += &format!("\n{}", judge(&self.judge));
        for warning in self.all_warnings() {
            text += &format!("warning   {warning}\n");
        }
        text += &format!("{}\n", self.egress_lock.line());
        text += &format!("prompts   {}\n", self.files.prompts.display());
        text += &format!("result    {}\n", self.files.result.display());
        text += &format!("journal   {}\n", self.files.journal.display());
        text + &format!("hash      {}\n", self.result_hash)
    }

    /// Returns what is not the way of a whole MASPO run; empty for such a run.
    fn method(&self) -> String {
        let mut text = self.method.as_ref().map_or(String::new(), |method| format!("Method    {method}\n"));
        if self.labelled > 0 {
            let items = counted(self.labelled, "labelled item", "labelled items");
            text += &format!("labels    it learned from {items} of data.train\n");
        }
        text += match self.stopped {
            None => "",
            Some(Stopped::Budget) => "stopped   the next step did not fit into the budget\n",
            Some(Stopped::Clock) => {
                "stopped   by the clock or the stop file: another machine may give another result\n"
            }
        };
        if let Some(system) = &self.system {
            let names: Vec<_> = system.agents.iter().map(|agent| agent.name.as_str()).collect();
            let rule = match system.rule {
                AnswerRule::Once => "run once".to_string(),
                AnswerRule::Vote { samples, temperature } => {
                    format!("{samples} runs at temperature {temperature}, which vote")
                }
                AnswerRule::Refine { rounds } => {
                    format!("a draft, and at most {}", counted(rounds, "revision", "revisions"))
                }
            };
            text += &format!("system    {}: {rule} (system.json)\n", names.join(", "));
        }
        if text.is_empty() { text } else { text + "\n" }
    }

    fn accuracy(&self) -> String {
        let Some(seed) = &self.seed_accuracy else {
            return "Accuracy: not measured (the experiment has no labelled test cases)\n".to_string();
        };
        let mut text = format!("Accuracy on {} held-out cases\n", seed.n);
        text += &format!("  {:<18}{}\n", "seed prompts", seed.text());
        if let Some(optimized) = &self.optimized_accuracy {
            text += &format!("  {:<18}{}\n", "optimized prompts", optimized.text());
        }
        if let Some(difference) = &self.difference {
            text += &format!("  {:<18}{}\n", "difference", difference.text());
        }
        if let Some(scored_by) = &self.scored_by {
            text += &format!("  {:<19}{}\n", "scorer", scored_by.text(21));
        }
        text
    }

    fn search(&self) -> String {
        if !self.trials.is_empty() {
            return self.trials();
        }
        let tried = self.tried();
        let improved = self.steps.iter().filter(|step| step.improved).count();
        let mut text = format!(
            "Search    {}, {} tried, {} improved a prompt",
            counted(self.steps.len(), "step", "steps"),
            counted(tried, "candidate", "candidates"),
            counted(improved, "step", "steps"),
        );
        let rejected: usize = self.rejections.values().sum();
        if rejected > 0 {
            let reasons: Vec<_> =
                self.rejections.iter().map(|(reason, count)| format!("{count} {}", kebab(reason))).collect();
            let rejected = counted(rejected, "candidate", "candidates");
            text += &format!(", {rejected} rejected ({})", reasons.join(", "));
        }
        let candidates = self.steps.iter().flat_map(|step| &step.candidates);
        let dropped = candidates.filter(|candidate| candidate.dropped_after.is_some()).count();
        if dropped > 0 {
            text += &format!(", {dropped} dropped early");
        }
        text += "\n";
        for line in &self.misalignment {
            let rate = line.rate.map_or(String::new(), |rate| format!(" ({rate:.2})"));
            text += &format!(
                "  misaligned  {}: {} of the {} that were better for it alone were worse for the team{rate}\n",
                line.agent,
                line.misaligned,
                counted(line.local_better, "answer", "answers")
            );
        }
        for line in self.rank_correlation.iter().filter(|line| line.prompts > 1) {
            let tau = line.tau.map_or("undefined".to_string(), |tau| format!("{tau:+.2}"));
            let first = if line.top1 { "the same first" } else { "another first" };
            let applied = if line.applied { "" } else { " (measured only)" };
            text += &format!("  refresh     round {}, {}: tau {tau}, {first}{applied}\n", line.round, line.agent);
        }
        text
    }

    fn trials(&self) -> String {
        let kept = self.trials.iter().filter(|trial| trial.kept).count();
        let best = self.trials.last().map_or(String::new(), |last| format!("; the best is trial {}", last.leader));
        format!("Search    {}, {kept} kept{best}\n", counted(self.trials.len(), "team tried", "teams tried"))
    }

    /// The number of candidates that were evaluated.
    fn tried(&self) -> usize {
        self.steps.iter().flat_map(|step| &step.candidates).filter(|tried| tried.id.is_some()).count()
    }

    /// Returns all that a reader should be warned of.
    pub(crate) fn all_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        match self.overflows {
            0 => {}
            1 => warnings.push("1 prompt was too long for the model; the agent's answer counted as empty".to_string()),
            many => warnings.push(format!(
                "{} prompts were too long for the model; the agents' answers counted as empty",
                thousands(many)
            )),
        }
        warnings.extend(cut_in_reasoning(self.cut_in_reasoning));
        let rejected: usize = self.rejections.values().sum();
        if rejected > 0 && self.tried() == 0 {
            warnings.push(format!(
                "the optimizer model wrote {} and none can be used, so nothing was tried: their texts are in \
                 result.json; give [model.optimizer] a stronger model, or write a template set that this one follows",
                counted(rejected, "proposal", "proposals")
            ));
        }
        let copied = |line: &super::CopiedLine| {
            format!(
                "the prompt of {} repeats query {} of the pool: \"{}\"",
                line.agent,
                line.item,
                printable(&line.text)
            )
        };
        warnings.extend(self.copied.iter().map(copied));
        warnings
    }
}

/// Returns the warning about answers that ended in their reasoning, if there were any.
pub(super) fn cut_in_reasoning(count: u64) -> Option<String> {
    let what = match count {
        0 => return None,
        1 => "1 answer of an agent ended in its reasoning and counted as empty".to_string(),
        many => format!("{} answers of agents ended in their reasoning and counted as empty", thousands(many)),
    };
    Some(format!("{what}: raise `max_new_tokens`, or set `model.worker.max_thinking_tokens`"))
}

pub(super) fn models(models: &Models) -> String {
    let Models { worker, optimizer, judge } = models;
    if worker == optimizer && worker == judge {
        return format!("model     {} ({}) in every role\n", worker.name, worker.digest.short());
    }
    [("worker", worker), ("optimizer", optimizer), ("judge", judge)]
        .map(|(role, model)| format!("{role:<10}{} ({})\n", model.name, model.digest.short()))
        .concat()
}

pub(super) fn prompts(prompts: &[PromptLine], colour: Colour) -> String {
    let mut text = String::from("Prompts   [-before-] {+after+}\n");
    for line in prompts {
        let note = match (line.optimized, line.before == line.after) {
            (false, _) => "not to be changed",
            (true, true) => "unchanged",
            (true, false) => "changed",
        };
        text += &format!("  {}: {note}\n", line.agent);
        if line.before != line.after {
            text += &prompt_diff(line.before.text(), line.after.text(), colour);
        }
    }
    text
}

fn final_check(check: &FinalCheck) -> String {
    let mean = check.mean.unwrap_or(0.5);
    let says = match check.verdict {
        FinalVerdict::Unchanged => return "Final check: the search ended on the seed prompts\n".to_string(),
        FinalVerdict::Unchecked => {
            return "Final check: not made, so no gain was measured\n".to_string();
        }
        FinalVerdict::Optimized => "the optimized prompts won",
        FinalVerdict::Tie => "a tie, no gain was measured",
        FinalVerdict::Seed => "the seed prompts won and are kept",
        FinalVerdict::Unproven => "the optimized prompts are not shown to be better, so the seed prompts are kept",
    };
    let queries = counted(check.batch.len(), "unlabelled query", "unlabelled queries");
    format!("Final check on {queries}: {says} (score {mean:.2}; 0.50 is a tie)\n")
}

fn judge(line: &JudgeLine) -> String {
    let JudgeLine { position_consistency, tie_rate, unparsable_rate, counts } = line;
    let percent = |rate: &Option<f64>| rate.map_or("none asked".to_string(), |rate| format!("{:.1} %", rate * 100.0));
    let cut = match counts.cut_in_reasoning {
        0 => String::new(),
        cut => format!(" ({} ended in the reasoning)", counted(cut as usize, "reply", "replies")),
    };
    let models = match counts.model_agreement() {
        None => String::new(),
        share => format!("; all models agreed {}", percent(&share)),
    };
    format!(
        "Judge     {} comparisons, {} of equal texts; both orders agreed {}, ties {}, unparsable {}{cut}{models}\n",
        thousands(counts.comparisons),
        thousands(counts.identical),
        percent(position_consistency),
        percent(tie_rate),
        percent(unparsable_rate)
    )
}

/// Returns a number and its noun, in singular or plural.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Returns the reason's name in JSON.
pub(super) fn kebab(reason: &crate::prompt::Rejection) -> String {
    serde_json::to_value(reason).ok().and_then(|value| Some(value.as_str()?.to_string())).unwrap_or_default()
}
