//! The beam of one agent and its arithmetic, as pure functions: scores J accumulate along the
//! lineage, the top K prompts stay, and a refresh replaces all scores (Eq. 8).

use super::events::Ranked;
use crate::prompt::Template;
use crate::reward::SampleReward;
use crate::stats::kendall_tau_b;

/// One prompt of a beam with its score.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    /// Order of creation within the agent; 0 is the seed prompt.
    pub(super) id: usize,
    /// The prompt p.
    pub(super) prompt: Template,
    /// The score J(p), accumulated along the lineage.
    pub(super) score: f64,
    /// The samples of its evaluation, against the prompt that it was written from; empty for the
    /// seed prompt. The optimizer model is shown them as verdicts.
    pub(super) verdicts: Vec<SampleReward>,
}

/// The ids and scores of the nodes, as an event stores them.
pub(super) fn ranks(beam: &[Node]) -> Vec<Ranked> {
    beam.iter().map(|node| Ranked { id: node.id, score: node.score }).collect()
}

/// Rounds a score to twelve decimals. Sums of the same terms in another order then become equal, so
/// that a tie is a tie, and a score survives being written as JSON and read back.
pub(crate) fn round_score(score: f64) -> f64 {
    // Adding zero turns -0 into 0.
    (score * 1e12).round() / 1e12 + 0.0
}

/// The score of a child, J(c) = J(p) + R(c, p) − ½.
pub(super) fn child_score(parent: f64, reward: f64) -> f64 {
    round_score(parent + reward - 0.5)
}

/// Returns the top `width` of parents and candidates by J, each prompt text once. Ties go to the
/// parents, in beam order, then to the candidate that was created first.
pub(super) fn select(parents: &[Node], candidates: &[Node], width: usize) -> Vec<Node> {
    let mut beam: Vec<Node> = Vec::with_capacity(parents.len() + candidates.len());
    for node in parents.iter().chain(candidates) {
        if beam.iter().all(|kept| kept.prompt != node.prompt) {
            beam.push(node.clone());
        }
    }
    // The sort is stable, which decides ties.
    beam.sort_by(|a, b| b.score.total_cmp(&a.score));
    beam.truncate(width);
    beam
}

/// Returns the beam's first node if it scores higher than the incumbent, and `None` if the
/// incumbent stays the best prompt. A tie keeps the incumbent.
pub(super) fn improvement<'a>(beam: &'a [Node], incumbent: &Node) -> Option<&'a Node> {
    beam.first().filter(|first| first.score > incumbent.score)
}

/// Re-scores a beam (Eq. 8): every J is dropped, and J(p) = R(p, best) − ½. The reward `None`
/// stands for best itself, whose score is 0. Nodes with equal scores keep their old order.
pub(super) fn rescore(beam: &[Node], rewards: &[Option<f64>]) -> Vec<Node> {
    let fresh = |(node, reward): (&Node, &Option<f64>)| Node {
        score: reward.map_or(0.0, |reward| child_score(0.0, reward)),
        ..node.clone()
    };
    let mut beam: Vec<_> = beam.iter().zip(rewards).map(fresh).collect();
    beam.sort_by(|a, b| b.score.total_cmp(&a.score));
    beam
}

