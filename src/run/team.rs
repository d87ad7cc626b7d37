//! A team on its opened model, ready to answer rows that nobody has labelled.

use super::models::{Surroundings, open_models};
use super::{Observer, RunError};
use crate::base::{AgentId, Digest, digest_json};
use crate::chat::{ChatError, ChatModel, Ledger, LedgerLine, Metered, ModelIdentity, ModelRole};
use crate::config::Settings;
use crate::engine::Date;
use crate::graph::Graph;
use crate::method::{Answering, Outputs};
use crate::rollout::{AnswerRule, Prompts, Runner, System};
use crate::task::Scorer;
use serde::Serialize;
use std::sync::Arc;

/// What a team made of one question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Answered {
    /// The answer that the experiment's scorer finds in the output; without a scorer the output
    /// itself. `None` if the output has no answer.
    pub answer: Option<String>,
    /// The outputs of all agents, in their order. Where the team's runs vote or revise, the outputs
    /// of the last agent alone, one per run.
    pub agents: Vec<AgentOutput>,
    /// Whether some prompt was too long for the model.
    #[serde(skip_serializing_if = "is_false")]
    pub overflow: bool,
    /// Whether some output ended in its reasoning.
    #[serde(skip_serializing_if = "is_false")]
    pub cut_in_reasoning: bool,
}

/// The output of an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AgentOutput {
    /// The agent's name.
    pub name: String,
    /// What it wrote.
    pub output: String,
}

fn is_false(truth: &bool) -> bool {
    !*truth
}

/// A team of settings and prompts, and how its outputs become an answer.
#[derive(Clone)]
pub struct TeamOf<'a> {
    /// The experiment, or the settings of a bundle.
    pub settings: &'a Settings,
    /// The prompts to use.
    pub prompts: Prompts,
    /// How outputs become an answer.
    pub rule: AnswerRule,
}

impl TeamOf<'_> {
    /// Returns the digest over everything that the answers depend on beside the model and the date.
    pub fn digest(&self) -> Digest {
        let Self { settings, prompts, rule } = self;
        let system = System::new(&settings.graph, prompts, *rule);
        let summary = (&settings.options.rollout.summary_words, settings.templates().summary.source());
        let decoding = settings.model(ModelRole::Worker).decoding;
        digest_json("maspo rows", &(system, summary, decoding, settings.seed.0, &settings.scorer, &settings.rows))
    }
}

/// A team on its opened model.
pub struct TeamRun {
    graph: Arc<Graph>,
    prompts: Prompts,
    scorer: Option<Scorer>,
    way: Way,
    identity: ModelIdentity,
    ledger: Ledger,
}

/// How a question is answered.
enum Way {
    Once(Runner),
    System(Box<(Answering, System)>),
}

impl TeamRun {
    /// Opens the worker model of the team.
    ///
    /// # Errors
    /// The model cannot be opened.
    pub fn open(team: &TeamOf<'_>, date: Date, observer: &mut dyn Observer) -> Result<Self, RunError> {
        let settings = team.settings;
        let surroundings = Surroundings { dtypes: None, backend: None, date };
        let models = open_models(settings, &[ModelRole::Worker], &surroundings, observer)?;
        let model = models.role(settings, ModelRole::Worker);
        let (identity, ledger) = (model.identity(), Ledger::new());
        let worker: Arc<dyn ChatModel> =
            Arc::new(Metered::new(model, ModelRole::Worker, ledger.clone(), observer.cancel()));
        Ok(Self::on(team, worker, identity, ledger))
    }

    /// The team on a worker model that is open already, whose calls `ledger` counts.
    pub fn on(team: &TeamOf<'_>, worker: Arc<dyn ChatModel>, identity: ModelIdentity, ledger: Ledger) -> Self {
        let settings = team.settings;
        let (options, summary) = (settings.options.rollout.clone(), settings.templates().summary.clone());
        let graph = settings.graph.clone();
        let way = match team.rule {
            AnswerRule::Once => {
                let worker = settings.in_role(ModelRole::Worker, worker);
                Way::Once(Runner::new(graph.clone(), worker, options, summary))
            }
            rule => {
                let decoding = settings.model(ModelRole::Worker).decoding;
                let answering = Answering { worker, decoding, seed: settings.seed, options, summary };
                Way::System(Box::new((answering, System::new(&graph, &team.prompts, rule))))
            }
        };
        Self { graph, prompts: team.prompts.clone(), scorer: settings.scorer.clone(), way, identity, ledger }
    }

    /// Has the team answer one question.
    ///
    /// # Errors
    /// Returns every error of the worker except an overflow, which is data.
    pub async fn answer(&self, question: Arc<str>) -> Result<Answered, ChatError> {
        match &self.way {
            Way::Once(runner) => {
                let traces = runner.run(&self.prompts, &[(0, question)]).await?;
                let trace = traces.first().expect("there is one trace per question");
                let output = |(at, agent): (usize, &crate::graph::Agent)| AgentOutput {
                    name: agent.name.clone(),
                    output: trace.output(AgentId(at)).to_string(),
                };
                Ok(Answered {
                    answer: self.found(trace.answer(&self.graph)),
                    agents: self.graph.agents().iter().enumerate().map(output).collect(),
                    overflow: trace.overflowed(),
                    cut_in_reasoning: trace.was_cut_in_reasoning(),
                })
            }
            Way::System(system) => {
                let (answering, system) = system.as_ref();
                let outputs = answering.answer(system, &[question]).await?;
                Ok(self.voted(outputs.into_iter().next().unwrap_or_default()))
            }
        }
    }

    /// Returns the answer that the outputs vote for. Outputs that cannot be grouped do not vote,
    /// and the first one counts.
    fn voted(&self, outputs: Outputs) -> Answered {
        let Outputs { answers, overflow, cut_in_reasoning } = outputs;
        let found: Vec<Option<String>> = answers.iter().map(|output| self.found(output)).collect();
        let winner = match &self.scorer {
            Some(scorer) if scorer.can_vote() => {
                let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
                scorer.vote(&found).unwrap_or(0)
            }
            _ => 0,
        };
        let name = &self.graph.agent(self.graph.terminal()).name;
        let agents = answers.into_iter().map(|output| AgentOutput { name: name.clone(), output });
        Answered { answer: found.get(winner).cloned().flatten(), agents: agents.collect(), overflow, cut_in_reasoning }
    }

    fn found(&self, output: &str) -> Option<String> {
        match &self.scorer {
            Some(scorer) => scorer.answer(output),
            None => Some(output.to_string()).filter(|output| !output.trim().is_empty()),
        }
    }

    /// Returns the output that is the team's reply: that of the terminal agent, and where outputs
    /// voted, the first one with the answer that won.
    pub fn reply<'a>(&self, answered: &'a Answered) -> &'a str {
        let terminal = &self.graph.agent(self.graph.terminal()).name;
        let mut outputs = answered.agents.iter().filter(|agent| agent.name == *terminal).map(|agent| &*agent.output);
        let first = outputs.clone().next().unwrap_or_default();
        outputs.find(|output| self.found(output) == answered.answer).unwrap_or(first)
    }

    /// The name and the digest of the model.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// The costs so far.
    pub fn bill(&self) -> LedgerLine {
        self.ledger.line(ModelRole::Worker)
    }
}
