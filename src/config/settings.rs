//! The settings of an experiment: everything that a command needs, checked and loaded.

use super::method::MethodSettings;
use super::models::ModelSpec;
use crate::base::{AgentId, Digest, Hasher, Seed, digest_json};
use crate::chat::{ChatModel, Decoding, ModelRole, Panel, RoleModel};
use crate::engine::{Date, EngineOptions};
use crate::eval::{SampleOptions, VerdictOptions};
use crate::graph::Graph;
use crate::rollout::{Prompts, RolloutOptions};
use crate::search::Options;
use crate::task::{Case, Query, RowFields, Scorer};
use crate::templates::Templates;
use std::path::PathBuf;
use std::sync::Arc;

/// How many rows of the labelled sets were left out because the pool has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Excluded {
    /// The number of rows of `data.train` that were left out.
    pub train: usize,
    /// The number of rows of `data.test` that were left out.
    pub test: usize,
}

/// Which template set each request is made of, and which task preset it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateNames {
    /// The set of the optimizer's request: the name of one in the program, or a folder.
    pub optimizer: String,
    /// The set of the judge's request.
    pub judge: String,
    /// The set of the request for a summary.
    pub summary: String,
    /// The task preset of optimizer and judge.
    pub task: Option<String>,
}

/// A checked experiment with its data.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The experiment file.
    pub file: PathBuf,
    /// The experiment's name; part of the run folder's.
    pub name: String,
    /// The run's seed.
    pub seed: Seed,
    /// The agents with their seed prompts.
    pub graph: Arc<Graph>,
    /// The queries to optimize on, without answers.
    pub pool: Vec<Query>,
    /// The fields of the pool's rows, which the rows of new input have too.
    pub rows: RowFields,
    /// Labelled cases that may be looked at while developing.
    pub train: Option<Vec<Case>>,
    /// Labelled cases held out for the report.
    pub test: Option<Vec<Case>>,
    /// How many rows of the labelled sets were left out because the pool has them.
    pub excluded: Excluded,
    /// Whether the words of the data must not be printed or put into reports.
    pub private: bool,
    /// How labelled cases are scored; there whenever labelled cases are.
    pub scorer: Option<Scorer>,
    /// How `maspo eval` draws several samples of a case; one answer each if `None`.
    pub samples: Option<SampleOptions>,
    /// How `maspo eval` reads verdicts; none are read if `None`.
    pub verdicts: Option<VerdictOptions>,
    /// Options of the search and its parts.
    pub options: Options,
    /// Which template sets the requests are made of.
    pub template_names: TemplateNames,
    /// Which method runs, its options and its budget.
    pub method: MethodSettings,
    /// The date that chat templates see; the day on which a run begins if `None`.
    pub date: Option<Date>,
    /// Options of the local engine.
    pub engine: EngineOptions,
    /// What the user should know although it is no fault.
    pub warnings: Vec<String>,
    pub(super) models: [ModelSpec; 3],
    /// The models that judge beside the judge.
    pub(super) more_judges: Vec<ModelSpec>,
}

impl Settings {
    /// Returns the model that plays `role`.
    pub fn model(&self, role: ModelRole) -> &ModelSpec {
        &self.models[role as usize]
    }

    /// Returns the models that judge beside the one of the role, each with an equal vote.
    pub fn more_judges(&self) -> &[ModelSpec] {
        &self.more_judges
    }

    /// Returns the requests to optimizer, judge and summarizer.
    ///
    /// # Panics
    /// Panics if the options were changed to have none.
    pub fn templates(&self) -> &Templates {
        self.options.templates.as_deref().expect("settings that are read have templates")
    }

