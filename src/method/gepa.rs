//! A search in the manner of GEPA (arXiv 2507.19457): candidates are whole teams, kept on a Pareto
//! front over the items. A parent is drawn by the number of items that it leads on; the prompt of
//! one agent, round-robin, is rewritten from a few of its traces with their verdicts; and the new
//! team joins if it is better on these few items. Then it is scored on all items, by the judge
//! against the seed prompts or by labels. If the options say so, a step after which a team joined
//! is followed by a merge of two leading teams.

use super::lab::{Lab, mean};
use super::merge::{Member, Merge, merges};
use crate::base::{AgentId, Seed, Stage};
use crate::chat::ChatError;
use crate::prompt::Rejection;
use crate::propose::Draw;
use crate::reward::SampleReward;
use crate::rollout::{Prompts, Trace};
use crate::search::{Event, SearchError, Trial};
use rand::RngExt;
use std::collections::BTreeSet;

/// A team with its traces and values on all items.
struct Team {
    trial: usize,
    /// The teams that it was written or merged from, by position.
    parents: Vec<usize>,
    prompts: Prompts,
    traces: Vec<Trace>,
    values: Vec<f64>,
}

/// What became of a step.
struct Tried {
    prompts: Prompts,
    /// The items that it was tried on, and its values there.
    batch: Vec<usize>,
    values: Vec<f64>,
    /// Whether it is kept for later trials.
    kept: bool,
    /// The team, if it joined.
    team: Option<Team>,
    rejected: Option<Rejection>,
}

/// Where the prompts of a trial come from.
#[derive(Clone, Copy, Default)]
struct Origin {
    /// The trial of its team.
    parent: Option<usize>,
    /// The other trial, if two teams are merged.
    other: Option<usize>,
    /// The agent whose prompt is rewritten.
    agent: Option<AgentId>,
}

/// Scores the seed prompts and then takes as many steps as the options say.
pub(super) async fn run(lab: &mut Lab<'_>) -> Result<(), SearchError> {
    let agents = lab.agents();
    let all: Vec<usize> = (0..lab.item_count()).collect();
    let traces = lab.seed_traces(&all).await?;
    let values = lab.values(&traces, &traces, &[0]).await?;
    let mut teams = vec![Team { trial: 0, parents: Vec::new(), prompts: lab.best.clone(), traces, values }];
    let mut best = 0;
    emit(lab, 0, Origin::default(), &tried_seed(&teams[0], all), 0).await?;
    let (mut rewritten, mut merged, mut joined) = (0, BTreeSet::new(), false);
    for number in 1..=lab.input.options.trials {
        lab.input.search.proceed()?;
        let seed = lab.seed().derive(Stage::Method, &[number as u64]);
        let merge =
            if joined && merged.len() < lab.input.options.merges { draw_merge(&teams, &merged, seed) } else { None };
        let (origin, mut tried) = match merge {
            Some(merge) => {
                let (one, other) = merge.pair;
                merged.insert(merge.pair);
                let [parent, other] = [one, other].map(|at| Some(teams[at].trial));
                (Origin { parent, other, agent: None }, try_merge(lab, &teams, merge, number).await?)
            }
            None => {
                let parent = draw_parent(&fronts(&teams), seed);
                let agent = agents[rewritten % agents.len()];
                rewritten += 1;
                let origin = Origin { parent: Some(teams[parent].trial), other: None, agent: Some(agent) };
                (origin, step(lab, &teams, parent, agent, number).await?)
            }
        };
        // One merge at most follows a team that joined by itself.
        joined = tried.team.is_some() && origin.other.is_none();
        if let Some(team) = tried.team.take() {
            if mean(&team.values) > mean(&teams[best].values) {
                best = teams.len();
                lab.best = team.prompts.clone();
            }
            tried.batch = (0..team.values.len()).collect();
            tried.values = team.values.clone();
            teams.push(team);
        }
        emit(lab, number, origin, &tried, teams[best].trial).await?;
    }
    Ok(())
}

/// The values of all teams.
fn fronts(teams: &[Team]) -> Vec<&[f64]> {
    teams.iter().map(|team| &*team.values).collect()
}

