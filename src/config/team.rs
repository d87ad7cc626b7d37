//! The team of an experiment as a run records it, and settings for a team alone, without an
//! experiment file.

use super::method::MethodSettings;
use super::models::{ModelPlace, ModelSpec};
use super::settings::{Excluded, Settings, TemplateNames};
use crate::base::{AgentId, digest_json};
use crate::bundle::{Bundle, GraphPart, SummaryPart, TaskPart, Team, TeamAgent, TeamModel, TemplatesPart};
use crate::chat::ModelRole;
use crate::engine::{EngineOptions, ModelSource};
use crate::graph::{Agent, Edge};
use crate::rollout::{AnswerRule, RolloutOptions, SystemEdge};
use crate::search::Options;
use crate::task::RowFields;
use crate::templates::Templates;
use std::path::Path;
use std::sync::Arc;

impl Settings {
    /// Returns the experiment's team: everything that its answers depend on beside the prompts to
    /// use.
    pub fn team(&self) -> Team {
        let agent = |agent: &Agent| TeamAgent {
            name: agent.name.clone(),
            role: agent.role.clone(),
            max_new_tokens: agent.max_new_tokens,
            optimize: agent.optimize,
            frozen: agent.frozen.clone(),
            seed_prompt: agent.seed_prompt.clone(),
        };
        let name = |id: AgentId| self.graph.agent(id).name.clone();
        let edge = |edge: &Edge| SystemEdge { from: name(edge.from), to: name(edge.to), view: edge.view };
        let TemplateNames { optimizer, judge, summary, task } = self.template_names.clone();
        let templates = self.templates();
        let worker = self.model(ModelRole::Worker);
        let convention = self.scorer.as_ref().map(|scorer| scorer.convention());
        let RowFields { id, question, name_hint } = self.rows.clone();
        Team {
            name: self.name.clone(),
            seed: self.seed,
            graph: GraphPart {
                agents: self.graph.agents().iter().map(agent).collect(),
                edges: self.graph.edges().iter().map(edge).collect(),
                rule: AnswerRule::Once,
            },
            templates: TemplatesPart { optimizer, judge, summary, task, digest: digest_json("templates", templates) },
            summary: SummaryPart {
                words: self.options.rollout.summary_words,
                request: templates.summary.source().to_string(),
            },
            task: TaskPart {
                question,
                id,
                name_hint,
                max_prompt_bytes: self.options.propose.max_prompt_bytes,
                scorer: self.scorer.clone(),
                scorer_version: convention.map(|convention| convention.version),
                convention: convention.map(|convention| convention.rules.to_string()),
            },
            model: TeamModel {
                source: match &worker.place {
                    ModelPlace::Local(source) => Some(source.canonical().to_string()),
                    ModelPlace::Remote(_) => None,
                },
                dtype: worker.dtype,
                thinking: worker.thinking,
                decoding: worker.decoding,
                identity: None,
            },
        }
    }

    /// Returns settings that run the team of a bundle on rows of its own, on the model in `source`.
    /// They have no queries and no cases.
    ///
    /// # Errors
    /// What is wrong with the bundle's graph or with its request for summaries.
    pub fn of_bundle(bundle: &Bundle, file: &Path, source: ModelSource) -> Result<Self, String> {
        let (graph, _) = bundle.graph_with_prompts()?;
        let Team { name, seed, templates, summary, task, model, .. } = bundle.team.clone();
        let request = bundle.team.summary_request()?;
        let mut options = Options {
            rollout: RolloutOptions { summary_words: summary.words, ..RolloutOptions::default() },
            templates: Some(Arc::new(Templates { summary: request, ..Templates::terse().as_ref().clone() })),
            ..Options::default()
        };
        options.propose.max_prompt_bytes = task.max_prompt_bytes;
        let spec = ModelSpec {
            place: ModelPlace::Local(source),
            dtype: model.dtype,
            thinking: model.thinking,
            decoding: model.decoding,
        };
        let TemplatesPart { optimizer, judge, summary, task: preset, digest: _ } = templates;
        Ok(Self {
            file: file.to_path_buf(),
            name,
            seed,
            graph: Arc::new(graph),
            pool: Vec::new(),
            rows: RowFields { id: task.id, question: task.question, name_hint: task.name_hint },
            train: None,
            test: None,
            excluded: Excluded::default(),
            private: false,
            scorer: task.scorer,
            samples: None,
            verdicts: None,
            options,
            template_names: TemplateNames { optimizer, judge, summary, task: preset },
            method: MethodSettings::default(),
            date: None,
            engine: EngineOptions::default(),
            warnings: Vec::new(),
            models: [spec.clone(), spec.clone(), spec],
            more_judges: Vec::new(),
        })
    }
}
