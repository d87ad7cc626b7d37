//! Shows a running search on stderr: one moving line on a terminal, one plain line per step
//! elsewhere.

use super::CliError;
use super::interrupt::cancel_on_ctrl_c;
use super::loading::Loading;
use super::output::{has_moving_lines, print_message};
use crate::base::{AgentId, CancelToken, Stopwatch};
use crate::chat::{Ledger, ModelRole};
use crate::engine::LoadProgress;
use crate::graph::Graph;
use crate::remote::Notify;
use crate::run::Observer;
use crate::search::{Event, GateTest, Outcome, Plan, Refreshed, Step, Tested};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::time::Duration;

/// Watches a run for the person at the terminal: models that are loading, steps of the search, and
/// ctrl-C.
pub(super) struct Progress {
    cancel: CancelToken,
    loading: Option<Loading>,
    search: Option<Search>,
}

impl Progress {
    /// Starts watching. It catches ctrl-C from here on, so there must be only one in a process.
    ///
    /// # Errors
    /// Signals cannot be caught.
    pub(super) fn new() -> Result<Self, CliError> {
        Ok(Self { cancel: cancel_on_ctrl_c()?, loading: None, search: None })
    }
}

impl Observer for Progress {
    fn cancel(&self) -> CancelToken {
        self.cancel.clone()
    }

    fn opening(&mut self, model: &str, news: LoadProgress) {
        self.loading.get_or_insert_with(|| Loading::new(model.to_string())).show(news);
    }

    fn opened(&mut self) {
        if let Some(loading) = self.loading.take() {
            loading.finish();
        }
    }

    fn noticed(&mut self, note: &str) {
        print_message(format_args!("warning: {note}"));
    }

    fn announcer(&self) -> Notify {
        Arc::new(|message: &str| print_message(message))
    }

    fn started(&mut self, graph: &Arc<Graph>, plan: &Plan, ledger: &Ledger) {
        self.search = Some(Search::new(graph.clone(), ledger.clone(), plan.steps));
    }

    fn event(&mut self, event: &Event) {
        if let Some(search) = &mut self.search {
            search.show(event);
        }
    }

    fn scoring(&mut self, prompts: &str, cases: usize) {
        if let Some(search) = &self.search {
            search.show_line(format!("{prompts} prompts on {cases} held-out cases"));
        }
    }

    fn scored(&mut self) {
        if let Some(search) = &self.search {
            search.bar.finish_and_clear();
        }
    }
}

/// The progress of one search.
struct Search {
    graph: Arc<Graph>,
    ledger: Ledger,
    /// Measures the time since the last step that a resumed run only repeated from its record.
    watch: Stopwatch,
    bar: ProgressBar,
    steps: u64,
    done: u64,
    /// The number of steps that were repeated from the record.
    repeated: u64,
    /// The tokens that were computed up to the last step.
    tokens: u64,
}

impl Search {
    fn new(graph: Arc<Graph>, ledger: Ledger, steps: usize) -> Self {
        let target = if has_moving_lines() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} steps  {msg}").expect("a valid template");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        let watch = Stopwatch::start();
        Self { graph, ledger, watch, bar, steps: steps as u64, done: 0, repeated: 0, tokens: 0 }
    }

    /// Shows one event.
    fn show(&mut self, event: &Event) {
        match event {
            Event::Started(started) => {
                self.show_line(format!(
                    "at most {} model calls; {}",
                    started.plan.worker.calls + started.plan.optimizer.calls + started.plan.judge.calls,
                    self.speed()
                ));
            }
            Event::Proposed(proposed) => self.bar.set_message(format!(
                "round {} {} step {}: {} candidates  {}",
                proposed.round,
                self.graph.agent(proposed.agent).name,
                proposed.step,
                proposed.usable,
                self.speed()
            )),
            Event::Refreshed(refreshed) => self.show_line(self.refreshed(refreshed)),
            Event::Step(step) => {
                self.done += 1;
                self.bar.set_position(self.done);
                let tokens = self.tokens();
                let is_repeated = tokens == self.tokens;
                if is_repeated {
                    self.repeated += 1;
                    self.watch = Stopwatch::start();
                }
                self.tokens = tokens;
                self.show_line(self.step(step, is_repeated));
            }
            Event::Trial(trial) => {
                self.done += 1;
                self.bar.set_position(self.done);
                let best = if trial.leader == trial.number { ", the best so far" } else { "" };
                self.show_line(format!("team {}: {:.3}{best}  {}", trial.number, trial.score, self.speed()));
            }
            Event::Learned(learned) => {
                self.done += 1;
                self.bar.set_position(self.done);
                let (phase, update, share) = (&learned.phase, learned.update, learned.accuracy);
                self.show_line(format!("{phase}, update {update}: {share:.3} of the labelled items right"));
            }
            Event::System(_) => {}
            Event::GateTest(test) => self.show_line(self.tested(test)),
            Event::FinalCheck(_) => self.show_line("seed against optimized prompts: judged".to_string()),
            Event::Finished(_) => self.bar.finish_and_clear(),
        }
    }

    fn tested(&self, test: &GateTest) -> String {
        let names = |agents: &[AgentId]| {
            agents.iter().map(|id| self.graph.agent(*id).name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let what = match &test.tested {
            Tested::Team => "the whole team".to_string(),
            Tested::Change(agent) => format!("the change of {}", names(&[*agent])),
            Tested::Part(agents) => format!("the changes of {} alone", names(agents)),
        };
        let shown = if test.is_shown() { "better" } else { "not shown to be better" };
        format!("gate, {what}: {shown} on {} queries  {}", test.values.len(), self.speed())
    }

    /// Shows a line about what happens between events.
    fn show_line(&self, line: String) {
        if self.bar.is_hidden() {
            print_message(line);
        } else {
            self.bar.set_message(line);
        }
    }

    fn step(&self, step: &Step, is_repeated: bool) -> String {
        let tried = step.candidates.iter().filter(|c| matches!(c.outcome, Outcome::Scored { .. })).count();
        let tried = format!("{tried} candidate{} tried", if tried == 1 { "" } else { "s" });
        let name = &self.graph.agent(step.agent).name;
        let found = if step.improved { "better prompt found" } else { "no better prompt" };
        let after = if is_repeated { "[already done]".to_string() } else { self.speed() };
        format!("round {} {name} step {}: {tried}, {found}  {after}", step.round, step.step)
    }

    fn refreshed(&self, refreshed: &Refreshed) -> String {
        let name = &self.graph.agent(refreshed.agent).name;
        format!("round {} {name}: beam of {} scored anew", refreshed.round, refreshed.after.len())
    }

    /// Returns the number of tokens that were computed so far.
    fn tokens(&self) -> u64 {
        let lines = ModelRole::ALL.map(|role| self.ledger.line(role));
        lines.iter().map(|line| line.prefilled_tokens + line.decoded_tokens).sum()
    }

    /// Returns the tokens per second so far, and the time left if the remaining steps take as long
    /// as those that were computed.
    fn speed(&self) -> String {
        let seconds = self.watch.seconds();
        let rate = self.tokens() as f64 / seconds.max(1e-3);
        let computed = self.done - self.repeated;
        if computed == 0 || self.done >= self.steps {
            return format!("[{rate:.0} tok/s]");
        }
        let left = seconds / computed as f64 * (self.steps - self.done) as f64;
        format!("[{rate:.0} tok/s, about {left:.0} s left]")
    }
}