fn tried_seed(team: &Team, all: Vec<usize>) -> Tried {
    Tried {
        prompts: team.prompts.clone(),
        batch: all,
        values: team.values.clone(),
        kept: true,
        team: None,
        rejected: None,
    }
}

async fn emit(
    lab: &mut Lab<'_>,
    number: usize,
    origin: Origin,
    tried: &Tried,
    leader: usize,
) -> Result<(), SearchError> {
    let Tried { prompts, batch, values, kept, rejected, .. } = tried;
    let Origin { parent, other, agent } = origin;
    let trial = Trial {
        number,
        parent,
        other,
        agent,
        prompts: prompts.clone(),
        kept: *kept,
        batch: batch.clone(),
        score: mean(values),
        values: values.clone(),
        leader,
        rejected: *rejected,
        counters: lab.counters(),
    };
    lab.emit(Event::Trial(trial)).await
}

/// Rewrites the prompt of `agent` in the team `parent`, and tries the new team.
async fn step(
    lab: &mut Lab<'_>,
    teams: &[Team],
    parent: usize,
    agent: AgentId,
    number: usize,
) -> Result<Tried, ChatError> {
    let team = &teams[parent];
    let batch = lab.draw(lab.input.options.minibatch, lab.seed().derive(Stage::MiniBatch, &[number as u64]));
    let few: Vec<Trace> = batch.iter().map(|at| team.traces[*at].clone()).collect();
    let verdict = |at: &usize| {
        let value = team.values[*at];
        SampleReward { item: *at, local: None, lookahead: None, global: Some(value), joint: value }
    };
    let verdicts: Vec<SampleReward> = batch.iter().map(verdict).collect();
    let path = [1, agent.0 as u64, number as u64, parent as u64, 0];
    let draw = Draw { path: &path, turn: number - 1 };
    let written = lab.propose((lab.graph(), agent), team.prompts.get(agent), (&few, &verdicts), draw).await?;
    let failed = |reason| Tried {
        prompts: team.prompts.clone(),
        batch: Vec::new(),
        values: Vec::new(),
        kept: false,
        team: None,
        rejected: Some(reason),
    };
    let prompts = match written.prompt {
        Err(rejected) => return Ok(failed(rejected.reason)),
        Ok(sanitized) => team.prompts.with(agent, sanitized.prompt),
    };
    if teams.iter().any(|known| known.prompts == prompts) {
        return Ok(failed(Rejection::Duplicate));
    }
    let draw = [number as u64];
    let new = lab.runner.rerun_all(&few, agent, &prompts).await?;
    // The judge compares the child's answers with the parent's; labels score both.
    let values = lab.values(&few, &new, &draw).await?;
    let bar = match lab.input.options.feedback {
        super::Feedback::Judge => 0.5,
        super::Feedback::Labels => mean(&batch.iter().map(|at| team.values[*at]).collect::<Vec<_>>()),
    };
    if mean(&values) <= bar {
        return Ok(Tried { prompts, batch, values, kept: false, team: None, rejected: None });
    }
    let traces = lab.runner.rerun_all(&team.traces, agent, &prompts).await?;
    let joined = join(lab, vec![parent], prompts.clone(), traces, number).await?;
    Ok(Tried { prompts, batch, values, kept: true, team: Some(joined), rejected: None })
}

/// Scores a team on all items.
async fn join(
    lab: &mut Lab<'_>,
    parents: Vec<usize>,
    prompts: Prompts,
    traces: Vec<Trace>,
    number: usize,
) -> Result<Team, ChatError> {
    let all: Vec<usize> = (0..lab.item_count()).collect();
    let base = lab.seed_traces(&all).await?;
    let values = lab.values(&base, &traces, &[number as u64, 1]).await?;
    Ok(Team { trial: number, parents, prompts, traces, values })
}

