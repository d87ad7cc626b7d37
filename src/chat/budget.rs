//! Hard limits on the calls and tokens of a run. A call reserves the most tokens that it can take
//! before it starts, and a call that does not fit is refused, so that no limit is ever exceeded.
//!
//! Within a step, calls run concurrently and in any order, so what a call really took is credited
//! only at the end of the step ([`Budget::settle`]). Whether a step fits then depends on its calls
//! alone, and not on their order: a run with a budget is as reproducible as one without.

use super::{ChatError, ModelRole, Request, Usage};
use crate::base::{Bound, Bounded, Rule, Stopwatch};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// The most tokens that a chat template adds around the messages of a call. Every token of a
/// message has a byte of its own at least, so a prompt has no more tokens than bytes and these.
const TEMPLATE_TOKENS: u64 = 256;

/// One part in so many of every limit is kept back for the closing comparison of a run.
const CLOSING_PART: u64 = 20;

/// Options of the `[budget]` section. A call counts whether a model or the cache answers it, and
/// its tokens are those that it reads and writes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BudgetOptions {
    /// The most calls of all roles together.
    pub calls: Option<usize>,
    /// The most tokens, read and written, of all roles together.
    pub tokens: Option<usize>,
    /// The most calls of the worker.
    pub worker_calls: Option<usize>,
    /// The most tokens of the worker.
    pub worker_tokens: Option<usize>,
    /// The most calls of the optimizer.
    pub optimizer_calls: Option<usize>,
    /// The most tokens of the optimizer.
    pub optimizer_tokens: Option<usize>,
    /// The most calls of the judge.
    pub judge_calls: Option<usize>,
    /// The most tokens of the judge.
    pub judge_tokens: Option<usize>,
    /// The seconds after which no further step begins. Such a result is marked `clock_limited`: it
    /// depends on the machine.
    pub seconds: Option<f64>,
    /// A file whose appearance ends the run before its next step. Such a result is marked
    /// `clock_limited`, too.
    pub stop_file: Option<PathBuf>,
}

impl Bounded for BudgetOptions {
    const SECTION: &'static str = "budget";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("calls", Rule::at_least(1), |options| options.calls.map(Into::into)),
        Bound::new("tokens", Rule::at_least(1), |options| options.tokens.map(Into::into)),
        Bound::new("worker_calls", Rule::at_least(1), |options| options.worker_calls.map(Into::into)),
        Bound::new("worker_tokens", Rule::at_least(1), |options| options.worker_tokens.map(Into::into)),
        Bound::new("optimizer_calls", Rule::at_least(1), |options| options.optimizer_calls.map(Into::into)),
        Bound::new("optimizer_tokens", Rule::at_least(1), |options| options.optimizer_tokens.map(Into::into)),
        Bound::new("judge_calls", Rule::at_least(1), |options| options.judge_calls.map(Into::into)),
        Bound::new("judge_tokens", Rule::at_least(1), |options| options.judge_tokens.map(Into::into)),
        Bound::new("seconds", Rule::NOT_NEGATIVE, |options| options.seconds.map(Into::into)),
    ];
}

impl BudgetOptions {
    /// Returns the options without what depends on a clock or on files, which decide no result that
    /// is promised to be reproducible.
    pub fn without_clock(&self) -> Self {
        Self { seconds: None, stop_file: None, ..self.clone() }
    }

    /// The limits on calls and tokens of one role, then of all roles together.
    fn limits(&self) -> [[Option<u64>; 2]; 4] {
        [
            [self.worker_calls, self.worker_tokens],
            [self.optimizer_calls, self.optimizer_tokens],
            [self.judge_calls, self.judge_tokens],
            [self.calls, self.tokens],
        ]
        .map(|pair| pair.map(|limit| limit.map(|limit| limit as u64)))
    }
}

/// What a role has taken, whether a model or the cache answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Spent {
    /// The number of calls.
    pub calls: u64,
    /// The number of tokens read and written.
    pub tokens: u64,
}

impl Spent {
    /// Returns the sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { calls: self.calls + other.calls, tokens: self.tokens + other.tokens }
    }
}

/// The two parts of a run, which have limits of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Everything before the closing comparison.
    Search,
    /// The closing comparison.
    Closing,
}

#[derive(Debug)]
struct Account {
    part: Part,
    /// What the roles have taken in this part, where calls of the step count as reserved.
    charged: [Spent; 3],
    /// What they have really taken in this part.
    taken: [Spent; 3],
    /// What they took in the part before.
    before: [Spent; 3],
    /// Whether a call of the step was refused, so that all others are.
    refused: bool,
}

/// The budget of a run; clones share it. By default there is no limit.
#[derive(Clone, Debug)]
pub struct Budget {
    options: Arc<BudgetOptions>,
    account: Arc<Mutex<Account>>,
    watch: Stopwatch,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(BudgetOptions::default())
    }
}

/// A reservation for one call. A call that never says what it took has taken all of it.
pub(super) struct Reservation {
    budget: Budget,
    role: ModelRole,
    tokens: u64,
}

impl Budget {
    /// A budget with these limits, whose clock starts now.
    pub fn new(options: BudgetOptions) -> Self {
        let none = [Spent::default(); 3];
        let account = Account { part: Part::Search, charged: none, taken: none, before: none, refused: false };
        Self { options: Arc::new(options), account: Arc::new(Mutex::new(account)), watch: Stopwatch::start() }
    }

    /// Whether calls or tokens have a limit.
    pub fn is_limited(&self) -> bool {
        self.options.limits().iter().flatten().any(Option::is_some)
    }

