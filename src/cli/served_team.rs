//! The team of a bundle as `maspo serve` offers it: one question in, the team's answer out.

use super::CliError;
use super::output::print_message;
use super::team::bundle_error;
use crate::base::CancelToken;
use crate::bundle::{Bundle, open_bundle};
use crate::chat::{ChatError, ChatModel, Ledger, Metered, ModelRole};
use crate::config::Settings;
use crate::engine::{ModelSource, TextEngine};
use crate::local::LocalModel;
use crate::rollout::Prompts;
use crate::run::{TeamOf, TeamRun};
use crate::serve::{Team, TeamAnswer};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The team of a bundle before its model is open.
pub(super) struct BundleTeam {
    path: PathBuf,
    pub(super) bundle: Bundle,
    /// Where its model is.
    pub(super) source: ModelSource,
}

impl BundleTeam {
    /// Opens the bundle. `model` says where its model is now, if that is elsewhere.
    pub(super) fn open(path: &Path, model: Option<&str>) -> Result<Self, CliError> {
        let bundle = open_bundle(path).map_err(|error| bundle_error(&error))?;
        let Some(source) = model.or(bundle.team.model.source.as_deref()) else {
            let message = format!("the model of {} is behind a server: give a local --model", path.display());
            return Err(CliError::bad_input(message));
        };
        let source = ModelSource::parse(source).map_err(CliError::bad_input)?;
        Ok(Self { path: path.to_path_buf(), bundle, source })
    }

    /// The name of its experiment.
    pub(super) fn name(&self) -> String {
        self.bundle.team.name.clone()
    }

    /// Returns the team on its opened model.
    pub(super) fn on(self, engine: TextEngine) -> Result<Arc<dyn Team>, CliError> {
        let Self { path, bundle, source } = self;
        let model: Arc<dyn ChatModel> = Arc::new(LocalModel::of_engine(engine, bundle.team.model.thinking));
        if let Some(measured) = bundle.team.model.identity.as_ref().filter(|measured| **measured != model.identity()) {
            print_message(format_args!(
                "warning: the bundle's evidence was measured on {} ({}), and this is {} ({})",
                measured.name,
                measured.digest.short(),
                model.identity().name,
                model.identity().digest.short()
            ));
        }
        let settings = Settings::of_bundle(&bundle, &path, source)
            .map_err(|problem| CliError::bad_input(format!("{}: {problem}", path.display())))?;
        let (_, prompts) = bundle.graph_with_prompts().map_err(CliError::bad_input)?;
        Ok(Arc::new(ServedTeam { settings, prompts, bundle, model }))
    }
}

/// A team on its opened model.
struct ServedTeam {
    settings: Settings,
    prompts: Prompts,
    bundle: Bundle,
    model: Arc<dyn ChatModel>,
}

impl Team for ServedTeam {
    fn answer(&self, question: Arc<str>) -> BoxFuture<'_, Result<TeamAnswer, String>> {
        async move {
            // Every question has a ledger of its own, from which its usage comes.
            let ledger = Ledger::new();
            let worker = Metered::new(self.model.clone(), ModelRole::Worker, ledger.clone(), CancelToken::new());
            let rule = self.bundle.team.graph.rule;
            let team = TeamOf { settings: &self.settings, prompts: self.prompts.clone(), rule };
            let run = TeamRun::on(&team, Arc::new(worker), self.model.identity(), ledger);
            let answered = run.answer(question).await.map_err(|error| match error {
                ChatError::Overflow { .. } => "the question is too long for the team's model".to_string(),
                error => error.to_string(),
            })?;
            let bill = run.bill();
            Ok(TeamAnswer {
                content: run.reply(&answered).to_string(),
                details: serde_json::to_value(&answered).expect("an answer is plain data"),
                prompt_tokens: (bill.prefilled_tokens + bill.reused_tokens) as usize,
                cached_tokens: bill.reused_tokens as usize,
                completion_tokens: bill.decoded_tokens as usize,
            })
        }
        .boxed()
    }

    fn about(&self) -> Value {
        let agents: Vec<&str> = self.bundle.team.graph.agents.iter().map(|agent| agent.name.as_str()).collect();
        json!({ "bundle": self.bundle.hash, "agents": agents })
    }
}
