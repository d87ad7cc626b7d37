//! Opens the models of an experiment's roles; a model that plays several is opened once, and all of them compute with the same threads.

use super::CliError;
use super::loading::Loading;
use super::local::{open_error, use_threads};
use crate::chat::{ChatModel, ModelRole};
use crate::config::{ModelSpec, Settings};
use crate::engine::qwen3::Dtype;
use crate::engine::{Choice, How, LocalModel, Text};
use std::sync::Arc;

/// The opened models.
pub(super) struct Models {
    opened: Vec<(ModelSpec, Arc<LocalModel>)>,
}

/// Opens the models that play `roles`. All of them share the settings' engine options. `settled` is what the weights of every role were
/// kept in when the run began, if it began before.
pub(super) fn open_models(
    settings: &Settings,
    roles: &[ModelRole],
    settled: Option<[Dtype; 3]>,
) -> Result<Models, CliError> {
    use_threads(settings.engine.threads);
    let mut models = Models { opened: Vec::new() };
    for &role in roles {
        let spec = settings.model(role);
        if models.find(spec).is_some() {
            continue;
        }
        let model = match models.opened.iter().find(|(opened, _)| same_weights(opened, spec)) {
            Some((_, model)) => model.with_thinking(spec.thinking),
            None => open(settings, spec, settled.map(|settled| settled[role as usize]), models.compute())?,
        };
        models.opened.push((spec.clone(), Arc::new(model)));
    }
    Ok(models)
}

fn open(
    settings: &Settings,
    spec: &ModelSpec,
    settled: Option<Dtype>,
    compute: Option<crate::engine::kernels::Compute>,
) -> Result<LocalModel, CliError> {
    let ModelSpec { source, dtype, thinking } = spec;
    let mut loading = Loading::new(source.name());
    let dtype = settled.map_or(Choice::Asked(*dtype), Choice::Settled);
    let how = How { dtype, compute, watch: &mut |heard| loading.show(heard) };
    let model = LocalModel::open_as(source, &settings.engine, *thinking, Text::Needed, how).map_err(open_error)?;
    loading.finish();
    Ok(model)
}

impl Models {
    /// The model that plays `role`.
    ///
    /// # Panics
    /// If no model was opened for it: a programmer's error.
    pub(super) fn role(&self, settings: &Settings, role: ModelRole) -> Arc<dyn ChatModel> {
        self.model(settings, role).clone()
    }

    /// What the weights of every role are kept in.
    pub(super) fn dtypes(&self, settings: &Settings) -> [Dtype; 3] {
        ModelRole::ALL.map(|role| self.model(settings, role).dtype())
    }

    fn model(&self, settings: &Settings, role: ModelRole) -> &Arc<LocalModel> {
        self.find(settings.model(role)).expect("the model of the role was opened")
    }

    fn find(&self, spec: &ModelSpec) -> Option<&Arc<LocalModel>> {
        let same = |opened: &ModelSpec| opened.thinking == spec.thinking && same_weights(opened, spec);
        self.opened.iter().find(|(opened, _)| same(opened)).map(|(_, model)| model)
    }

    /// The threads that the first of them computes with.
    fn compute(&self) -> Option<crate::engine::kernels::Compute> {
        self.opened.iter().find_map(|(_, model)| model.compute().cloned())
    }
}

/// Whether two specifications name the same weights, also when their path is written in two ways.
fn same_weights(one: &ModelSpec, other: &ModelSpec) -> bool {
    one.dtype == other.dtype && one.source.canonical() == other.source.canonical()
}