    /// Returns `model` decoding as the settings say for `role`.
    pub fn in_role(&self, role: ModelRole, model: Arc<dyn ChatModel>) -> Arc<dyn ChatModel> {
        let own = self.model(role).decoding;
        let members = model.members();
        if members.is_empty() {
            return RoleModel::wrap(model, role, own, self.seed);
        }
        let decodings = std::iter::once(own).chain(self.more_judges.iter().map(|spec| spec.decoding));
        let wrapped = members.into_iter().zip(decodings);
        Panel::of(wrapped.map(|(model, decoding)| RoleModel::wrap(model, role, decoding, self.seed)).collect())
    }

    /// Returns the settings with other prompts to start from.
    #[must_use]
    pub fn starting_from(mut self, prompts: &Prompts) -> Self {
        self.graph = Arc::new(self.graph.starting_from(|id| prompts.get(id).clone()));
        self
    }

    /// Returns the queries of all sets.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        let labelled = [&self.train, &self.test].into_iter().flatten().flatten().map(|case| &case.query);
        self.pool.iter().chain(labelled)
    }

    /// Returns the labelled cases of that name (`train` or `test`).
    pub fn split(&self, name: &str) -> Option<&[Case]> {
        match name {
            "train" => self.train.as_deref(),
            "test" => self.test.as_deref(),
            _ => None,
        }
    }

    /// Returns the digest of what the run computes: seed, graph, prompts, options, and the rows
    /// themselves. Settings that change no result (names, paths, the engine's options, how much
    /// runs at once) do not enter, nor do the models, which have identities of
    /// their own; how they sample does.
    pub fn digest(&self) -> Digest {
        let Options { search, reward, judge, misalignment, propose, rollout, templates: _ } = &self.options;
        let rollout = RolloutOptions { max_in_flight: RolloutOptions::default().max_in_flight, ..rollout.clone() };
        let mut hasher = Hasher::new("maspo settings 1");
        hasher.field(&self.seed.0.to_le_bytes());
        let agents = self.graph.agents();
        for agent in agents {
            let facts =
                (&agent.name, &agent.role, &agent.seed_prompt, &agent.frozen, agent.max_new_tokens, agent.optimize);
            hasher.field(&digest_json("agent", &facts).0);
        }
        let name = |id: AgentId| &self.graph.agent(id).name;
        let edges: Vec<_> = self.graph.edges().iter().map(|edge| (name(edge.from), name(edge.to), edge.view)).collect();
        hasher.field(&digest_json("edges", &edges).0);
        hasher.field(&digest_json("options", &(search, reward, judge, misalignment, propose, rollout)).0);
        let pool: Vec<_> = self.pool.iter().map(|query| (&query.id, &*query.question)).collect();
        hasher.field(&digest_json("pool", &pool).0);
        let rows = |cases: &Option<Vec<Case>>| -> Option<Vec<(String, String, String)>> {
            let row = |case: &Case| (case.query.id.clone(), case.query.question.to_string(), case.answer.clone());
            cases.as_ref().map(|cases| cases.iter().map(row).collect())
        };
        hasher.field(&digest_json("labelled", &(rows(&self.train), rows(&self.test), &self.scorer)).0);
        if let Some(date) = self.date {
            hasher.field(b"date").field(date.to_string().as_bytes());
        }
        let templates = self.templates();
        if *templates != *Templates::terse() {
            hasher.field(&digest_json("templates", templates).0);
        }
        let decoding = ModelRole::ALL.map(|role| self.model(role).decoding);
        if decoding != [Decoding::default(); 3] {
            hasher.field(&digest_json("decoding", &decoding).0);
        }
        if !self.more_judges.is_empty() {
            let decodings: Vec<_> = self.more_judges.iter().map(|spec| spec.decoding).collect();
            hasher.field(&digest_json("judges", &decodings).0);
        }
        let method = MethodSettings { budget: self.method.budget.without_clock(), ..self.method.clone() };
        if method != MethodSettings::default() {
            hasher.field(&digest_json("method", &(method.kind, &method.options, &method.budget)).0);
        }
        hasher.finish()
    }
}
