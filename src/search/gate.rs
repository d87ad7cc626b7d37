//! The gate (`search.gate = "anytime"`): which comparisons are made at the end, and which changes
//! are kept after them. It only decides; `closing` runs the teams and asks the judge.
//!
//! A test asks whether one team's answers are better than another's. Its claim to refute is that
//! the mean verdict is at most ½, and it bets against it ([`EProcess`](crate::stats::EProcess)). At
//! error alpha in all, with m changed agents:
//!
//! 1. The team with all changes against the seed prompts, at alpha. If it is not shown to be
//!    better, the seed prompts are kept, and that is all.
//! 2. With m ≥ 2, the team against itself without one agent's change, at alpha / (2m) for each
//!    agent.
//! 3. If some of these changes are shown to help and others are not, the team with the former alone
//!    against the seed prompts, at alpha / (2 (2^m − 2)), since any of 2^m − 2 teams may be asked
//!    about. If it is shown to be better, the other changes are taken back.
//!
//! The chance that anything is called better that is not is at most alpha: if the whole team is not
//! better, a false claim needs test 1 to fail, and else only tests 2 and 3 can, whose errors add up
//! to alpha.

use super::events::{FinalCheck, FinalVerdict};
use crate::base::AgentId;
use crate::graph::Graph;
use crate::rollout::Prompts;
use serde::{Deserialize, Serialize};

/// What a test of the gate is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tested {
    /// The team with all changes against the seed prompts.
    Team,
    /// The team with all changes against itself without the change of this agent.
    Change(AgentId),
    /// The team with the changes of these agents alone against the seed prompts.
    Part(Vec<AgentId>),
}

/// Why a test of the gate ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum GateEnd {
    /// It showed what it tested.
    Shown,
    /// Even if all queries that are left were won, it would not have shown it.
    Hopeless,
    /// The queries are used up.
    Pool,
    /// The budget is used up.
    Budget,
}

/// One test of the gate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GateTest {
    /// What it is about.
    pub tested: Tested,
    /// The queries that were compared, as positions in the pool, in this order.
    pub batch: Vec<usize>,
    /// One verdict per query: 1 if the team that is tested gives the better answer, 0 if the other
    /// one does, ½ for a tie.
    pub values: Vec<f64>,
    /// The mean of the values; `None` without any.
    pub mean: Option<f64>,
    /// A lower bound of the mean on queries like those of the pool, at the test's own error.
    pub at_least: f64,
    /// The largest evidence so far that the mean is above ½: an e-value, 1 at the beginning.
    pub evidence: f64,
    /// The evidence that is needed: 1 divided by the test's own error.
    pub needed: f64,
    /// Why it ended.
    pub ended: GateEnd,
}

impl GateTest {
    /// Whether the team that is tested was shown to be better.
    pub fn is_shown(&self) -> bool {
        self.ended == GateEnd::Shown
    }
}

/// A test that is to be made.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Question {
    pub(super) tested: Tested,
    /// The prompts of the team that is tested.
    pub(super) team: Prompts,
    /// The prompts of the other one.
    pub(super) other: Prompts,
    /// The evidence that is needed.
    pub(super) needed: f64,
    /// The counter of its coin flips, which no other test has.
    pub(super) draw: u64,
}

/// The tests so far.
#[derive(Debug)]
pub(super) struct Gate {
    seed: Prompts,
    optimized: Prompts,
    /// The agents with a changed prompt, in topological order.
    changed: Vec<AgentId>,
    alpha: f64,
    tests: Vec<GateTest>,
}

impl Gate {
    pub(super) fn new(graph: &Graph, optimized: Prompts, alpha: f64) -> Self {
        let seed = Prompts::seed(graph);
        let changed = graph.order().iter().copied().filter(|id| seed.get(*id) != optimized.get(*id)).collect();
        Self { seed, optimized, changed, alpha, tests: Vec::new() }
    }

    /// The next test; `None` if everything is decided.
    pub(super) fn next(&self) -> Option<Question> {
        let Some((team, others)) = self.tests.split_first() else {
            return Some(Question {
                tested: Tested::Team,
                team: self.optimized.clone(),
                other: self.seed.clone(),
                needed: 1.0 / self.alpha,
                draw: 0,
            });
        };
        let agents = self.changed.len();
        let over = self.tests.last().is_some_and(|test| test.ended == GateEnd::Budget);
        if !team.is_shown() || over || agents < 2 {
            return None;
        }
        if let Some(&agent) = self.changed.get(others.len()) {
            return Some(Question {
                tested: Tested::Change(agent),
                team: self.optimized.clone(),
                other: self.optimized.with(agent, self.seed.get(agent).clone()),
                needed: 2.0 * agents as f64 / self.alpha,
                draw: 1 + agent.0 as u64,
            });
        }
        let helping = self.helping();
        let is_part = !helping.is_empty() && helping.len() < agents;
        (is_part && others.len() == agents).then(|| Question {
            team: self.part(&helping),
            tested: Tested::Part(helping),
            other: self.seed.clone(),
            needed: 2.0 * ((agents as f64).exp2() - 2.0) / self.alpha,
            draw: 1 + self.seed.iter().count() as u64,
        })
    }

