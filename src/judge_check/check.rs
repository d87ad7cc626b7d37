//! The check itself: it asks the judge about all pairs and counts what it replies.

use super::figures::{JudgeCheck, KnownLine, ModelLine, Share};
use super::pairs::{Known, KnownPair, Pair, damaged, resampled};
use super::slope;
use crate::base::Seed;
use crate::chat::ChatError;
use crate::graph::Graph;
use crate::judge::template::{Answer, Question};
use crate::judge::{Inspection, Judge, Opinion, Rubric, Verdict};
use crate::rollout::Trace;
use futures::FutureExt;
use futures::future::try_join_all;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a check is made on.
pub struct CheckInput<'a> {
    /// The graph of agents.
    pub graph: &'a Graph,
    /// The judge.
    pub judge: &'a Judge,
    /// Runs of the seed prompts.
    pub runs: &'a [Trace],
    /// Other runs of the same prompts on the same queries, with sampling.
    pub again: &'a [Trace],
    /// Pairs of known order, beside those that are made by damaging outputs.
    pub known: Vec<KnownPair>,
    /// The seed of what is damaged by chance.
    pub seed: Seed,
}

/// Checks a judge.
///
/// # Errors
/// Returns every error of the judge's model except an overflow, which counts as no answer.
pub async fn check(input: CheckInput<'_>) -> Result<JudgeCheck, ChatError> {
    let CheckInput { graph, judge, runs, again, known, seed } = input;
    let resampled = resampled(graph, runs, again);
    let same: Vec<Pair> = runs.iter().flat_map(|trace| same_twice(graph, trace)).collect();
    let known: Vec<KnownPair> = damaged(graph, runs, seed).into_iter().chain(known).collect();

    let of_same = inspect(judge, graph, &same).await?;
    let of_resampled = inspect(judge, graph, &resampled).await?;
    let pairs: Vec<Pair> = known.iter().map(|known| known.pair.clone()).collect();
    let of_known = inspect(judge, graph, &pairs).await?;

    let different = || of_resampled.iter().chain(&of_known);
    let all = || different().chain(&of_same);
    let replies = || all().flat_map(Inspection::rubrics).flat_map(|rubric| &rubric.first_shown);
    let masses: Vec<f64> =
        all().flat_map(Inspection::rubrics).flat_map(|rubric| &rubric.letter_mass).filter_map(|mass| *mass).collect();
    let shown_first = of_same.iter().flat_map(Inspection::rubrics).flat_map(|rubric| &rubric.first_shown);
    let right = |wanted: fn(Known) -> bool| {
        let verdicts = known.iter().zip(&of_known).filter(|(known, _)| wanted(known.known));
        Share::count(verdicts.filter_map(|(_, inspection)| is_right(&inspection.verdict)))
    };
    // A slope is applied to the score of each model.
    let scores: Vec<f64> =
        of_known.iter().flat_map(|one| &one.opinions).filter_map(|opinion| opinion.verdict.score).collect();
    let names = judge.models();
    let model = |(at, name): (usize, &String)| {
        let right = |wanted: fn(Known) -> bool| {
            let verdicts = known.iter().zip(&of_known).filter(|(known, _)| wanted(known.known));
            Share::count(verdicts.filter_map(|(_, one)| is_right(&one.opinions[at].verdict)))
        };
        let rubrics = || different().flat_map(|one| &one.opinions[at].rubrics);
        ModelLine {
            model: name.clone(),
            consistency: Share::count(rubrics().filter_map(Rubric::orders_agree)),
            unparsable: Share::count(rubrics().flat_map(|rubric| &rubric.first_shown).map(Option::is_none)),
            damaged: right(|known| matches!(known, Known::Damaged(_))),
            labelled: right(|known| !matches!(known, Known::Damaged(_))),
        }
    };
    let several = names.len() > 1;
    Ok(JudgeCheck {
        consistency: Share::count(different().flat_map(Inspection::rubrics).filter_map(Rubric::orders_agree)),
        first_shown: Share::count(
            shown_first.filter_map(|sign| sign.filter(|sign| sign.is_ne())).map(|sign| sign == Ordering::Greater),
        ),
        ties: Share::count(of_resampled.iter().map(|inspection| inspection.verdict.value == 0.5)),
        unparsable: Share::count(replies().map(Option::is_none)),
        letter_mass: (!masses.is_empty()).then(|| masses.iter().sum::<f64>() / masses.len() as f64),
        rubric_agreement: rubric_agreement(different()),
        model_agreement: several.then(|| Share::count(different().filter_map(Inspection::models_agree))),
        models: names.iter().enumerate().filter(|_| several).map(model).collect(),
        known: lines(graph, &known, &of_known),
        damaged: right(|known| matches!(known, Known::Damaged(_))),
        labelled: right(|known| !matches!(known, Known::Damaged(_))),
        slope: slope::fit(&scores),
    })
}

