//! `maspo-manifest.json`: what was fetched, from where, with every file's size and SHA-256. `maspo`
//! reads it (`src/engine/files/manifest.rs`). It has no time and no machine in it, so the same
//! fetch always leaves the same bytes.

use super::error::FetchError;
use super::hash::is_digest;
use super::names::{FilePath, MANIFEST};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;

/// The version of the format.
const SCHEMA: u32 = 1;
/// The largest manifest that is read.
const MAX_BYTES: u64 = 16 << 20;

/// A folder's manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    schema: u32,
    /// The hub.
    pub(crate) endpoint: String,
    /// The model's id there.
    pub(crate) model: String,
    /// The commit, whatever revision was named.
    pub(crate) commit: String,
    /// The files, in the order of their paths.
    pub(crate) files: Vec<ManifestFile>,
}

/// One file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    /// The path below the folder, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Manifest {
    pub(crate) fn new(endpoint: String, model: String, commit: String, mut files: Vec<ManifestFile>) -> Self {
        files.sort();
        Self { schema: SCHEMA, endpoint, model, commit, files }
    }

    /// Reads the manifest of a folder, where there is one.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, FetchError> {
        let path = folder.join(MANIFEST);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FetchError::Storage { path, error }),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(FetchError::storage(&path))?;
        let wrong = |reason: String| FetchError::Manifest { path: path.clone(), reason };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if manifest.schema != SCHEMA {
            return Err(wrong(format!("it has schema {}, and this program knows {SCHEMA}", manifest.schema)));
        }
        for file in &manifest.files {
            if FilePath::parse(&file.path).is_none() || !is_digest(&file.sha256, 32) {
                return Err(wrong(format!("it names {:?}, which cannot be a file of a model", file.path)));
            }
        }
        Ok(Some(manifest))
    }

    /// Writes the manifest into a folder, whole or not at all.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), FetchError> {
        let path = folder.join(MANIFEST);
        let part = folder.join(format!("{MANIFEST}.part"));
        let mut text = serde_json::to_string_pretty(self).expect("plain data");
        text.push('\n');
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &path)
        };
        write().map_err(FetchError::storage(path.clone()))
    }
}
