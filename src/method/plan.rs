//! The upper bound for a method's calls and tokens, before it starts.

use super::{AnswerSets, Feedback, MethodKind, MethodOptions};
use crate::graph::Graph;
use crate::judge::JudgeMode;
use crate::search::{self, GateMode, Options, Plan, RolePlan, judge_cost, optimizable, team_cost};

/// Computes the upper bound for a method on a pool of `pool` queries and `labelled` labelled items.
/// An evaluation on held-out cases is not included, and for the methods without a search it is all
/// that there is.
pub fn plan(
    method: MethodKind,
    methods: &MethodOptions,
    graph: &Graph,
    options: &Options,
    (pool, labelled): (usize, usize),
) -> Plan {
    let agents = optimizable(graph).len();
    let labels = method.needs_labels(methods);
    let items = if labels { labelled.min(methods.train_items) } else { pool };
    let batch = options.search.batch.min(items) as u64;
    let team = team_cost(graph, options);
    // What a method runs and asks for: steps, runs of the team, proposals, comparisons.
    let (steps, runs, proposals, comparisons) = match method {
        MethodKind::Maspo => return search::plan(graph, options, pool),
        MethodKind::Random => {
            let mut options = options.clone();
            options.judge.mode = JudgeMode::Coin;
            options.search.gate = GateMode::Final;
            return search::plan(graph, &options, pool);
        }
        MethodKind::Vanilla | MethodKind::Cot | MethodKind::Sc | MethodKind::SelfRefine => (0, 0, 0, 0),
        MethodKind::Spo => {
            let steps = methods.sweeps.saturating_mul(agents * methods.rounds);
            let questions = methods.questions.min(items) as u64;
            let votes = match methods.compare {
                AnswerSets::Set => methods.votes as u64,
                AnswerSets::Items => questions,
            };
            (steps, (steps as u64).saturating_mul(2 * questions), steps as u64, (steps as u64).saturating_mul(votes))
        }
        MethodKind::Tpe => {
            let proposals = (agents * (methods.instructions - 1)) as u64;
            let trials = methods.trials as u64;
            let runs = agents as u64 * batch + (2 * trials + 1) * batch;
            (methods.trials + 1, runs, proposals, trials * batch)
        }
        MethodKind::Gepa => {
            let (trials, items) = (methods.trials as u64, items as u64);
            let few = methods.minibatch as u64;
            (methods.trials + 1, items + trials * (few + items), trials, trials * (few + items))
        }
        MethodKind::AgentDropout => {
            let passes = 2 * methods.epochs;
            let updates = passes * items.div_ceil(methods.update_items.max(1));
            (updates, (passes * items) as u64, 0, 0)
        }
    };
    let comparisons = if methods.feedback == Feedback::Labels && labels { 0 } else { comparisons };
    let times = |one: RolePlan, times: u64| RolePlan {
        calls: one.calls.saturating_mul(times),
        new_tokens: one.new_tokens.saturating_mul(times),
    };
    Plan {
        steps,
        candidates: proposals,
        worker: times(team, runs),
        optimizer: times(RolePlan { calls: 1, new_tokens: options.propose.max_new_tokens as u64 }, proposals),
        judge: times(judge_cost(options), comparisons),
    }
}
