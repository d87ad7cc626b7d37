//! Where a model's files are: a Hugging Face folder, or the program itself.

use super::embedded::{EMBEDDED, EmbeddedModel};
use super::weights::{Checkpoint, FileBytes, WeightsError};
use std::fmt;
use std::path::{Path, PathBuf};

const SCHEME: &str = "embedded:";

/// A model by its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModelSource {
    /// A Hugging Face folder.
    Folder(PathBuf),
    /// Part of the program, by name.
    Embedded(&'static str),
}

impl ModelSource {
    /// `embedded:NAME`, or else the path of a folder.
    ///
    /// # Errors
    /// An embedded model that there is not.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        match text.strip_prefix(SCHEME) {
            None => Ok(Self::Folder(PathBuf::from(text))),
            Some(name) => EmbeddedModel::named(name)
                .map(|model| Self::Embedded(model.name))
                .ok_or_else(|| SourceError::NotEmbedded { name: name.to_string(), known: known() }),
        }
    }

    /// The same source, a relative folder being taken from `base`.
    pub fn relative_to(self, base: &Path) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(base.join(path)),
            Self::Embedded(name) => Self::Embedded(name),
        }
    }

    /// For people: the folder's own name, or `embedded:NAME`.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
            Self::Embedded(name) => format!("{SCHEME}{name}"),
        }
    }

    /// The bytes of a file, or `None` where there is no such file.
    ///
    /// # Errors
    /// A folder that does not exist, or a file that cannot be read.
    pub fn file(&self, name: &str) -> Result<Option<FileBytes>, SourceError> {
        match self {
            Self::Folder(folder) => {
                if !folder.is_dir() {
                    return Err(SourceError::NoFolder { folder: folder.clone(), known: known() });
                }
                let path = folder.join(name);
                if path.exists() { Ok(Some(FileBytes::map(&path)?)) } else { Ok(None) }
            }
            Self::Embedded(model) => {
                Ok(EmbeddedModel::named(model).and_then(|model| model.file(name)).map(FileBytes::Embedded))
            }
        }
    }

    /// The bytes of a file that must be there.
    ///
    /// # Errors
    /// As [`file`](Self::file), and a file that is missing.
    pub fn required(&self, name: &'static str) -> Result<FileBytes, SourceError> {
        self.file(name)?.ok_or_else(|| SourceError::NoFile { model: self.to_string(), file: name })
    }

    /// The safetensors files, checked.
    ///
    /// # Errors
    /// Files that are missing or break their format.
    pub fn checkpoint(&self) -> Result<Checkpoint, SourceError> {
        match self {
            Self::Folder(folder) => Ok(Checkpoint::open(folder)?),
            Self::Embedded(_) => {
                let bytes = self.required("model.safetensors")?;
                Ok(Checkpoint::from_files(vec![(format!("{self}/model.safetensors"), bytes)])?)
            }
        }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Embedded(name) => write!(f, "{SCHEME}{name}"),
        }
    }
}

fn known() -> String {
    EMBEDDED.iter().map(|model| format!("`{SCHEME}{}`", model.name)).collect::<Vec<_>>().join(", ")
}

/// Why a model's files cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No embedded model of that name.
    #[error("there is no embedded model `{name}`; there is {known}")]
    NotEmbedded {
        /// The name asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The folder does not exist.
    #[error("{folder} is not a folder: give a Hugging Face model folder or {known}")]
    NoFolder {
        /// The path asked for.
        folder: PathBuf,
        /// The embedded models.
        known: String,
    },
    /// A file that every model needs is missing.
    #[error("{model} has no {file}")]
    NoFile {
        /// The model.
        model: String,
        /// The file.
        file: &'static str,
    },
    /// A file cannot be read, or breaks its format.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_folder_or_an_embedded_model() {
        assert_eq!(ModelSource::parse("embedded:triage").unwrap(), ModelSource::Embedded("triage"));
        assert_eq!(ModelSource::parse("m/triage").unwrap().relative_to(Path::new("/d")).to_string(), "/d/m/triage");
        assert_eq!(
            ModelSource::parse("embedded:x").unwrap_err().to_string(),
            "there is no embedded model `x`; there is `embedded:triage`"
        );
        let nowhere = ModelSource::parse("/nowhere").unwrap().file("config.json").err().unwrap();
        assert_eq!(
            nowhere.to_string(),
            "/nowhere is not a folder: give a Hugging Face model folder or `embedded:triage`"
        );
    }
}
