//! `maspo-manifest.json`, which `maspo-fetch` leaves in a model's folder: what was fetched, with
//! every file's size and SHA-256. Opening a model compares the sizes, which costs nothing; whoever
//! wants to know compares the digests. A folder without one is opened as it is.

use super::source::ModelSource;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The name of the file.
const NAME: &str = "maspo-manifest.json";
/// The version of the format.
const SCHEMA: u32 = 1;
/// The largest manifest that is read.
const MAX_BYTES: u64 = 16 << 20;
/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// A folder's manifest. Its names and digests have their form, and no name leads out of the folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    folder: PathBuf,
    /// The model's id on its hub.
    pub model: String,
    /// The commit that was fetched.
    pub commit: String,
    /// The files.
    pub files: Vec<ManifestFile>,
}

/// One file of a manifest.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ManifestFile {
    /// The path below the folder.
    pub path: String,
    /// The size.
    pub bytes: u64,
    /// The SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
}

#[derive(Deserialize)]
struct Written {
    schema: u32,
    model: String,
    commit: String,
    files: Vec<ManifestFile>,
}

/// How a folder differs from its manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The manifest itself is wrong.
    #[error("{}: {reason}; remove it if the model did not come by maspo-fetch", .path.display())]
    Unreadable {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file is missing or cannot be read.
    #[error("{}: {reason}, and {NAME} beside it lists it: {again}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        reason: String,
        /// What to do.
        again: String,
    },
    /// A file has another size.
    #[error("{} has {found} bytes, and {NAME} lists {listed}: {again}", .path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// Its size when it was fetched.
        listed: u64,
        /// What to do.
        again: String,
    },
    /// A file has another content.
    #[error("{} has the SHA-256 {found}, and {NAME} lists {listed}: {again}", .path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// Its digest when it was fetched.
        listed: String,
        /// What to do.
        again: String,
    },
}

impl ModelSource {
    /// Reads the manifest of the model's folder, where there is one. A GGUF file's may be one
    /// folder further up, because hubs keep such files in folders of their own.
    ///
    /// # Errors
    /// A manifest that is not one.
    pub fn manifest(&self) -> Result<Option<Manifest>, ManifestError> {
        let (folder, further) = match self {
            Self::Folder(folder) => (folder.as_path(), 1),
            Self::Gguf(file) => (file.parent().unwrap_or(Path::new("")), 2),
            Self::Embedded(_) => return Ok(None),
        };
        let folder = folder.ancestors().take(further).find(|folder| folder.join(NAME).is_file());
        folder.map(Manifest::read).transpose()
    }

    /// Compares the sizes of the model's files with its manifest, where there is one. Of a folder
    /// all listed files must be there; beside a GGUF file others may be missing.
    ///
    /// # Errors
    /// A manifest that is not one, or the first file that differs.
    pub fn check_sizes(&self) -> Result<(), ManifestError> {
        let Some(manifest) = self.manifest()? else { return Ok(()) };
        let needs_all = matches!(self, Self::Folder(_));
        for file in &manifest.files {
            let path = manifest.folder.join(&file.path);
            match std::fs::metadata(&path) {
                Ok(found) if found.len() == file.bytes => (),
                Ok(found) => return Err(manifest.other_size(path, found.len(), file.bytes)),
                Err(_) if !needs_all => (),
                Err(error) => return Err(manifest.unreadable(path, &error)),
            }
        }
        Ok(())
    }
}

