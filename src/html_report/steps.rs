//! The steps of the search with the terms of their rewards, the refreshes, and what the judge is
//! worth.

use super::agents::terms;
use super::input::Run;
use super::numbers::{interval, percent, share, signed, thousands};
use super::visible::name;
use crate::judge::JudgeStats;
use crate::reward::SampleReward;
use crate::search::{FinalVerdict, Outcome, Refreshed, Step};
use crate::stats::wilson;
use minijinja::{Value, context};

/// The most steps on a page with one run, and with many.
const MOST: (usize, usize) = (500, 40);

/// The steps, one row each.
pub(super) fn view(run: &Run<'_>) -> Option<Value> {
    let result = run.result.as_ref()?;
    if result.steps.is_empty() {
        return None;
    }
    let row = |step: &Step| {
        let scored = |candidate: &crate::search::CandidateRecord| match &candidate.outcome {
            Outcome::Scored { reward, .. } => Some(reward.clone()),
            Outcome::Rejected { .. } => None,
        };
        let rewards: Vec<_> = step.candidates.iter().filter_map(scored).collect();
        let samples: Vec<SampleReward> = rewards.iter().flat_map(|reward| reward.samples.clone()).collect();
        let best = rewards
            .iter()
            .map(|reward| reward.mean)
            .fold(None, |best: Option<f64>, mean| Some(best.map_or(mean, |best| best.max(mean))));
        let [local, lookahead, global] = terms(&samples).map(|term| term.map(share));
        context! {
            round => step.round,
            agent => name(&result.agents[step.agent.0]),
            step => step.step,
            tried => rewards.len(),
            rejected => step.candidates.len() - rewards.len(),
            reward => best.map(share),
            local => local,
            lookahead => lookahead,
            global => global,
            score => step.beam.first().map(|best| signed(best.score)),
            cases => step.cases,
            improved => step.improved,
        }
    };
    let most = run.scaled(MOST.0, MOST.1);
    let refreshes = result.refreshes.iter().filter(|refreshed| refreshed.after.len() > 1).take(most);
    Some(context! {
        rows => result.steps.iter().take(most).map(row).collect::<Vec<_>>(),
        left_out => result.steps.len().saturating_sub(most),
        refreshes => refreshes.map(|refreshed| refresh(run, refreshed)).collect::<Vec<_>>(),
    })
}

fn refresh(run: &Run<'_>, refreshed: &Refreshed) -> Value {
    context! {
        round => refreshed.round,
        agent => run.result.as_ref().map(|result| name(&result.agents[refreshed.agent.0])),
        tau => refreshed.tau.map_or("undefined".to_string(), |tau| format!("{tau:+.2}")),
        same => refreshed.top1,
        applied => refreshed.applied,
    }
}

/// The judge's counters and rates, with intervals; `None` if it was never asked.
pub(super) fn judge(run: &Run<'_>) -> Option<Value> {
    let stats = run.result.as_ref()?.judge;
    if stats.comparisons == 0 {
        return None;
    }
    let JudgeStats { comparisons, asked, identical, coin, consistent, inconsistent, .. } = stats;
    let rate = |part: u64, whole: u64| {
        (whole > 0).then(|| {
            let (value, bounds) = (part as f64 / whole as f64, wilson(part as usize, whole as usize));
            let of = format!("{} of {}", thousands(part), thousands(whole));
            format!("{} (95 % interval {}; {of})", percent(value), interval(bounds))
        })
    };
    let judged = stats.judged();
    let rows = [
        ("comparisons", Some(thousands(comparisons))),
        ("model calls for them", Some(thousands(asked))),
        ("of equal texts, not asked", Some(thousands(identical))),
        ("decided by a coin", (coin > 0).then(|| thousands(coin))),
        ("both orders agreed", rate(consistent, consistent + inconsistent)),
        ("ties, for whatever reason", rate(judged - stats.decided, judged)),
        ("no answer in the reply", rate(stats.unparsable + stats.low_mass, judged)),
        ("too long for the model", (stats.overflow > 0).then(|| thousands(stats.overflow))),
    ];
    let row = |(name, value): (&str, Option<String>)| Some(context! { name => name, value => value? });
    Some(context! {
        rows => rows.into_iter().filter_map(row).collect::<Vec<_>>(),
        agreement => agreement(run),
    })
}

/// Whether the judge's closing comparison points where the held-out cases do.
fn agreement(run: &Run<'_>) -> Option<String> {
    let difference = run.report.as_ref()?.difference?;
    let check = run.result.as_ref()?.final_check.as_ref()?;
    let mean = check.mean?;
    let judged = match check.verdict {
        FinalVerdict::Optimized => "the new prompts",
        FinalVerdict::Seed => "the seed prompts",
        FinalVerdict::Tie => "neither",
        _ => return None,
    };
    Some(format!(
        "In the closing comparison it preferred {judged} (mean {mean:.2}); on the held-out cases, whose answers it \
         never saw, the accuracy changed by {}.",
        signed(difference.value)
    ))
}