    pub(super) fn answer(&mut self, test: GateTest) {
        self.tests.push(test);
    }

    /// What the tests say together.
    pub(super) fn check(self) -> FinalCheck {
        let part = self.tests.iter().find_map(|test| match &test.tested {
            Tested::Part(agents) if test.is_shown() => Some(self.part(agents)),
            _ => None,
        });
        let team = self.tests.into_iter().next();
        let verdict = match &team {
            Some(test) if test.is_shown() => FinalVerdict::Optimized,
            _ => FinalVerdict::Unproven,
        };
        let (batch, values, mean) = team.map(|test| (test.batch, test.values, test.mean)).unwrap_or_default();
        FinalCheck { batch, values, mean, verdict, optimized: self.optimized, kept: part }
    }

    /// The agents whose changes are shown to help.
    fn helping(&self) -> Vec<AgentId> {
        let helping = |test: &GateTest| match test.tested {
            Tested::Change(agent) if test.is_shown() => Some(agent),
            _ => None,
        };
        self.tests.iter().filter_map(helping).collect()
    }

    /// The seed prompts with the changes of these agents.
    fn part(&self, agents: &[AgentId]) -> Prompts {
        agents.iter().fold(self.seed.clone(), |prompts, id| prompts.with(*id, self.optimized.get(*id).clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seed, Stage};
    use crate::graph::{Agent, EdgeView, sequential};
    use crate::prompt::Template;
    use crate::stats::EProcess;
    use expect_test::{Expect, expect};
    use rand::RngExt;

    fn graph() -> Graph {
        let agent = |name: &str| Agent {
            name: name.into(),
            role: "r".into(),
            seed_prompt: Template::new(format!("{name}0 {}", if name == "a" { "{question}" } else { "{context}" })),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        };
        Graph::new(["a", "b", "c"].map(agent).into(), sequential(3, EdgeView::Raw), 1000).unwrap()
    }

    /// What happens if the agents in `changed` have changes, and the tests end as `shows` says.
    #[track_caller]
    fn check(changed: &str, shows: impl Fn(&Tested) -> GateEnd, expected: Expect) {
        let graph = graph();
        let seed = Prompts::seed(&graph);
        let change = |prompts: Prompts, name: char| {
            let id = graph.find(&name.to_string()).unwrap();
            prompts.with(id, Template::new(format!("{name}1")))
        };
        let optimized = changed.chars().fold(seed, change);
        let text =
            |prompts: &Prompts| prompts.iter().map(|(_, prompt)| &prompt.text()[..2]).collect::<Vec<_>>().join(" ");
        let mut gate = Gate::new(&graph, optimized, 0.05);
        let mut log = String::new();
        while let Some(question) = gate.next() {
            let Question { tested, team, other, needed, draw } = question;
            let ended = shows(&tested);
            log += &format!("{} against {}, {needed:.0}, coin {draw}: {ended:?}\n", text(&team), text(&other));
            let (batch, values) = (vec![0], vec![1.0]);
            gate.answer(GateTest { tested, batch, values, mean: None, at_least: 0.0, evidence: 1.0, needed, ended });
        }
        let check = gate.check();
        log += &format!("{:?}, {}", check.verdict, check.kept.as_ref().map_or("all".into(), text));
        expected.assert_eq(&log);
    }

    #[test]
    fn a_single_change_is_tested_once_at_the_whole_error() {
        check(
            "b",
            |_| GateEnd::Shown,
            expect![[r#"
            a0 b1 c0 against a0 b0 c0, 20, coin 0: Shown
            Optimized, all"#]],
        );
        check(
            "b",
            |_| GateEnd::Pool,
            expect![[r#"
            a0 b1 c0 against a0 b0 c0, 20, coin 0: Pool
            Unproven, all"#]],
        );
    }

    #[test]
    fn changes_that_do_not_help_are_taken_back_if_the_rest_is_shown_to_be_better() {
        let helps = |agents: &'static [usize], part: GateEnd| {
            move |tested: &Tested| match tested {
                Tested::Team => GateEnd::Shown,
                Tested::Change(agent) if agents.contains(&agent.0) => GateEnd::Shown,
                Tested::Change(_) => GateEnd::Hopeless,
                Tested::Part(_) => part,
            }
        };
        check(
            "abc",
            helps(&[0, 2], GateEnd::Shown),
            expect![[r#"
            a1 b1 c1 against a0 b0 c0, 20, coin 0: Shown
            a1 b1 c1 against a0 b1 c1, 120, coin 1: Shown
            a1 b1 c1 against a1 b0 c1, 120, coin 2: Hopeless
            a1 b1 c1 against a1 b1 c0, 120, coin 3: Shown
            a1 b0 c1 against a0 b0 c0, 240, coin 4: Shown
            Optimized, a1 b0 c1"#]],
        );
        check(
            "ac",
            helps(&[2], GateEnd::Pool),
            expect![[r#"
            a1 b0 c1 against a0 b0 c0, 20, coin 0: Shown
            a1 b0 c1 against a0 b0 c1, 80, coin 1: Hopeless
            a1 b0 c1 against a1 b0 c0, 80, coin 3: Shown
            a0 b0 c1 against a0 b0 c0, 80, coin 4: Pool
            Optimized, all"#]],
        );
        // Nothing helps alone, or everything does: there is no part to ask about.
        check(
            "ac",
            helps(&[], GateEnd::Shown),
            expect![[r#"
            a1 b0 c1 against a0 b0 c0, 20, coin 0: Shown
            a1 b0 c1 against a0 b0 c1, 80, coin 1: Hopeless
            a1 b0 c1 against a1 b0 c0, 80, coin 3: Hopeless
            Optimized, all"#]],
        );
        check(
            "ac",
            helps(&[0, 2], GateEnd::Shown),
            expect![[r#"
            a1 b0 c1 against a0 b0 c0, 20, coin 0: Shown
            a1 b0 c1 against a0 b0 c1, 80, coin 1: Shown
            a1 b0 c1 against a1 b0 c0, 80, coin 3: Shown
            Optimized, all"#]],
        );
    }

    /// Makes the tests on `queries` verdicts each, where `better` says with which chance the team
    /// that is tested wins; returns what was shown.
    fn simulated(run: u64, queries: usize, better: &impl Fn(&Tested) -> f64) -> Vec<Tested> {
        let graph = graph();
        let change = |prompts: Prompts, (id, _): (AgentId, &Template)| prompts.with(id, Template::new("new"));
        let seed = Prompts::seed(&graph);
        let mut gate = Gate::new(&graph, seed.iter().fold(seed.clone(), change), 0.05);
        let mut shown = Vec::new();
        while let Some(Question { tested, needed, draw, .. }) = gate.next() {
            let mut rng = Seed(run).derive(Stage::Gate, &[draw]).rng();
            let mut process = EProcess::against(0.5);
            let won = (0..queries).any(|_| {
                process.observe(if rng.random::<f64>() < better(&tested) { 1.0 } else { 0.0 });
                process.peak() >= needed
            });
            let ended = if won { GateEnd::Shown } else { GateEnd::Pool };
            shown.extend(won.then(|| tested.clone()));
            let (batch, values) = (Vec::new(), Vec::new());
            gate.answer(GateTest { tested, batch, values, mean: None, at_least: 0.0, evidence: 1.0, needed, ended });
        }
        shown
    }

    #[test]
    fn the_chance_of_any_false_claim_is_below_alpha() {
        const RUNS: u64 = 2000;
        let share = |better: &dyn Fn(&Tested) -> f64, is_false: &dyn Fn(&Tested) -> bool| {
            let wrong = |run: &u64| simulated(*run, 100, &better).iter().any(is_false);
            (0..RUNS).filter(wrong).count() as f64 / RUNS as f64
        };
        // Three standard errors above 0.05.
        let most = 0.05 + 3.0 * (0.05 * 0.95 / RUNS as f64).sqrt();
        // Nothing helps at all.
        let none = share(&|_| 0.5, &|_| true);
        assert!(none > 0.005 && none <= most, "{none}");
        // The whole team is better and no change is so alone, nor any part.
        let whole =
            share(&|tested| if *tested == Tested::Team { 0.95 } else { 0.5 }, &|tested| *tested != Tested::Team);
        assert!(whole > 0.002 && whole <= most, "{whole}");
        // Only the first agent's change helps: what is said of the others is false.
        let first = Tested::Change(AgentId(0));
        let helps = |tested: &Tested| match tested {
            Tested::Team => 0.9,
            Tested::Part(agents) if agents.contains(&AgentId(0)) => 0.9,
            tested if *tested == first => 0.9,
            _ => 0.5,
        };
        let others = share(&helps, &|tested| matches!(tested, Tested::Change(agent) if agent.0 > 0));
        assert!(others <= most, "{others}");
        let found = simulated(1, 100, &helps);
        assert_eq!(found, [Tested::Team, first.clone(), Tested::Part(vec![AgentId(0)])]);
    }

    #[test]
    fn nothing_is_asked_after_the_budget_is_used_up() {
        let first = |tested: &Tested| if *tested == Tested::Team { GateEnd::Shown } else { GateEnd::Budget };
        check(
            "abc",
            first,
            expect![[r#"
            a1 b1 c1 against a0 b0 c0, 20, coin 0: Shown
            a1 b1 c1 against a0 b1 c1, 120, coin 1: Budget
            Optimized, all"#]],
        );
        check(
            "abc",
            |_| GateEnd::Budget,
            expect![[r#"
            a1 b1 c1 against a0 b0 c0, 20, coin 0: Budget
            Unproven, all"#]],
        );
    }
}
