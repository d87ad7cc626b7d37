//! A tree-structured Parzen estimator over the joint choice of instructions, as MIPRO has it: the
//! optimizer model writes several instructions per agent, and every trial chooses one for each
//! agent. A trial's value is the share of comparisons that its team wins against the seed prompts,
//! or its accuracy on labelled items.

use super::lab::{Lab, mean};
use crate::base::{Seed, Stage};
use crate::prompt::Template;
use crate::propose::{Draw, Proposal};
use crate::rollout::Prompts;
use crate::search::{Event, Proposed, SearchError, Trial};
use futures::future::try_join_all;
use rand::RngExt;

/// The good trials are one in so many, and at most [`MOST_GOOD`].
const GOOD_PART: usize = 10;
const MOST_GOOD: usize = 25;
/// The choices that are drawn from the good trials; the one that the bad trials favour least is
/// tried.
const DRAWN: usize = 24;

/// A choice of one instruction per agent, and its value.
pub(super) type Observation = (Vec<usize>, f64);

/// Has the instructions written, and then tries teams.
pub(super) async fn run(lab: &mut Lab<'_>) -> Result<(), SearchError> {
    let agents = lab.agents();
    let instructions = instructions(lab).await?;
    let sizes: Vec<usize> = instructions.iter().map(Vec::len).collect();
    let options = &lab.input.options;
    let size = lab.input.search.options.search.batch;
    let mut history: Vec<Observation> = Vec::new();
    let mut leader = 0;
    for number in 0..=options.trials {
        lab.input.search.proceed()?;
        let seed = lab.seed();
        let draw = [number as u64];
        let choice = match number {
            0 => vec![0; agents.len()],
            _ => choose(&history, &sizes, options.startup, seed.derive(Stage::Method, &draw)),
        };
        let chosen = agents.iter().zip(&instructions).zip(&choice);
        let prompts =
            chosen.fold(Prompts::seed(lab.graph()), |prompts, ((id, list), at)| prompts.with(*id, list[*at].clone()));
        let batch = lab.draw(size, seed.derive(Stage::MiniBatch, &draw));
        let base = lab.seed_traces(&batch).await?;
        let traces = if number == 0 { base.clone() } else { lab.runner.run(&prompts, &lab.batch(&batch)).await? };
        let values = lab.values(&base, &traces, &draw).await?;
        let score = mean(&values);
        history.push((choice, score));
        if score > history[leader].1 {
            leader = number;
            lab.best = prompts.clone();
        }
        let trial = Trial {
            number,
            parent: None,
            other: None,
            agent: None,
            prompts,
            batch,
            values,
            score,
            kept: true,
            leader,
            rejected: None,
            counters: lab.counters(),
        };
        lab.emit(Event::Trial(trial)).await?;
    }
    Ok(())
}

/// Returns the instructions of every agent, the seed prompt first. What cannot be used is counted
/// and left out.
async fn instructions(lab: &mut Lab<'_>) -> Result<Vec<Vec<Template>>, SearchError> {
    let size = lab.input.search.options.search.batch;
    let mut all = Vec::new();
    for id in lab.agents() {
        lab.input.search.proceed()?;
        let batch = lab.draw(size, lab.seed().derive(Stage::MiniBatch, &[0, id.0 as u64, 0]));
        let traces = lab.seed_traces(&batch).await?;
        let parent = lab.graph().agent(id).seed_prompt.clone();
        let propose = async |candidate: usize| {
            let path = [1, id.0 as u64, 1, 0, candidate as u64];
            let draw = Draw { path: &path, turn: candidate };
            lab.propose((lab.graph(), id), &parent, (&traces, &[]), draw).await
        };
        let written = try_join_all((0..lab.input.options.instructions - 1).map(propose)).await?;
        let asked = written.len();
        let mut list = vec![parent.clone()];
        for Proposal { prompt, .. } in written {
            if let Ok(sanitized) = prompt
                && list.iter().all(|known| known.text().trim() != sanitized.prompt.text().trim())
            {
                list.push(sanitized.prompt);
            }
        }
        let (usable, rejected) = (list.len() - 1, asked + 1 - list.len());
        lab.emit(Event::Proposed(Proposed { round: 1, agent: id, step: 1, usable, rejected })).await?;
        all.push(list);
    }
    Ok(all)
}