impl Manifest {
    fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join(NAME);
        let wrong = |reason: String| ManifestError::Unreadable { path: path.clone(), reason };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(|error| wrong(error.to_string()))?;
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
        let written: Written = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if written.schema != SCHEMA {
            return Err(wrong(format!("it has schema {}, and this program knows {SCHEMA}", written.schema)));
        }
        // They stand in messages and in a command that a user may copy.
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        if !plain(&written.model) || !plain(&written.commit) {
            return Err(wrong("it names no model of a hub".to_string()));
        }
        for file in &written.files {
            let stays = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
            let digest = file.sha256.len() == 64 && file.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            if file.path.is_empty() || !stays || !digest || file.path.chars().any(char::is_control) {
                return Err(wrong(format!("it lists {:?}, which cannot be a file of a model", file.path)));
            }
        }
        let Written { model, commit, files, .. } = written;
        Ok(Self { folder: folder.to_path_buf(), model, commit, files })
    }

    /// Returns the size of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads every listed file and compares its size and SHA-256.
    ///
    /// # Errors
    /// The first file that differs or is missing.
    pub fn check_hashes(&self) -> Result<(), ManifestError> {
        let mut chunk = vec![0; CHUNK];
        for file in &self.files {
            let path = self.folder.join(&file.path);
            let mut read = || -> std::io::Result<(u64, String)> {
                let mut open = std::fs::File::open(&path)?;
                let (mut hasher, mut bytes) = (Sha256::new(), 0);
                loop {
                    match open.read(&mut chunk)? {
                        0 => return Ok((bytes, hex(&hasher.finalize()))),
                        read => {
                            hasher.update(&chunk[..read]);
                            bytes += read as u64;
                        }
                    }
                }
            };
            let (bytes, found) = read().map_err(|error| self.unreadable(path.clone(), &error))?;
            if bytes != file.bytes {
                return Err(self.other_size(path, bytes, file.bytes));
            }
            if !found.eq_ignore_ascii_case(&file.sha256) {
                return Err(ManifestError::Hash { path, found, listed: file.sha256.clone(), again: self.again() });
            }
        }
        Ok(())
    }

    fn other_size(&self, path: PathBuf, found: u64, listed: u64) -> ManifestError {
        ManifestError::Size { path, found, listed, again: self.again() }
    }

    fn unreadable(&self, path: PathBuf, error: &std::io::Error) -> ManifestError {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "is missing".to_string(),
            _ => error.to_string(),
        };
        ManifestError::File { path, reason, again: self.again() }
    }

    fn again(&self) -> String {
        let Self { model, commit, folder, .. } = self;
        format!("copy it again, or run `maspo-fetch {model} --revision {commit} --to {}`", folder.display())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a text cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(manifest: &str) -> (tempfile::TempDir, ModelSource) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "hello\n").unwrap();
        std::fs::write(folder.path().join(NAME), manifest).unwrap();
        let source = ModelSource::Folder(folder.path().to_path_buf());
        (folder, source)
    }

    /// A manifest as maspo-fetch writes it.
    const GOOD: &str = r#"{
  "schema": 1,
  "endpoint": "https://huggingface.co",
  "model": "org/model",
  "commit": "0123456789abcdef0123456789abcdef01234567",
  "files": [
    {
      "path": "config.json",
      "bytes": 6,
      "sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    }
  ]
}
"#;

    #[test]
    fn sizes_and_digests_are_compared() {
        let (folder, source) = folder(GOOD);
        source.check_sizes().unwrap();
        source.manifest().unwrap().unwrap().check_hashes().unwrap();
        std::fs::write(folder.path().join("config.json"), "hullo\n").unwrap();
        source.check_sizes().unwrap();
        let error = source.manifest().unwrap().unwrap().check_hashes().unwrap_err().to_string();
        assert!(error.contains("config.json has the SHA-256"), "{error}");
        assert!(error.contains("`maspo-fetch org/model --revision 0123456789abcdef"), "{error}");
        std::fs::write(folder.path().join("config.json"), "hell").unwrap();
        let error = source.check_sizes().unwrap_err().to_string();
        assert!(error.contains("config.json has 4 bytes, and maspo-manifest.json lists 6"), "{error}");
        std::fs::remove_file(folder.path().join("config.json")).unwrap();
        assert!(source.check_sizes().unwrap_err().to_string().contains("config.json: is missing"));
        // A GGUF file alone is a model, and its manifest may be one folder further up.
        for name in ["x.gguf", "q/x.gguf"] {
            let gguf = ModelSource::Gguf(folder.path().join(name));
            assert_eq!(gguf.manifest().unwrap().unwrap().model, "org/model");
            gguf.check_sizes().unwrap();
        }
        assert_eq!(ModelSource::Embedded("triage").manifest().unwrap(), None);
    }

    #[test]
    fn a_manifest_that_names_anything_else_is_refused() {
        for (from, to, words) in [
            ("config.json", "../config.json", "cannot be a file of a model"),
            ("config.json", "/etc/passwd", "cannot be a file of a model"),
            ("\"5891", "\"58", "cannot be a file of a model"),
            ("\"schema\": 1", "\"schema\": 2", "it has schema 2"),
            ("org/model", "org/model; rm -r", "it names no model"),
            ("\"files\"", "\"other\"", "missing field `files`"),
        ] {
            let (_folder, source) = folder(&GOOD.replace(from, to));
            let error = source.check_sizes().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