/// Tries a merged team on a few items. It joins if it is not worse there than the better of the two
/// teams.
async fn try_merge(lab: &mut Lab<'_>, teams: &[Team], merge: Merge, number: usize) -> Result<Tried, ChatError> {
    let Merge { pair: (one, other), prompts } = merge;
    let batch = lab.draw(lab.input.options.minibatch, lab.seed().derive(Stage::MiniBatch, &[number as u64]));
    let base = lab.seed_traces(&batch).await?;
    let few = lab.runner.run(&prompts, &lab.batch(&batch)).await?;
    let values = lab.values(&base, &few, &[number as u64]).await?;
    let on_batch = |team: usize| mean(&batch.iter().map(|at| teams[team].values[*at]).collect::<Vec<_>>());
    let kept = mean(&values) >= on_batch(one).max(on_batch(other));
    let team = if kept {
        let rest: Vec<usize> = (0..lab.item_count()).filter(|at| !batch.contains(at)).collect();
        let mut traces = lab.runner.run(&prompts, &lab.batch(&rest)).await?;
        traces.extend(few);
        traces.sort_by_key(|trace| trace.item);
        Some(join(lab, vec![one, other], prompts.clone(), traces, number).await?)
    } else {
        None
    };
    Ok(Tried { prompts, batch, values, kept, team, rejected: None })
}

/// Draws one of the merges that were not tried; `None` if there is none.
fn draw_merge(teams: &[Team], tried: &BTreeSet<(usize, usize)>, seed: Seed) -> Option<Merge> {
    let members: Vec<Member<'_>> = teams
        .iter()
        .zip(leads(&fronts(teams)))
        .map(|(team, leads)| Member {
            prompts: &team.prompts,
            parents: &team.parents,
            mean: mean(&team.values),
            leads: leads > 0,
        })
        .collect();
    let mut possible: Vec<Merge> = merges(&members).into_iter().filter(|merge| !tried.contains(&merge.pair)).collect();
    if possible.is_empty() {
        return None;
    }
    let at = seed.rng().random_range(0..possible.len() as u64) as usize;
    Some(possible.swap_remove(at))
}

/// Returns the number of items that each team leads on, alone or with others. A team whose leads
/// another team has too leads on nothing; of two with equal leads the earlier one keeps them.
pub(super) fn leads(teams: &[&[f64]]) -> Vec<usize> {
    let items = teams.first().map_or(0, |values| values.len());
    let top = |item: usize| teams.iter().map(|values| values[item]).fold(f64::NEG_INFINITY, f64::max);
    let led = |values: &&[f64]| (0..items).filter(|item| values[*item] == top(*item)).collect::<Vec<_>>();
    let led: Vec<Vec<usize>> = teams.iter().map(led).collect();
    let covers = |one: usize, other: usize| led[other].iter().all(|item| led[one].contains(item));
    let dominated = |own: usize| {
        (0..teams.len()).any(|other| other != own && covers(other, own) && (!covers(own, other) || other < own))
    };
    (0..teams.len()).map(|own| if dominated(own) { 0 } else { led[own].len() }).collect()
}

/// Draws a team by the number of items that it leads on.
fn draw_parent(teams: &[&[f64]], seed: Seed) -> usize {
    let leads = leads(teams);
    let all: usize = leads.iter().sum();
    let mut at = seed.rng().random_range(0..all.max(1) as u64) as usize;
    for (team, lead) in leads.iter().enumerate() {
        if at < *lead {
            return team;
        }
        at -= lead;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_counted_over_items_and_dominated_teams_have_none() {
        let check = |teams: &[&[f64]], expected: &[usize]| assert_eq!(leads(teams), expected, "{teams:?}");
        check(&[&[0.5, 0.5, 0.5]], &[3]);
        check(&[&[0.5, 0.5, 0.5], &[1.0, 0.0, 0.5]], &[2, 2]);
        // The third leads where the second does, and on one more.
        check(&[&[0.5, 0.5, 0.5], &[1.0, 0.0, 0.0], &[1.0, 0.5, 0.0]], &[2, 0, 2]);
        check(&[&[1.0, 0.0], &[1.0, 0.0]], &[2, 0]);
    }

    #[test]
    fn parents_are_drawn_by_their_leads() {
        let teams: [&[f64]; 2] = [&[0.0, 0.0, 0.0, 1.0], &[1.0, 1.0, 1.0, 0.0]];
        let second = (0..400).filter(|seed| draw_parent(&teams, Seed(*seed)) == 1).count();
        assert!((250..350).contains(&second), "{second} of 400, and three of four leads are the second's");
    }
}
