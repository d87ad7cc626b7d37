//! Where a model's files are: a Hugging Face folder, a GGUF file, or the program itself.

use super::embedded::{EMBEDDED, EmbeddedModel};
use crate::weights::{Checkpoint, FileBytes, WeightsError, first_of_parts};
use std::fmt;
use std::path::{Path, PathBuf};

const SCHEME: &str = "embedded:";
/// Byte-order marks.
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF16_MARKS: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];
/// The files of a LoRA adapter as PEFT saves them.
const ADAPTERS: &[&str] = &["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"];

/// Where a model is.
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
    /// Reads `embedded:NAME`, or else a path: of a GGUF file where it ends in `.gguf`, or else of a
    /// folder.
    ///
    /// # Errors
    /// The name of no embedded model.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        match text.strip_prefix(SCHEME) {
            None if is_gguf(Path::new(text)) => Ok(Self::Gguf(PathBuf::from(text))),
            None => Ok(Self::Folder(PathBuf::from(text))),
            Some(name) => EmbeddedModel::named(name)
                .map(|model| Self::Embedded(model.name))
                .ok_or_else(|| SourceError::NotEmbedded { name: name.to_string(), known: known() }),
        }
    }

    /// Returns this source with a relative path taken from `base`.
    pub fn relative_to(self, base: &Path) -> Self {
        self.map_path(|path| base.join(path))
    }

    /// Returns this source with another path, where it has one.
    pub fn map_path(self, change: impl FnOnce(&Path) -> PathBuf) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(change(&path)),
            Self::Gguf(path) => Self::Gguf(change(&path)),
            Self::Embedded(name) => Self::Embedded(name),
        }
    }

    /// Returns one of all the ways to write the source: a path without links and dots, where it
    /// exists.
    pub fn canonical(&self) -> Self {
        self.clone().map_path(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
    }

    /// Returns the name for people: the folder's or file's own name, or `embedded:NAME`.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(path) | Self::Gguf(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
            Self::Embedded(name) => format!("{SCHEME}{name}"),
        }
    }

    /// Returns the bytes of a file, or `None` where there is no such file. For a GGUF file that is
    /// a file beside it. A byte-order mark before the text of a JSON file or of a template is
    /// dropped.
    ///
    /// # Errors
    /// A folder that does not exist, or a file that cannot be read or is not the file itself.
    pub fn file(&self, name: &str) -> Result<Option<FileBytes>, SourceError> {
        let found = self.any_file(name)?;
        if !(name.ends_with(".json") || name.ends_with(".jinja")) {
            return Ok(found);
        }
        match found {
            Some(bytes) if bytes.starts_with(UTF8_MARK) => {
                Ok(Some(FileBytes::Owned(bytes[UTF8_MARK.len()..].to_vec())))
            }
            Some(bytes) if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) => {
                Err(SourceError::Utf16 { model: self.to_string(), file: name.to_string() })
            }
            found => Ok(found),
        }
    }

    fn any_file(&self, name: &str) -> Result<Option<FileBytes>, SourceError> {
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

    /// Returns the bytes of a file that must be there.
    ///
    /// # Errors
    /// As [`file`](Self::file), and a file that is missing.
    pub fn required(&self, name: &'static str) -> Result<FileBytes, SourceError> {
        self.file(name)?.ok_or_else(|| match self.adapter() {
            Some(adapter) => SourceError::AdapterOnly { model: self.to_string(), adapter, file: name },
            None => SourceError::NoFile { model: self.to_string(), file: name },
        })
    }

    /// Returns the name of a LoRA adapter's file in the model's folder, where there is one.
    pub fn adapter(&self) -> Option<&'static str> {
        let folder = match self {
            Self::Folder(folder) => folder.as_path(),
            Self::Gguf(path) => path.parent()?,
            Self::Embedded(_) => return None,
        };
        ADAPTERS.iter().copied().find(|name| folder.join(name).is_file())
    }

    /// Returns the GGUF file that the model is in: the source itself, or the only one in a folder
    /// that has no safetensors, or the first part of the only model there.
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

    /// Opens and checks the safetensors files.
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
    if let Some(first) = first_of_parts(&found) {
        return Ok(Some(first.clone()));
    }
    let names = found.iter().filter_map(|path| path.file_name());
    let files = names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join(", ");
    Err(SourceError::SeveralGguf { folder: folder.to_path_buf(), files })
}

fn known() -> String {
    EMBEDDED.iter().map(|model| format!("`{SCHEME}{}`", model.name)).collect::<Vec<_>>().join(", ")
}

/// Why a model's files cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No embedded model of that name.
    #[error("there is no embedded model `{name}`; there is {known}")]
    NotEmbedded {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The folder does not exist.
    #[error("{folder} is not a folder: give a Hugging Face model folder, a .gguf file or {known}")]
    NoFolder {
        /// The path that was given.
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
    /// There is an adapter for a model and no model.
    #[error(
        "{model} has no {file}; it holds a LoRA adapter ({adapter}): merge it into its base model and give the result"
    )]
    AdapterOnly {
        /// The model.
        model: String,
        /// The adapter's file.
        adapter: &'static str,
        /// The file that is missing.
        file: &'static str,
    },
    /// A text file in UTF-16.
    #[error("{model}: {file} begins with the byte-order mark of UTF-16: save it as UTF-8")]
    Utf16 {
        /// The model.
        model: String,
        /// The file.
        file: String,
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
    fn byte_order_marks_are_dropped_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let source = ModelSource::Folder(folder.path().to_path_buf());
        let read = |content: &[u8]| {
            std::fs::write(folder.path().join("config.json"), content).unwrap();
            source.required("config.json").map(|bytes| bytes.to_vec()).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"\xEF\xBB\xBF{}").unwrap(), b"{}");
        assert_eq!(
            read(b"\xFF\xFE{\0}\0").unwrap_err(),
            format!("{source}: config.json begins with the byte-order mark of UTF-16: save it as UTF-8")
        );
    }

    #[test]
    fn a_folder_with_nothing_but_an_adapter_is_called_that() {
        let folder = tempfile::tempdir().unwrap();
        let source = ModelSource::Folder(folder.path().to_path_buf());
        std::fs::write(folder.path().join("adapter_config.json"), "{}").unwrap();
        let message = source.required("config.json").err().unwrap().to_string();
        let expected = "has no config.json; it holds a LoRA adapter (adapter_config.json): merge it \
            into its base model and give the result";
        assert_eq!(message, format!("{source} {expected}"));
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
