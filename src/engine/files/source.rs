//! Where a model's files are: a Hugging Face folder, a GGUF file, or the program itself.

use super::embedded::{EMBEDDED, EmbeddedModel};
use crate::weights::{Checkpoint, FileBytes, WeightsError};
use std::fmt;
use std::path::{Path, PathBuf};

const SCHEME: &str = "embedded:";

/// A model by its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModelSource {
    /// A Hugging Face folder, or a folder with a GGUF file in it.
    Folder(PathBuf),
    /// A GGUF file.
    Gguf(PathBuf),
    /// Part of the program, by name.
    Embedded(&'static str),
}

impl ModelSource {
    /// `embedded:NAME`, or else a path: of a GGUF file where it ends in `.gguf`, or else of a
    /// folder.
    ///
    /// # Errors
    /// An embedded model that there is not.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        match text.strip_prefix(SCHEME) {
            None if is_gguf(Path::new(text)) => Ok(Self::Gguf(PathBuf::from(text))),
            None => Ok(Self::Folder(PathBuf::from(text))),
            Some(name) => EmbeddedModel::named(name)
                .map(|model| Self::Embedded(model.name))
                .ok_or_else(|| SourceError::NotEmbedded { name: name.to_string(), known: known() }),
        }
    }

    /// The same source, a relative path being taken from `base`.
    pub fn relative_to(self, base: &Path) -> Self {
        self.map_path(|path| base.join(path))
    }

    /// The same source with another path, where it has one.
    pub fn map_path(self, change: impl FnOnce(&Path) -> PathBuf) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(change(&path)),
            Self::Gguf(path) => Self::Gguf(change(&path)),
            Self::Embedded(name) => Self::Embedded(name),
        }
    }

    /// One of all the ways to write the source: a path without links and dots, where it exists.
    pub fn canonical(&self) -> Self {
        self.clone().map_path(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
    }

    /// For people: the folder's or file's own name, or `embedded:NAME`.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(path) | Self::Gguf(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
            Self::Embedded(name) => format!("{SCHEME}{name}"),
        }
    }

    /// The bytes of a file, or `None` where there is no such file. Of a GGUF file the folder it
    /// lies in is searched.
    ///
    /// # Errors
    /// A folder that does not exist, or a file that cannot be read.
    pub fn file(&self, name: &str) -> Result<Option<FileBytes>, SourceError> {
        match self {
            Self::Folder(folder) => {
                if !folder.is_dir() {
                    return Err(SourceError::NoFolder { folder: folder.clone(), known: known() });
                }
                existing(folder.join(name))
            }
            Self::Gguf(path) => existing(path.with_file_name(name)),
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

    /// The GGUF file that the model is in: the source itself, or the only one in a folder that has
    /// no safetensors.
    ///
    /// # Errors
    /// A folder without safetensors that holds several GGUF files, or that cannot be read.
    pub fn gguf(&self) -> Result<Option<PathBuf>, SourceError> {
        match self {
            Self::Gguf(path) => Ok(Some(path.clone())),
            Self::Embedded(_) => Ok(None),
            Self::Folder(folder) if !folder.is_dir() || Checkpoint::is_in(folder) => Ok(None),
            Self::Folder(folder) => only_gguf(folder),
        }
    }

    /// The safetensors files, checked.
    ///
    /// # Errors
    /// Files that are missing or break their format.
    pub fn checkpoint(&self) -> Result<Checkpoint, SourceError> {
        match self {
            Self::Folder(folder) => Ok(Checkpoint::open(folder)?),
            Self::Gguf(_) | Self::Embedded(_) => {
                let bytes = self.required("model.safetensors")?;
                Ok(Checkpoint::from_files(vec![(format!("{self}/model.safetensors"), bytes)])?)
            }
        }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Gguf(path) => path.display().fmt(f),
            Self::Embedded(name) => write!(f, "{SCHEME}{name}"),
        }
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

fn existing(path: PathBuf) -> Result<Option<FileBytes>, SourceError> {
    if path.exists() { Ok(Some(FileBytes::map(&path)?)) } else { Ok(None) }
}

fn only_gguf(folder: &Path) -> Result<Option<PathBuf>, SourceError> {
    let unreadable = |error: std::io::Error| WeightsError::Unreadable {
        file: folder.display().to_string(),
        reason: error.to_string(),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_gguf(&path) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let names = found.iter().filter_map(|path| path.file_name());
    let files = names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join(", ");
    Err(SourceError::SeveralGguf { folder: folder.to_path_buf(), files })
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
    #[error("{folder} is not a folder: give a Hugging Face model folder, a .gguf file or {known}")]
    NoFolder {
        /// The path asked for.
        folder: PathBuf,
        /// The embedded models.
        known: String,
    },
    /// A folder does not say which of its GGUF files is meant.
    #[error("{folder} holds several GGUF files ({files}): name one of them")]
    SeveralGguf {
        /// The folder.
        folder: PathBuf,
        /// Their names.
        files: String,
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
            "/nowhere is not a folder: give a Hugging Face model folder, a .gguf file or `embedded:triage`"
        );
    }

    #[test]
    fn a_gguf_file_is_named_or_alone_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), []).unwrap();
        let found = || ModelSource::Folder(folder.path().to_path_buf()).gguf().map_err(|error| error.to_string());
        assert_eq!(found(), Ok(None));
        write("b.gguf");
        write("readme.txt");
        assert_eq!(found(), Ok(Some(folder.path().join("b.gguf"))));
        write("a.GGUF");
        let several =
            format!("{} holds several GGUF files (a.GGUF, b.gguf): name one of them", folder.path().display());
        assert_eq!(found(), Err(several));
        write("model.safetensors");
        assert_eq!(found(), Ok(None));
        let named = ModelSource::parse("m/x.gguf").unwrap();
        assert_eq!(named, ModelSource::Gguf("m/x.gguf".into()));
        assert_eq!(named.name(), "x.gguf");
        assert_eq!(named.relative_to(Path::new("/d")).to_string(), "/d/m/x.gguf");
    }
}