/// Returns every agent's output beside itself.
fn same_twice(graph: &Graph, trace: &Trace) -> Vec<Pair> {
    let usable = graph.order().iter().filter(|agent| !trace.run(**agent).is_blank());
    let pair = |agent: &crate::base::AgentId| {
        let run = trace.run(*agent);
        Pair {
            agent: *agent,
            question: trace.question.to_string(),
            context: (!run.context.is_empty()).then(|| run.context.clone()),
            answers: [run.output.clone(), run.output.clone()],
        }
    };
    usable.map(pair).collect()
}

async fn inspect(judge: &Judge, graph: &Graph, pairs: &[Pair]) -> Result<Vec<Inspection>, ChatError> {
    let one = |pair: &Pair| {
        let pair = pair.clone();
        async move {
            let agent = graph.agent(pair.agent);
            let question = Question {
                role: &agent.role,
                question: &pair.question,
                context: pair.context.as_deref(),
                frozen: &agent.frozen,
            };
            let [first, second] = &pair.answers;
            judge.inspect(&question, [Answer::from(first.as_str()), Answer::from(second.as_str())]).await
        }
        .boxed()
    };
    try_join_all(pairs.iter().map(one).collect::<Vec<_>>()).await
}

/// Whether the better answer, the first one, won; `None` for a tie.
fn is_right(verdict: &Verdict) -> Option<bool> {
    match verdict.value.partial_cmp(&0.5)? {
        Ordering::Equal => None,
        ordering => Some(ordering == Ordering::Greater),
    }
}

fn rubric_agreement<'a>(inspections: impl Iterator<Item = &'a Inspection>) -> Option<Share> {
    let several: Vec<&Opinion> =
        inspections.flat_map(|one| &one.opinions).filter(|opinion| opinion.rubrics.len() > 1).collect();
    let agree = |opinion: &&Opinion| {
        let preferred: Option<Vec<Ordering>> = opinion.rubrics.iter().map(|rubric| rubric.preferred).collect();
        preferred.map(|preferred| preferred.windows(2).all(|two| two[0] == two[1]))
    };
    (!several.is_empty()).then(|| Share::count(several.iter().filter_map(agree)))
}

fn lines(graph: &Graph, known: &[KnownPair], inspections: &[Inspection]) -> Vec<KnownLine> {
    let mut groups: BTreeMap<(usize, Known), Vec<Option<bool>>> = BTreeMap::new();
    let place = |agent| graph.order().iter().position(|other| *other == agent).expect("the agent is of the graph");
    for (pair, inspection) in known.iter().zip(inspections) {
        groups.entry((place(pair.pair.agent), pair.known)).or_default().push(is_right(&inspection.verdict));
    }
    let line = |((place, known), verdicts): ((usize, Known), Vec<Option<bool>>)| KnownLine {
        agent: graph.agent(graph.order()[place]).name.clone(),
        known,
        ties: verdicts.iter().filter(|verdict| verdict.is_none()).count(),
        right: Share::count(verdicts.into_iter().flatten()),
    };
    groups.into_iter().map(line).collect()
}