/// Chooses one category per dimension. The first trials are uniform. Later ones are drawn from the
/// good trials' counts, and of these draws the one with the greatest ratio of its probabilities
/// under the good and under the bad trials is returned.
pub(super) fn choose(history: &[Observation], sizes: &[usize], startup: usize, seed: Seed) -> Vec<usize> {
    let mut rng = seed.rng();
    // The first observation is that of the seed prompts, which nobody chose.
    if history.len() <= startup {
        return sizes.iter().map(|size| rng.random_range(0..*size as u64) as usize).collect();
    }
    let mut order: Vec<&Observation> = history.iter().collect();
    order.sort_by(|one, other| other.1.total_cmp(&one.1));
    let good = history.len().div_ceil(GOOD_PART).min(MOST_GOOD);
    let (good, bad) = order.split_at(good);
    let [good, bad] = [good, bad].map(|part| probabilities(part, sizes));
    let mut best: Option<(f64, Vec<usize>)> = None;
    for _ in 0..DRAWN {
        let choice: Vec<usize> = good.iter().map(|weights| pick(weights, rng.random::<f64>())).collect();
        let ratio = |(dimension, at): (usize, &usize)| (good[dimension][*at] / bad[dimension][*at]).ln();
        let score: f64 = choice.iter().enumerate().map(ratio).sum();
        if best.as_ref().is_none_or(|(known, _)| score > *known) {
            best = Some((score, choice));
        }
    }
    best.expect("there is a draw").1
}

/// The smoothed share of every category in every dimension: (count + 1) / (trials + categories).
pub(super) fn probabilities(trials: &[&Observation], sizes: &[usize]) -> Vec<Vec<f64>> {
    let share = |dimension: usize, category: usize, size: usize| {
        let count = trials.iter().filter(|(choice, _)| choice[dimension] == category).count();
        (count + 1) as f64 / (trials.len() + size) as f64
    };
    let weights = |(dimension, size): (usize, &usize)| (0..*size).map(|at| share(dimension, at, *size)).collect();
    sizes.iter().enumerate().map(weights).collect()
}

/// Returns the category at the point `at`, from 0 to 1, of the cumulative weights.
fn pick(weights: &[f64], at: f64) -> usize {
    let mut sum = 0.0;
    weights
        .iter()
        .position(|weight| {
            sum += weight;
            at < sum
        })
        .unwrap_or(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_per_dimension_and_smoothed() {
        let history = [(vec![0, 1], 0.5), (vec![1, 1], 0.9)];
        let trials: Vec<&Observation> = history.iter().collect();
        // Two trials: (1 + 1) / (2 + 2) each in the first dimension, (0 + 1) and (2 + 1) of 2 + 3
        // in the second.
        assert_eq!(probabilities(&trials, &[2, 3]), [vec![0.5, 0.5], vec![0.2, 0.6, 0.2]]);
    }

    #[test]
    fn the_first_trials_are_uniform_and_later_ones_follow_the_good() {
        let mut seen = [0; 4];
        for seed in 0..400 {
            seen[choose(&[(vec![0], 0.5)], &[4], 10, Seed(seed))[0]] += 1;
        }
        assert!(seen.iter().all(|count| *count > 60), "{seen:?}");
        // Twenty trials, of which the two with category 3 are the good ones.
        let history: Vec<Observation> =
            (0..20).map(|at| if at < 2 { (vec![3], 1.0) } else { (vec![at % 3], 0.4) }).collect();
        for seed in 0..50 {
            assert_eq!(choose(&history, &[4], 10, Seed(seed)), [3]);
        }
    }
}
