//! Opens the models of an experiment's roles, in this process or behind servers. A model in several
//! roles is opened once, and all models of this process share one thread pool.

use super::{Observer, RunError};
use crate::chat::{ChatModel, ModelRole, Panel};
use crate::config::{ModelPlace, ModelSpec, Settings};
use crate::engine::qwen3::Dtype;
use crate::engine::{
    Backend, Date, DtypeRequest, EngineOptions, LoadOptions, ModelSource, ModelText, OpenError, TokenizerRequirement,
};
use crate::local::LocalModel;
use crate::remote::{EndpointOptions, RemoteModel};
use std::sync::Arc;

/// The opened models.
pub struct Models {
    opened: Vec<(ModelSpec, OpenModel)>,
}

/// An opened model.
#[derive(Clone)]
enum OpenModel {
    Local(Arc<LocalModel>),
    Remote(Arc<RemoteModel>),
}

impl OpenModel {
    fn with_thinking(&self, thinking: bool) -> Self {
        match self {
            Self::Local(model) => Self::Local(Arc::new(model.with_thinking(thinking))),
            Self::Remote(model) => Self::Remote(Arc::new(model.with_thinking(thinking))),
        }
    }

    fn local(&self) -> Option<&LocalModel> {
        match self {
            Self::Local(model) => Some(model),
            Self::Remote(_) => None,
        }
    }
}

/// The models of one experiment in their roles, and how they are computed.
#[derive(Clone)]
pub struct Opened {
    /// The models, in the order of [`ModelRole::ALL`].
    pub roles: [Arc<dyn ChatModel>; 3],
    /// The formats in which the weights of every role are kept, and of the judges beside the judge.
    pub dtypes: Vec<Dtype>,
    /// What computes the models.
    pub backend: Backend,
    /// What a reader of the results should know of how the models were computed.
    pub notes: Vec<String>,
}

/// What the answers of models depend on beside their files and the settings.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The weight formats of every role when the run began, and of the judges beside the judge, if
    /// this process resumes it.
    pub dtypes: Option<Vec<Dtype>>,
    /// What computed the models when the run began, if this process resumes it.
    pub backend: Option<Backend>,
    /// The date that chat templates see.
    pub date: Date,
}

/// Returns the models that the roles need, each with its place in [`Opened::dtypes`].
fn needed<'a>(settings: &'a Settings, roles: &[ModelRole]) -> Vec<(usize, &'a ModelSpec)> {
    let mut specs: Vec<_> = roles.iter().map(|role| (*role as usize, settings.model(*role))).collect();
    if roles.contains(&ModelRole::Judge) {
        let more = settings.more_judges().iter().enumerate();
        specs.extend(more.map(|(at, spec)| (ModelRole::ALL.len() + at, spec)));
    }
    specs
}

/// Opens the models of `roles`. All of them share the settings' engine options.
///
/// # Errors
/// Returns an error if a model cannot be opened.
pub fn open_models(
    settings: &Settings,
    roles: &[ModelRole],
    surroundings: &Surroundings,
    observer: &mut dyn Observer,
) -> Result<Models, RunError> {
    use_threads(settings.engine.threads);
    let engine = &settings.engine;
    let engine = EngineOptions { backend: surroundings.backend.unwrap_or(engine.backend), ..engine.clone() };
    let mut models = Models { opened: Vec::new() };
    let needed = needed(settings, roles);
    let mut to_open = distinct(needed.iter().map(|(_, spec)| *spec));
    for (place, spec) in needed {
        if models.find(spec).is_some() {
            continue;
        }
        let model = match models.opened.iter().find(|(opened, _)| same_weights(opened, spec)) {
            Some((_, model)) => model.with_thinking(spec.thinking),
            None => match &spec.place {
                ModelPlace::Remote(endpoint) => {
                    OpenModel::Remote(Arc::new(open_remote(endpoint, spec, surroundings.date, observer)?))
                }
                ModelPlace::Local(source) => {
                    let engine = EngineOptions { models_to_open: to_open, ..engine.clone() };
                    to_open -= 1;
                    let model = open(&engine, (source, spec), (place, surroundings), models.compute(), observer)?;
                    OpenModel::Local(Arc::new(model))
                }
            },
        };
        models.opened.push((spec.clone(), model));
    }
    Ok(models)
}

fn open_remote(
    endpoint: &EndpointOptions,
    spec: &ModelSpec,
    date: Date,
    observer: &mut dyn Observer,
) -> Result<RemoteModel, RunError> {
    let text = endpoint.tokenizer.as_ref().map(|source| ModelText::open(source, Some(date))).transpose()?;
    let model = RemoteModel::open(endpoint, spec.thinking, observer.announcer())?;
    Ok(match text {
        Some(text) => model.with_text(Arc::new(text)),
        None => model,
    })
}

fn open(
    engine: &EngineOptions,
    (source, spec): (&ModelSource, &ModelSpec),
    (place, Surroundings { dtypes, date, .. }): (usize, &Surroundings),
    compute: Option<crate::engine::kernels::Compute>,
    observer: &mut dyn Observer,
) -> Result<LocalModel, OpenError> {
    let ModelSpec { place: _, dtype, thinking, decoding: _ } = spec;
    let name = source.name();
    let resolved = dtypes.as_ref().and_then(|dtypes| dtypes.get(place));
    let dtype = resolved.map_or(DtypeRequest::Requested(*dtype), |dtype| DtypeRequest::Resolved(*dtype));
    let how = LoadOptions { dtype, compute, date: Some(*date), watch: &mut |news| observer.opening(&name, news) };
    let model = LocalModel::open_as(source, engine, *thinking, TokenizerRequirement::Required, how)?;
    observer.opened();
    Ok(model)
}

