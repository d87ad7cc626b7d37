//! What happens at the end of a search with `search.gate = "anytime"`: the teams that the gate asks
//! about are run on the queries that were held back, block after block, and their answers are
//! judged. What follows from the verdicts is decided in `gate`.

use super::ascent::{CHECKED_AT_ONCE, CoordinateAscent};
use super::beam::round_score;
use super::evaluator::{Batch, Evaluator};
use super::events::{Event, FinalCheck};
use super::gate::{Gate, GateEnd, GateTest, Question};
use super::input::SearchError;
use crate::base::AgentId;
use crate::chat::ChatError;
use crate::reward::compare;
use crate::rollout::{Prompts, Trace};
use crate::stats::{EProcess, lower_bound};
use futures::future::try_join_all;
use std::collections::BTreeMap;

/// The first counter of a coin flip for the gate. Those of other comparisons are in `evaluator`.
const COIN_GATE: u64 = 16;

/// The mean verdict of a team that is no better than another one.
const NO_BETTER: f64 = 0.5;

impl CoordinateAscent<'_> {
    /// Has the gate decide which of the changes are kept. Every test is an event.
    pub(super) async fn gate(&mut self, optimized: Prompts) -> Result<FinalCheck, SearchError> {
        let input = self.input;
        let queries = self.evaluator.batch(&input.split().held_back);
        let mut runs = Runs { whole: optimized.clone(), of: Vec::new() };
        let mut gate = Gate::new(&input.graph, optimized, input.options.search.gate_alpha);
        input.budget.begin_closing();
        while let Some(question) = gate.next() {
            let test = self.test(question, &queries, &mut runs).await?;
            self.emit(Event::GateTest(test.clone())).await?;
            gate.answer(test);
        }
        Ok(gate.check())
    }

    /// Makes one test: it compares block after block of the queries until the evidence suffices or
    /// cannot suffice any more.
    async fn test(&mut self, question: Question, queries: &Batch, runs: &mut Runs) -> Result<GateTest, SearchError> {
        let limited = self.input.budget.is_limited();
        let block = if limited { CHECKED_AT_ONCE } else { self.input.options.search.batch };
        let (mut process, mut values) = (EProcess::against(NO_BETTER), Vec::new());
        let mut ended = GateEnd::Pool;
        for part in queries.chunks(block.max(1)) {
            if !process.can_reach(question.needed, queries.len() - values.len()) {
                ended = GateEnd::Hopeless;
                break;
            }
            match verdicts(&self.evaluator, &question, part, runs).await {
                Ok(more) => values.extend(more.into_iter().inspect(|value| process.observe(*value))),
                Err(ChatError::Budget) => {
                    self.forget_incomplete();
                    ended = GateEnd::Budget;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            self.complete = self.counters();
            self.input.budget.settle();
            if process.peak() >= question.needed {
                ended = GateEnd::Shown;
                break;
            }
        }
        Ok(GateTest {
            batch: queries.iter().map(|(at, _)| *at).take(values.len()).collect(),
            mean: (!values.is_empty()).then(|| round_score(values.iter().sum::<f64>() / values.len() as f64)),
            at_least: round_score(lower_bound(&values, 1.0 / question.needed)),
            evidence: round_score(process.peak()),
            needed: round_score(question.needed),
            tested: question.tested,
            values,
            ended,
        })
    }
}

/// Whether the team that is tested gives better answers than the other: 1, 0 or ½ per query.
async fn verdicts(
    evaluator: &Evaluator<'_>,
    question: &Question,
    queries: &[(usize, std::sync::Arc<str>)],
    runs: &mut Runs,
) -> Result<Vec<f64>, ChatError> {
    let new = runs.traces(evaluator, &question.team, queries).await?;
    let base = runs.traces(evaluator, &question.other, queries).await?;
    let (graph, draw) = (evaluator.graph, [COIN_GATE, question.draw]);
    let one = |(base, new)| compare(&evaluator.judge, graph, graph.terminal(), false, base, new, &draw);
    try_join_all(base.iter().zip(&new).map(one)).await
}

/// The traces of the teams on the queries so far, so that no team is run twice on a query.
struct Runs {
    /// The prompts of the team with all changes.
    whole: Prompts,
    /// The traces of every team, by the queries' positions in the pool.
    of: Vec<(Prompts, BTreeMap<usize, Trace>)>,
}

impl Runs {
    async fn traces(
        &mut self,
        evaluator: &Evaluator<'_>,
        team: &Prompts,
        queries: &[(usize, std::sync::Arc<str>)],
    ) -> Result<Vec<Trace>, ChatError> {
        let known = |runs: &Self, team: &Prompts, at: usize| {
            let (_, traces) = runs.of.iter().find(|(prompts, _)| prompts == team)?;
            traces.get(&at).cloned()
        };
        let missing: Batch = queries.iter().filter(|(at, _)| known(self, team, *at).is_none()).cloned().collect();
        let whole: Option<Vec<Trace>> = missing.iter().map(|(at, _)| known(self, &self.whole, *at)).collect();
        let traces = match (self.only_difference(team), whole) {
            // What is upstream of the agent is reused.
            (Some(agent), Some(whole)) => evaluator.runner.rerun_all(&whole, agent, team).await?,
            _ => evaluator.runner.run(team, &missing).await?,
        };
        let place = self.of.iter().position(|(prompts, _)| prompts == team).unwrap_or_else(|| {
            self.of.push((team.clone(), BTreeMap::new()));
            self.of.len() - 1
        });
        self.of[place].1.extend(traces.into_iter().map(|trace| (trace.item, trace)));
        Ok(queries.iter().filter_map(|(at, _)| known(self, team, *at)).collect())
    }

    /// The agent whose prompt alone is another than in the whole team.
    fn only_difference(&self, team: &Prompts) -> Option<AgentId> {
        let mut different = self.whole.iter().filter(|(id, prompt)| *prompt != team.get(*id)).map(|(id, _)| id);
        different.next().filter(|_| different.next().is_none())
    }
}