    /// Whether the seconds are over, or the stop file is there. To be asked between steps only.
    pub fn is_time_up(&self) -> bool {
        self.options.seconds.is_some_and(|seconds| self.watch.seconds() >= seconds)
            || self.options.stop_file.as_ref().is_some_and(|file| file.exists())
    }

    /// Credits what the calls of the step reserved and did not take. To be called when no call is
    /// in flight.
    pub fn settle(&self) {
        let mut account = self.account();
        if !account.refused {
            account.charged = account.taken;
        }
    }

    /// Opens the part that was kept back for the closing comparison. What the search left over
    /// stays unused, so that this part does not depend on how the search ended.
    pub fn begin_closing(&self) {
        let mut account = self.account();
        if account.part == Part::Search {
            account.before = account.taken;
            account.charged = [Spent::default(); 3];
            (account.part, account.taken, account.refused) = (Part::Closing, account.charged, false);
        }
    }

    /// What `role` has taken so far.
    pub fn spent(&self, role: ModelRole) -> Spent {
        let account = self.account();
        account.before[role as usize].plus(account.taken[role as usize])
    }

    /// Reserves the most tokens that a call can take.
    ///
    /// # Errors
    /// Returns [`ChatError::Budget`] if the call does not fit.
    pub(super) fn reserve(&self, role: ModelRole, tokens: u64) -> Result<Reservation, ChatError> {
        let mut account = self.account();
        let one = Spent { calls: 1, tokens };
        let own = account.charged[role as usize].plus(one);
        let all = account.charged.iter().fold(one, |sum, spent| sum.plus(*spent));
        let limits = self.options.limits();
        let fits = |spent: Spent, limits: [Option<u64>; 2]| {
            [spent.calls, spent.tokens].iter().zip(limits).all(|(spent, limit)| {
                let limit = limit.map(|limit| match account.part {
                    Part::Search => limit - limit / CLOSING_PART,
                    Part::Closing => limit / CLOSING_PART,
                });
                limit.is_none_or(|limit| *spent <= limit)
            })
        };
        if account.refused || !fits(own, limits[role as usize]) || !fits(all, limits[3]) {
            account.refused = true;
            return Err(ChatError::Budget);
        }
        account.charged[role as usize] = own;
        account.taken[role as usize] = account.taken[role as usize].plus(one);
        Ok(Reservation { budget: self.clone(), role, tokens })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().expect("no thread panics while it holds the account")
    }
}

impl Reservation {
    /// Counts what the call took in place of what it reserved.
    pub(super) fn take(self, usage: &Usage) {
        let took = (usage.prompt_tokens + usage.new_tokens) as u64;
        let mut account = self.budget.account();
        let taken = &mut account.taken[self.role as usize];
        taken.tokens = (taken.tokens + took).saturating_sub(self.tokens);
    }
}

/// The most tokens that a call can take: a byte is a token at most.
pub(super) fn most_tokens(request: &Request, answers: &[String], new_tokens: usize) -> u64 {
    let bytes: usize = request.messages.iter().map(|message| message.content.len()).sum();
    let answers: usize = answers.iter().map(String::len).sum();
    (bytes + answers + new_tokens) as u64 + TEMPLATE_TOKENS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(options: BudgetOptions) -> Budget {
        Budget::new(options)
    }

    fn usage(tokens: usize) -> Usage {
        Usage { prompt_tokens: tokens, ..Usage::default() }
    }

    #[test]
    fn a_step_is_credited_at_its_end_and_a_refused_one_never() {
        let budget = budget(BudgetOptions { worker_tokens: Some(100), ..BudgetOptions::default() });
        let worker = ModelRole::Worker;
        // 95 of the 100 are for the search. Two calls of 40 fit, a third does not before the end of
        // the step.
        let one = budget.reserve(worker, 40).unwrap();
        let two = budget.reserve(worker, 40).unwrap();
        one.take(&usage(10));
        two.take(&usage(10));
        budget.settle();
        assert_eq!(budget.spent(worker), Spent { calls: 2, tokens: 20 });
        let three = budget.reserve(worker, 75).unwrap();
        three.take(&usage(5));
        assert!(matches!(budget.reserve(worker, 40), Err(ChatError::Budget)));
        budget.settle();
        assert!(budget.reserve(worker, 1).is_err(), "the step does not fit, so no other call of it runs");
        budget.reserve(ModelRole::Judge, 1).err().expect("not even one of another role");
        budget.begin_closing();
        assert!(budget.reserve(worker, 6).is_err(), "a twentieth is kept back");
        assert_eq!(budget.spent(worker).tokens, 25);
    }

    #[test]
    fn the_limit_of_all_roles_is_for_their_sum() {
        let budget = budget(BudgetOptions { calls: Some(40), ..BudgetOptions::default() });
        for call in 0..38 {
            budget.reserve(ModelRole::ALL[call % 3], 1000).unwrap().take(&usage(3));
        }
        assert!(budget.reserve(ModelRole::Judge, 0).is_err());
        budget.begin_closing();
        assert!(budget.reserve(ModelRole::Judge, 0).is_ok() && budget.reserve(ModelRole::Worker, 0).is_ok());
        assert!(budget.reserve(ModelRole::Worker, 0).is_err());
        assert_eq!(ModelRole::ALL.map(|role| budget.spent(role).calls), [14, 13, 13]);
    }

    #[test]
    fn a_call_that_is_given_up_has_taken_what_it_reserved() {
        let budget = budget(BudgetOptions { tokens: Some(1000), ..BudgetOptions::default() });
        drop(budget.reserve(ModelRole::Worker, 300).unwrap());
        budget.settle();
        assert_eq!(budget.spent(ModelRole::Worker), Spent { calls: 1, tokens: 300 });
    }
}
