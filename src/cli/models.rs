//! Opens the models of an experiment's roles; a model that plays several is opened once.

use super::CliError;
use super::loading::Loading;
use super::local::{open_error, say_dtype};
use crate::chat::{ChatModel, ModelRole};
use crate::config::{ModelSpec, Settings};
use crate::engine::{LocalModel, Text};
use std::sync::Arc;

/// The opened models.
pub(super) struct Models {
    opened: Vec<(ModelSpec, Arc<LocalModel>)>,
}

/// Opens the models that play `roles`. All of them share the settings' engine options.
pub(super) fn open_models(settings: &Settings, roles: &[ModelRole]) -> Result<Models, CliError> {
    let mut models = Models { opened: Vec::new() };
    for role in roles {
        let spec = settings.model(*role);
        if models.find(spec).is_none() {
            let ModelSpec { source, dtype, thinking } = spec;
            let mut loading = Loading::new(source.name());
            let mut show = |done, all| loading.show(done, all);
            let model = LocalModel::open_watched(source, &settings.engine, *dtype, *thinking, Text::Needed, &mut show);
            let model = model.map_err(open_error)?;
            drop(loading);
            say_dtype(&model, *dtype);
            models.opened.push((spec.clone(), Arc::new(model)));
        }
    }
    Ok(models)
}

impl Models {
    /// The model that plays `role`.
    ///
    /// # Panics
    /// If no model was opened for it: a programmer's error.
    pub(super) fn role(&self, settings: &Settings, role: ModelRole) -> Arc<dyn ChatModel> {
        self.find(settings.model(role)).expect("the model of the role was opened").clone()
    }

    fn find(&self, spec: &ModelSpec) -> Option<&Arc<LocalModel>> {
        self.opened.iter().find(|(opened, _)| same(opened, spec)).map(|(_, model)| model)
    }
}

/// Whether two specifications are one model, also when its path is written in two ways.
fn same(one: &ModelSpec, other: &ModelSpec) -> bool {
    (one.dtype, one.thinking) == (other.dtype, other.thinking) && one.source.canonical() == other.source.canonical()
}
