//! `maspo plan`: Say how many calls and tokens a run takes at most.

use super::estimate::longest_prompt;
use super::output::{print, print_json};
use super::settings::ExperimentArgs;
use super::{CliError, Exit};
use crate::base::AgentId;
use crate::chat::ModelRole;
use crate::config::{ModelCheck, Settings};
use crate::graph::EdgeView;
use crate::method::plan;
use crate::rollout::summary_tokens;
use crate::search::{Plan, RolePlan};
use serde_json::json;

/// Say how many calls and tokens a run takes at most.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
}

/// One line of the plan.
struct Line {
    what: &'static str,
    calls: u64,
    new_tokens: u64,
    /// The tokens of all prompts if each were as long as the longest can be.
    prompt_tokens: u64,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::None)?;
    let method = &settings.method;
    let sizes = (settings.pool.len(), settings.train.as_ref().map_or(0, Vec::len));
    let plan = plan(method.kind, &method.options, &settings.graph, &settings.options, sizes);
    let lines = lines(&settings, &plan);
    if args.experiment.json {
        let line = |line: &Line| {
            let facts = json!({
                "calls_at_most": line.calls,
                "new_tokens_at_most": line.new_tokens,
                "prompt_tokens_estimate": line.prompt_tokens,
            });
            (line.what.to_string(), facts)
        };
        let lines: serde_json::Map<_, _> = lines.iter().map(line).collect();
        print_json(&json!({
            "schema": 1,
            "command": "plan",
            "name": settings.name,
            "seed": settings.seed,
            "steps": plan.steps,
            "candidates_at_most": plan.candidates,
            "roles": lines,
        }))?;
    } else {
        print(table(&settings, &plan, &lines))?;
    }
    Ok(Exit::Ok)
}

fn lines(settings: &Settings, plan: &Plan) -> Vec<Line> {
    let line = |what, role: ModelRole, part: RolePlan| Line {
        what,
        calls: part.calls,
        new_tokens: part.new_tokens,
        prompt_tokens: part.calls.saturating_mul(longest_prompt(settings, role)),
    };
    vec![
        line("worker", ModelRole::Worker, plan.worker),
        line("optimizer", ModelRole::Optimizer, plan.optimizer),
        line("judge", ModelRole::Judge, plan.judge),
        line("held_out", ModelRole::Worker, held_out(settings)),
    ]
}

/// Returns the plan of scoring the seed and the optimized prompts on the test cases.
fn held_out(settings: &Settings) -> RolePlan {
    let cases = settings.test.as_ref().map_or(0, Vec::len);
    let graph = &settings.graph;
    let mut once = RolePlan::default();
    for (at, agent) in graph.agents().iter().enumerate() {
        once.calls += 1;
        once.new_tokens += agent.max_new_tokens as u64;
        if graph.edges().iter().any(|edge| edge.from == AgentId(at) && edge.view == EdgeView::Summary) {
            once.calls += 1;
            once.new_tokens += summary_tokens(settings.options.rollout.summary_words) as u64;
        }
    }
    // Verdicts take the optimized prompts once more, and one more call for each case.
    let train = settings.train.as_ref().map_or(0, Vec::len);
    let read = settings.verdicts.as_ref().map_or(0, |verdicts| match verdicts.max_fpr {
        Some(_) => cases + train,
        None => cases,
    });
    let runs = (2 * cases + read) as u64;
    RolePlan { calls: runs * once.calls + read as u64, new_tokens: runs * once.new_tokens }
}

fn table(settings: &Settings, plan: &Plan, lines: &[Line]) -> String {
    let mut text = format!(
        "{} (seed {}): {} steps, at most {} candidates\n\n{:<10} {:>14} {:>18} {:>22}\n",
        settings.name, settings.seed.0, plan.steps, plan.candidates, "", "calls", "new tokens", "prompt tokens"
    );
    text.push_str(&format!("{:<10} {:>14} {:>18} {:>22}\n", "", "at most", "at most", "rough upper estimate"));
    for line in lines {
        let what = line.what.replace('_', "-");
        text.push_str(&format!(
            "{what:<10} {:>14} {:>18} {:>22}\n",
            grouped(line.calls),
            grouped(line.new_tokens),
            grouped(line.prompt_tokens)
        ));
    }
    text.push_str(
        "\nCalls and new tokens are bounds. A run stays below them: repeated calls come from the cache, \
         outputs that did not\n\
         change are not judged, and most answers end before their limit. Prompt tokens are an estimate that \
         takes every\n\
         prompt to be the longest possible, at 3 bytes a token; prefixes that calls share are computed once.\n",
    );
    text
}

/// Returns the number with a blank between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}
