//! The arms of the study. An arm that searches is a set of option values, which `maspo optimize
//! --set` accepts too; there is only one search loop. This file does not know how arms are run.

use std::str::FromStr;

/// One arm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arm {
    /// The arm's name on the command line and in the results file.
    pub(crate) key: &'static str,
    /// The arm's name in the table.
    pub(crate) title: &'static str,
    /// The source of its prompts.
    pub(crate) prompts: Source,
}

/// The source of an arm's prompts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The prompts that every search starts from.
    Seed,
    /// The best prompts by the rule of the world.
    Ideal,
    /// A search with these option values in place of the experiment file's.
    Search(&'static [&'static str]),
}

/// All arms, in the order of the table.
pub(crate) const ARMS: [Arm; 10] = [
    Arm { key: "seed", title: "seed prompts", prompts: Source::Seed },
    JOINT,
    Arm {
        key: "local-only",
        title: "local reward only",
        prompts: Source::Search(&["reward.local=1.0", "reward.lookahead=0.0", "reward.global=0.0"]),
    },
    Arm {
        key: "global-only",
        title: "global reward only",
        prompts: Source::Search(&["reward.local=0.0", "reward.lookahead=0.0", "reward.global=1.0"]),
    },
    Arm { key: "no-mining", title: "no mining", prompts: Source::Search(&["misalignment.sampling=off"]) },
    Arm { key: "success", title: "success-case sampling", prompts: Source::Search(&["misalignment.sampling=success"]) },
    Arm { key: "no-refresh", title: "no beam refresh", prompts: Source::Search(&["search.refresh=false"]) },
    Arm { key: "one-order", title: "judge without order swap", prompts: Source::Search(&["judge.both_orders=false"]) },
    Arm { key: "coin", title: "judge replaced by a coin", prompts: Source::Search(&["judge.mode=coin"]) },
    Arm { key: "ideal", title: "ideal prompts (ceiling)", prompts: Source::Ideal },
];

/// The arm that all others are compared with.
pub(crate) const JOINT: Arm = Arm { key: "joint", title: "joint (MASPO)", prompts: Source::Search(&[]) };

impl Arm {
    /// The arm of that name.
    pub(crate) fn find(key: &str) -> Option<Self> {
        ARMS.into_iter().find(|arm| arm.key == key)
    }

    /// Whether the arm searches; the others take hardly any time.
    pub(crate) fn searches(self) -> bool {
        matches!(self.prompts, Source::Search(_))
    }
}

impl FromStr for Arm {
    type Err = String;

    fn from_str(key: &str) -> Result<Self, String> {
        Self::find(key).ok_or_else(|| {
            let known: Vec<_> = ARMS.iter().map(|arm| arm.key).collect();
            format!("there is no arm `{key}`; there are {}", known.join(", "))
        })
    }
}