/// Returns the rank correlation (Kendall's tau-b) of two rankings of the same beam, and whether
/// both have the same first node. The correlation is `None` for fewer than two nodes and where all
/// nodes are tied. The nodes of `after` may be in any order.
pub(super) fn rank_correlation(before: &[Node], after: &[Node]) -> (Option<f64>, bool) {
    let score_after = |node: &Node| {
        let found = after.iter().find(|other| other.id == node.id);
        found.expect("a refresh keeps the nodes of the beam").score
    };
    let old: Vec<_> = before.iter().map(|node| node.score).collect();
    let new: Vec<_> = before.iter().map(score_after).collect();
    let same_first = before.first().map(|node| node.id) == after.first().map(|node| node.id);
    (kendall_tau_b(&old, &new).map(round_score), same_first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn nodes(specs: &[(usize, &str, f64)]) -> Vec<Node> {
        specs
            .iter()
            .map(|&(id, prompt, score)| Node { id, prompt: Template::new(prompt), score, verdicts: vec![] })
            .collect()
    }

    fn text(beam: &[Node]) -> String {
        beam.iter().map(|node| format!("{}:{}:{} ", node.id, node.prompt.text(), node.score)).collect()
    }

    #[track_caller]
    fn check(parents: &[(usize, &str, f64)], candidates: &[(usize, &str, f64)], width: usize, expected: Expect) {
        expected.assert_eq(&text(&select(&nodes(parents), &nodes(candidates), width)));
    }

    #[test]
    fn the_top_k_of_parents_and_candidates_stay() {
        let parents = [(0, "a", 0.0), (1, "b", -0.1)];
        check(&parents, &[(2, "c", 0.2), (3, "d", -0.05)], 2, expect!["2:c:0.2 0:a:0 "]);
        check(&parents, &[(2, "c", 0.2), (3, "d", 0.3)], 2, expect!["3:d:0.3 2:c:0.2 "]);
        check(&parents, &[], 2, expect!["0:a:0 1:b:-0.1 "]);
        check(&[(0, "a", 0.0)], &[(1, "b", -0.5)], 2, expect!["0:a:0 1:b:-0.5 "]);
    }

    #[test]
    fn ties_go_to_incumbents_then_to_the_first_created() {
        check(&[(0, "a", 0.0)], &[(1, "b", 0.0), (2, "c", 0.0)], 2, expect!["0:a:0 1:b:0 "]);
        check(&[(4, "a", 0.1)], &[(5, "b", 0.2), (6, "c", 0.2)], 3, expect!["5:b:0.2 6:c:0.2 4:a:0.1 "]);
    }

    #[test]
    fn a_beam_holds_each_prompt_once() {
        check(&[(0, "a", 0.0)], &[(1, "a", 0.4), (2, "b", 0.1), (3, "b", 0.2)], 3, expect!["2:b:0.1 0:a:0 "]);
    }

    #[test]
    fn the_first_becomes_best_only_when_it_improves() {
        let incumbent = nodes(&[(0, "a", 0.1)]).remove(0);
        let best = |score| improvement(&nodes(&[(1, "b", score)]), &incumbent).map(|node| node.id);
        assert_eq!((best(0.2), best(0.1), best(0.0)), (Some(1), None, None));
    }

    #[test]
    fn scores_accumulate_along_the_lineage() {
        // J(seed) = 0; R = 0.8 gives 0.3; R = 0.9 on top gives 0.7; R = 0.3 on top of that gives
        // 0.5.
        let first = child_score(0.0, 0.8);
        let second = child_score(first, 0.9);
        assert_eq!((first, second, child_score(second, 0.3)), (0.3, 0.7, 0.5));
        assert_eq!(child_score(0.0, 0.5).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_refresh_drops_every_score_and_ranks_anew() {
        // R(p1, best) = 0.2 and R(p2, best) = 0.9: −0.3, 0 for best itself, 0.4.
        let before = nodes(&[(7, "best", 1.2), (3, "p1", 1.1), (5, "p2", 0.9)]);
        let after = rescore(&before, &[None, Some(0.2), Some(0.9)]);
        assert_eq!(text(&after), "5:p2:0.4 7:best:0 3:p1:-0.3 ");
        // Pairs: (best, p1) agrees, (best, p2) and (p1, p2) do not: tau = (1 − 2) / 3.
        let (tau, top1) = rank_correlation(&before, &after);
        assert!((tau.unwrap() + 1.0 / 3.0).abs() < 1e-9 && !top1, "{tau:?}");
        let same = rescore(&before, &[None, Some(0.4), Some(0.2)]);
        assert_eq!(rank_correlation(&before, &same), (Some(1.0), true));
        let tied = rescore(&before, &[None, Some(0.5), Some(0.5)]);
        assert_eq!((text(&tied).as_str(), rank_correlation(&before, &tied)), ("7:best:0 3:p1:0 5:p2:0 ", (None, true)));
        assert_eq!(rank_correlation(&before[..1], &rescore(&before[..1], &[None])), (None, true));
    }
}