/// Limits the threads that read and convert weights to `threads` as well. It must be called before
/// a model is opened. A number out of range is ignored here and rejected when the model is opened.
pub fn use_threads(threads: Option<usize>) {
    if let Some(threads @ 1..=1024) = threads {
        // Only the first call in a process has an effect, and there is one command per process.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}

impl Models {
    /// Returns the model of `role`.
    ///
    /// # Panics
    /// Panics if no model was opened for it, which is a programmer's error.
    pub fn role(&self, settings: &Settings, role: ModelRole) -> Arc<dyn ChatModel> {
        let specs = needed(settings, &[role]).into_iter();
        let models = specs.map(|(_, spec)| -> Arc<dyn ChatModel> {
            match self.find(spec).expect("the models of the role were opened") {
                OpenModel::Local(model) => Arc::<LocalModel>::clone(model),
                OpenModel::Remote(model) => Arc::<RemoteModel>::clone(model),
            }
        });
        Panel::of(models.collect())
    }

    /// The models in their roles, for one run.
    pub fn opened(&self, settings: &Settings) -> Opened {
        Opened {
            roles: ModelRole::ALL.map(|role| self.role(settings, role)),
            dtypes: self.dtypes(settings),
            backend: self.backend(),
            notes: self.notes(settings),
        }
    }

    /// The formats in which the weights of every role are kept, and of the judges beside the judge;
    /// `auto` for a model behind a server.
    pub fn dtypes(&self, settings: &Settings) -> Vec<Dtype> {
        let dtype = |spec| self.find(spec)?.local().map(|model| model.engine().dtype());
        needed(settings, &ModelRole::ALL).into_iter().map(|(_, spec)| dtype(spec).unwrap_or(Dtype::Auto)).collect()
    }

    /// What computes the models of this process. It is the same for all of them.
    pub fn backend(&self) -> Backend {
        let local = self.opened.iter().find_map(|(_, model)| model.local());
        local.map_or(Backend::Native, |model| model.engine().backend())
    }

    /// What a reader of the results should know of how the models were computed.
    pub fn notes(&self, settings: &Settings) -> Vec<String> {
        let note = |opened: &OpenModel| match opened {
            OpenModel::Local(model) => model.engine().note().map(str::to_string),
            OpenModel::Remote(model) => Some(model.note()),
        };
        let mut notes: Vec<String> = self.opened.iter().filter_map(|(_, model)| note(model)).collect();
        notes.dedup();
        notes.extend(self.crowding(settings));
        notes
    }

    /// Returns a warning if the answers of a mini-batch have no room at once, even without their
    /// prompts.
    fn crowding(&self, settings: &Settings) -> Option<String> {
        let tokens = settings.graph.agents().iter().map(|agent| agent.max_new_tokens).max()?;
        let batch = settings.options.search.batch.min(settings.pool.len());
        let pool = self.model(settings, ModelRole::Worker).local()?.engine().pool_tokens();
        let at_once = pool / tokens.max(1);
        (at_once < batch).then(|| {
            format!(
                "there is room for {at_once} answers of {tokens} tokens at once, fewer than the {batch} of a \
                 mini-batch, so the others wait: free memory, or set `model.dtype`, `engine.kv_dtype` or \
                 `max_new_tokens` lower"
            )
        })
    }

    fn model(&self, settings: &Settings, role: ModelRole) -> &OpenModel {
        self.find(settings.model(role)).expect("the model of the role was opened")
    }

    fn find(&self, spec: &ModelSpec) -> Option<&OpenModel> {
        let same = |opened: &ModelSpec| opened.thinking == spec.thinking && same_weights(opened, spec);
        self.opened.iter().find(|(opened, _)| same(opened)).map(|(_, model)| model)
    }

    /// The thread pool of the first opened model, which the others share.
    fn compute(&self) -> Option<crate::engine::kernels::Compute> {
        self.opened.iter().find_map(|(_, model)| model.local()?.engine().compute().cloned())
    }
}

/// Returns how many different weights of this process the specifications name.
fn distinct<'a>(specs: impl Iterator<Item = &'a ModelSpec>) -> usize {
    let mut seen: Vec<&ModelSpec> = Vec::new();
    for spec in specs.filter(|spec| matches!(spec.place, ModelPlace::Local(_))) {
        if !seen.iter().any(|other| same_weights(other, spec)) {
            seen.push(spec);
        }
    }
    seen.len()
}

/// Whether two specifications name the same weights, even if their paths are written differently,
/// or the same server.
fn same_weights(one: &ModelSpec, other: &ModelSpec) -> bool {
    match (&one.place, &other.place) {
        (ModelPlace::Local(a), ModelPlace::Local(b)) => one.dtype == other.dtype && a.canonical() == b.canonical(),
        (ModelPlace::Remote(a), ModelPlace::Remote(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Decoding;

    #[test]
    fn models_that_differ_in_thinking_alone_are_opened_once() {
        let spec = |source: &str, dtype, thinking| {
            let source = ModelSource::parse(source).unwrap();
            ModelSpec { place: ModelPlace::Local(source), dtype, thinking, decoding: Decoding::default() }
        };
        let small = spec("embedded:triage", Dtype::Auto, false);
        let thinking = ModelSpec { thinking: true, ..small.clone() };
        let (coarse, other) = (spec("embedded:triage", Dtype::Q8_0, false), spec("/nowhere", Dtype::Auto, false));
        let count = |specs: &[&ModelSpec]| distinct(specs.iter().copied());
        assert_eq!(count(&[&small, &thinking, &small]), 1);
        assert_eq!(count(&[&small, &coarse, &other]), 3);
    }
}
