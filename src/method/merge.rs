//! The merge of two teams in the manner of GEPA: where one of them still has a prompt of their
//! common ancestor and the other has changed it, the changed one is taken; where both have changed
//! it, that of the better team.

use crate::base::AgentId;
use crate::rollout::Prompts;
use std::collections::BTreeSet;

/// What a merge needs to know of a team.
pub(super) struct Member<'a> {
    pub(super) prompts: &'a Prompts,
    /// The teams that it was written or merged from, by position.
    pub(super) parents: &'a [usize],
    /// The mean of its values.
    pub(super) mean: f64,
    /// Whether it leads on some item.
    pub(super) leads: bool,
}

/// A possible merge.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Merge {
    /// The two teams, by position.
    pub(super) pair: (usize, usize),
    /// The merged prompts.
    pub(super) prompts: Prompts,
}

/// Returns all merges of two leading teams of which neither descends from the other. Their common
/// ancestor is not better than either, and the merged team is none that there is already.
pub(super) fn merges(teams: &[Member<'_>]) -> Vec<Merge> {
    let ancestors: Vec<BTreeSet<usize>> = (0..teams.len()).map(|at| ancestors(teams, at)).collect();
    let mut found = Vec::new();
    for other in 1..teams.len() {
        for one in 0..other {
            let related = ancestors[other].contains(&one) || ancestors[one].contains(&other);
            if related || !teams[one].leads || !teams[other].leads {
                continue;
            }
            // The latest common ancestor is the closest.
            let worst = teams[one].mean.min(teams[other].mean);
            let common = ancestors[one].intersection(&ancestors[other]).copied();
            let Some(common) = common.filter(|at| teams[*at].mean <= worst).max() else { continue };
            let prompts = merged(&teams[one], &teams[other], teams[common].prompts);
            if teams.iter().all(|known| *known.prompts != prompts) {
                found.push(Merge { pair: (one, other), prompts });
            }
        }
    }
    found
}

fn ancestors(teams: &[Member<'_>], at: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = teams[at].parents.to_vec();
    while let Some(parent) = open.pop() {
        if found.insert(parent) {
            open.extend(teams[parent].parents);
        }
    }
    found
}

fn merged(one: &Member<'_>, other: &Member<'_>, ancestor: &Prompts) -> Prompts {
    let better = if other.mean > one.mean { other } else { one };
    let chosen = |id: AgentId| {
        let [first, second, old] = [one.prompts, other.prompts, ancestor].map(|prompts| prompts.get(id));
        match () {
            () if first == old => second,
            () if second == old => first,
            () => better.prompts.get(id),
        }
    };
    let ids: Vec<AgentId> = ancestor.iter().map(|(id, _)| id).collect();
    ids.into_iter().fold(ancestor.clone(), |prompts, id| prompts.with(id, chosen(id).clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts(texts: &str) -> Prompts {
        let texts: Vec<&str> = texts.split(' ').collect();
        serde_json::from_value(serde_json::json!(texts)).unwrap()
    }

    type Team = (&'static str, &'static [usize], f64, bool);

    /// Merges teams, each given by its prompts, its parents, its mean and whether it leads.
    #[track_caller]
    fn check(teams: &[Team], expected: &[((usize, usize), &str)]) {
        let all: Vec<Prompts> = teams.iter().map(|(texts, ..)| prompts(texts)).collect();
        let members: Vec<Member<'_>> = all
            .iter()
            .zip(teams)
            .map(|(prompts, &(_, parents, mean, leads))| Member { prompts, parents, mean, leads })
            .collect();
        let found: Vec<_> = merges(&members).into_iter().map(|merge| (merge.pair, merge.prompts)).collect();
        let expected: Vec<_> = expected.iter().map(|(pair, texts)| (*pair, prompts(texts))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_team_gives_what_it_changed_and_the_better_one_what_both_changed() {
        let seed: Team = ("a b c", &[], 0.5, true);
        check(&[seed, ("A b c", &[0], 0.6, true), ("a B c", &[0], 0.7, true)], &[((1, 2), "A B c")]);
        check(&[seed, ("A b C", &[0], 0.6, true), ("a B D", &[0], 0.7, true)], &[((1, 2), "A B D")]);
    }

    #[test]
    fn only_leading_teams_of_two_lineages_are_merged() {
        let seed: Team = ("a b", &[], 0.5, true);
        let first: Team = ("A b", &[0], 0.6, true);
        // A team and its descendant, and one that leads on nothing.
        check(&[seed, first, ("A B", &[1], 0.7, true)], &[]);
        check(&[seed, first, ("a B", &[0], 0.7, false)], &[]);
        // The ancestor is better than one of them, or the merged team is there already.
        check(&[seed, first, ("a B", &[0], 0.4, true)], &[]);
        check(&[seed, first, ("a B", &[0], 0.7, true), ("A B", &[1, 2], 0.8, true)], &[]);
    }
}
