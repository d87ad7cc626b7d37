//! The disk cache of quantized weights, end to end: the second start reads them, a damaged file is
//! replaced, and with the cache turned off there are no files. Here a model counts as large from
//! the first weight on.

mod support;

use futures::executor::block_on;
use maspo::chat::{ChatModel, Sampling};
use maspo::engine::qwen3::Dtype;
use maspo::engine::{
    DtypeRequest, EngineOptions, LoadOptions, LoadProgress, ModelSource, TokenRequest, TokenizerRequirement,
};
use maspo::local::LocalModel;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use support::TinyModel;

/// A model's folder and a cache folder.
struct Folders(tempfile::TempDir);

impl Folders {
    fn new() -> Self {
        let folders = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(folders.path("model")).unwrap();
        TinyModel::default().write(&folders.path("model"));
        folders
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Opens the model in 8 bits and returns what it generates and the reported progress.
    fn open(&self, weight_cache: bool) -> (Vec<u32>, Vec<LoadProgress>) {
        let options = EngineOptions {
            weight_cache,
            worth_keeping: 1,
            weight_folder: Some(self.path("kept")),
            threads: Some(1),
            ..EngineOptions::default()
        };
        let source = ModelSource::parse(self.path("model").to_str().unwrap()).unwrap();
        let mut progress = Vec::new();
        let how = LoadOptions {
            dtype: DtypeRequest::Requested(Dtype::Q8_0),
            compute: None,
            date: None,
            watch: &mut |event| progress.push(event),
        };
        let model = LocalModel::open_as(&source, &options, false, TokenizerRequirement::Required, how).unwrap();
        let request = TokenRequest {
            prompt: vec![5, 9, 300, 17],
            max_new_tokens: 16,
            sampling: Sampling::GREEDY,
            ignore_eos: true,
            stop: Vec::new(),
        };
        assert_ne!(model.identity().digest, model.with_thinking(true).identity().digest);
        (block_on(model.engine().generate(request)).unwrap().token_ids, progress)
    }

    /// Returns every cached file and its modification time.
    fn cached(&self) -> BTreeMap<PathBuf, SystemTime> {
        let mut found = BTreeMap::new();
        collect(&self.path("kept"), &mut found);
        found
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, SystemTime>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            let written = path.metadata().unwrap().modified().unwrap();
            found.insert(path, written);
        }
    }
}

#[test]
fn the_second_start_reads_all_converted_weights_from_disk() {
    let folders = Folders::new();
    let (tokens, progress) = folders.open(true);
    let first = folders.cached();
    // Two layers of seven matrices, and the embedding table.
    assert_eq!(first.len(), 15, "{first:?}");
    assert!(first.keys().all(|path| path.extension().is_some_and(|kind| kind == "q8_0")), "{first:?}");
    // Converted weights are written with a new modification time.
    let (again, progress_again) = folders.open(true);
    assert_eq!((again, progress_again.len()), (tokens.clone(), progress.len()));
    assert_eq!(folders.cached(), first);

    let (damaged, _) = first.first_key_value().unwrap();
    std::fs::write(damaged, b"damaged").unwrap();
    assert_eq!(folders.open(true).0, tokens);
    let replaced = folders.cached();
    let changed: Vec<_> = first.keys().filter(|path| first[*path] != replaced[*path]).collect();
    assert_eq!((changed, replaced.len()), (vec![damaged], 15));

    assert!(
        matches!(progress[0], LoadProgress::Resolved(resolved) if resolved.dtype == Dtype::Q8_0 && resolved.bytes > 0)
    );
    let done: Vec<(u64, u64)> = progress[1..]
        .iter()
        .map(|event| match event {
            LoadProgress::Loaded { done, all } => (*done, *all),
            LoadProgress::Resolved(_) => panic!("once is enough"),
            LoadProgress::Noticed(notice) => panic!("nothing is unusual: {notice:?}"),
        })
        .collect();
    assert!(done.len() > 15 && done.is_sorted(), "{done:?}");
    assert!(done.iter().all(|(done, all)| done < all), "{done:?}");
}

#[test]
fn without_the_weight_cache_answers_are_equal_and_no_file_is_written() {
    let folders = Folders::new();
    let (tokens, _) = folders.open(false);
    assert!(!folders.path("kept").exists());
    assert_eq!(folders.open(true).0, tokens);
}

#[test]
fn other_weights_have_cache_files_of_their_own() {
    let folders = Folders::new();
    folders.open(true);
    let first = folders.cached();
    TinyModel { seed: 2, ..TinyModel::default() }.write(&folders.path("model"));
    folders.open(true);
    assert_eq!(folders.cached().len(), 2 * first.len());
}
