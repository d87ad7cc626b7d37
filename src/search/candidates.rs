//! The candidates of a step: which proposals are candidates, their evaluation on the mini-batch,
//! all of them on all of it or in a race, and what becomes of each.

use super::beam::{Node, child_score};
use super::evaluator::{Evaluated, Evaluator, Proposals, StepId};
use super::events::Outcome;
use super::racing::{Standing, blocks, still_in_race};
use crate::base::Seed;
use crate::chat::ChatError;
use crate::misalignment::is_misaligned;
use crate::prompt::{Rejection, Sanitized};
use crate::propose::Rejected;
use crate::rollout::Prompts;
use futures::future::try_join_all;

/// One proposal of a step, with its id if it can be evaluated.
pub(super) struct Candidate<'a> {
    /// The proposals that it is one of.
    pub(super) proposals: &'a Proposals,
    /// Its index in [`Proposals::list`].
    pub(super) index: usize,
    /// Its id and its prompt, or the reason why it is not evaluated.
    pub(super) usable: Result<(usize, &'a Sanitized), Rejected>,
}

/// Turns proposals into candidates: usable ones get ids from `made` on, in the order of creation. A
/// text that is already in the beam, or that was proposed before in this step, is a duplicate.
pub(super) fn deduplicate<'a>(parents: &[Node], by_parent: &'a [Proposals], made: usize) -> Vec<Candidate<'a>> {
    let mut known: Vec<&str> = parents.iter().map(|node| node.prompt.text().trim()).collect();
    let mut next = made;
    let mut candidates = Vec::new();
    for proposals in by_parent {
        for (index, proposal) in proposals.list.iter().enumerate() {
            let usable = match &proposal.prompt {
                Err(rejected) => Err(rejected.clone()),
                Ok(candidate) if known.contains(&candidate.prompt.text().trim()) => {
                    Err(Rejected { reason: Rejection::Duplicate, text: Some(candidate.prompt.text().to_string()) })
                }
                Ok(candidate) => {
                    known.push(candidate.prompt.text().trim());
                    next += 1;
                    Ok((next - 1, candidate))
                }
            };
            candidates.push(Candidate { proposals, index, usable });
        }
    }
    candidates
}

/// The candidates of a step, and what their evaluation needs. Results are in the order of the
/// candidates, with `None` for each one that is not usable.
pub(super) struct Field<'a> {
    pub(super) evaluator: &'a Evaluator<'a>,
    /// The best prompt of every agent.
    pub(super) best: &'a Prompts,
    pub(super) step_id: StepId,
    pub(super) candidates: &'a [Candidate<'a>],
}

impl Field<'_> {
    /// Evaluates all usable candidates concurrently on the whole mini-batch.
    pub(super) async fn evaluate(&self) -> Result<Vec<Option<Evaluated>>, ChatError> {
        let whole = |candidate: &Candidate<'_>| (0..candidate.proposals.traces.len()).collect::<Vec<_>>();
        let one = async |candidate| {
            let part = self.on(candidate, &whole(candidate)).await?;
            Ok(part.map(Evaluated::rounded))
        };
        try_join_all(self.candidates.iter().map(one)).await
    }

    /// Evaluates all usable candidates block by block, and drops those that can no longer reach the
    /// beam. The order of the queries derives from the seed of the step, and a drop never depends
    /// on which call finished first.
    pub(super) async fn race(
        &self,
        parents: &[Node],
        width: usize,
        error: f64,
        seed: Seed,
    ) -> Result<Vec<Option<Evaluated>>, ChatError> {
        let size = self.candidates.first().map_or(0, |candidate| candidate.proposals.traces.len());
        let parent_scores: Vec<f64> = parents.iter().map(|node| node.score).collect();
        let usable: Vec<usize> = (0..self.candidates.len()).filter(|at| self.candidates[*at].usable.is_ok()).collect();
        let mut racing = usable.clone();
        let mut parts: Vec<Evaluated> = self.candidates.iter().map(|_| Evaluated::default()).collect();
        let mut order = Vec::new();
        for block in blocks(size, seed) {
            let more = try_join_all(racing.iter().map(|at| self.on(&self.candidates[*at], &block))).await?;
            for (at, more) in racing.iter().zip(more) {
                parts[*at].extend(more.expect("only usable candidates race"));
            }
            order.extend(block);
            let standings: Vec<Standing> = racing
                .iter()
                .map(|&at| Standing {
                    parent_score: parent_scores[self.candidates[at].proposals.parent],
                    rewards: parts[at].reward.samples.iter().map(|sample| sample.joint).collect(),
                })
                .collect();
            let mut stays = still_in_race(&parent_scores, width, &standings, size, error).into_iter();
            if order.len() < size {
                racing.retain(|_| stays.next().expect("there is an answer for every candidate"));
            }
        }
        let finish = |(at, part): (usize, Evaluated)| usable.contains(&at).then(|| part.in_order(&order).rounded());
        Ok(parts.into_iter().enumerate().map(finish).collect())
    }

    /// Evaluates a candidate on the queries at these indices of the mini-batch.
    async fn on(&self, candidate: &Candidate<'_>, queries: &[usize]) -> Result<Option<Evaluated>, ChatError> {
        let Candidate { proposals, index, usable } = candidate;
        let Ok((_, sanitized)) = usable else { return Ok(None) };
        let base: Vec<_> = queries.iter().map(|at| proposals.traces[*at].clone()).collect();
        let position = [proposals.parent, *index];
        self.evaluator.candidate(self.step_id, self.best, &base, &sanitized.prompt, position).await.map(Some)
    }
}

/// The outcome of a candidate. One that was evaluated on the whole mini-batch of `size` queries is
/// added to `nodes` with the score J(c) = J(p) + R − ½.
pub(super) fn outcome(
    candidate: &Candidate<'_>,
    evaluated: Option<&Evaluated>,
    size: usize,
    parent: &Node,
    nodes: &mut Vec<Node>,
) -> Outcome {
    match (&candidate.usable, evaluated) {
        (Err(Rejected { reason, text }), _) => Outcome::Rejected { reason: *reason, text: text.clone() },
        (Ok(_), None) => unreachable!("every usable candidate is evaluated"),
        (Ok((id, candidate)), Some(evaluated)) => {
            let score = child_score(parent.score, evaluated.reward.mean);
            let samples = &evaluated.reward.samples;
            let dropped_after = (samples.len() < size).then_some(samples.len());
            if dropped_after.is_none() {
                nodes.push(Node { id: *id, prompt: candidate.prompt.clone(), score, verdicts: samples.clone() });
            }
            Outcome::Scored {
                id: *id,
                prompt: candidate.prompt.clone(),
                repaired: candidate.repaired,
                reward: evaluated.reward.clone(),
                score,
                local_better: samples.iter().filter(|sample| sample.local > Some(0.5)).count(),
                misaligned: samples.iter().filter(|sample| is_misaligned(sample)).count(),
                dropped_after,
            }
        }
    }
}
