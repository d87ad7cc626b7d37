//! A folder of releases: the bundle in use as `bundle.json`, and every bundle that ever was in
//! `history/`, numbered in the order of their release. Going back withdraws the newest release and
//! keeps its file under another name.
//!
//! The bundle in use is replaced by a rename, so that a reader sees either the old one or the new
//! one, and it is what counts: a command that finds newer releases than the one in use finds the
//! traces of a process that was killed, and withdraws them. A lock keeps two processes apart.

use super::file::{Bundle, read_text};
use super::{BundleError, sign::signature_path};
use crate::base::Digest;
use crate::journal::write_file;
use serde::Serialize;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The bundle in use.
pub(super) const CURRENT: &str = "bundle.json";
const HISTORY: &str = "history";
const LOCK: &str = "promote.lock";
/// The end of the name of a release, and of one that was withdrawn.
const RELEASED: &str = ".json";
const WITHDRAWN: &str = ".withdrawn.json";

/// A bundle of the history, for lists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Released {
    /// The number of the release, from 1.
    pub number: usize,
    /// The bundle's hash.
    pub hash: Digest,
    /// The experiment's name.
    pub name: String,
    /// When the bundle was made.
    pub created: String,
}

/// What a change of releases did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Release {
    /// The bundle that is in use now.
    pub current: Released,
    /// The one that was in use before.
    pub before: Option<Released>,
}

/// Puts the bundle at `path` into use in the folder `dir`, which is made if it is not there. Its
/// signature, if it has one, goes with it.
///
/// # Errors
/// The bundle cannot be used or is in use already, the folder cannot be written, or another process
/// is at work there.
pub fn promote(path: &Path, dir: &Path) -> Result<Release, BundleError> {
    let source = read_text(path)?;
    let bundle = Bundle::parse(path, &source)?;
    let signature = match read_text(&signature_path(path)) {
        Ok(signature) => Some(signature),
        Err(_) if !signature_path(path).exists() => None,
        Err(error) => return Err(error),
    };
    let folder = Folder::lock(dir)?;
    let before = folder.current()?;
    if before.as_ref().is_some_and(|(current, _)| current.hash == bundle.hash) {
        return Err(BundleError::AlreadyReleased { dir: dir.to_path_buf(), hash: bundle.hash.short() });
    }
    let entries = folder.settled(before.as_ref().map(|(bundle, _)| bundle.hash))?;
    let number = folder.last_number()? + 1;
    let kept = folder.history().join(format!("{number:04}-{}{RELEASED}", bundle.hash.short()));
    put(&kept, &source, signature.as_deref())?;
    put(&dir.join(CURRENT), &source, signature.as_deref())?;
    let before = before.map(|(bundle, _)| bundle.released(entries.last().map_or(0, |entry| entry.number)));
    Ok(Release { current: bundle.released(number), before })
}

/// Puts the bundle that was in use before the present one into use again.
///
/// # Errors
/// There is none, or the errors of [`promote`].
pub fn rollback(dir: &Path) -> Result<Release, BundleError> {
    if !dir.join(CURRENT).exists() {
        return Err(BundleError::EmptyFolder { dir: dir.to_path_buf() });
    }
    let folder = Folder::lock(dir)?;
    let (current, _) = folder.current()?.ok_or_else(|| BundleError::EmptyFolder { dir: dir.to_path_buf() })?;
    let entries = folder.settled(Some(current.hash))?;
    let [.., earlier, newest] = &entries[..] else {
        return Err(BundleError::NothingEarlier { dir: dir.to_path_buf() });
    };
    let source = read_text(&earlier.path)?;
    let bundle = Bundle::parse(&earlier.path, &source)?;
    let signature = read_text(&signature_path(&earlier.path)).ok();
    put(&dir.join(CURRENT), &source, signature.as_deref())?;
    folder.withdraw(newest)?;
    Ok(Release { current: bundle.released(earlier.number), before: Some(current.released(newest.number)) })
}

/// Returns the releases that were not withdrawn, oldest first; the last one is in use.
///
/// # Errors
/// The folder or a bundle in it cannot be read.
pub fn releases(dir: &Path) -> Result<Vec<Released>, BundleError> {
    let folder = Folder { dir: dir.to_path_buf(), _lock: None };
    let entries = folder.entries()?;
    entries.iter().map(|entry| Ok(Bundle::read(&entry.path)?.released(entry.number))).collect()
}

/// A file of the history that was not withdrawn.
struct Entry {
    number: usize,
    path: PathBuf,
}

/// A folder of releases. While it is there, no other process changes the folder.
struct Folder {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    fn lock(dir: &Path) -> Result<Self, BundleError> {
        let unwritable =
            |file: &Path, error: &io::Error| BundleError::Unwritable { file: file.into(), reason: error.to_string() };
        let history = dir.join(HISTORY);
        fs::create_dir_all(&history).map_err(|error| unwritable(&history, &error))?;
        let path = dir.join(LOCK);
        let options = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = options.map_err(|error| unwritable(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_path_buf(), _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(BundleError::Locked { dir: dir.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(unwritable(&path, &error)),
        }
    }

    fn history(&self) -> PathBuf {
        self.dir.join(HISTORY)
    }

    /// Returns the bundle in use, checked, with its text.
    fn current(&self) -> Result<Option<(Bundle, String)>, BundleError> {
        let path = self.dir.join(CURRENT);
        if !path.exists() {
            return Ok(None);
        }
        let source = read_text(&path)?;
        Ok(Some((Bundle::parse(&path, &source)?, source)))
    }

    /// Returns the numbers and paths of all files of the history, withdrawn ones too.
    fn files(&self) -> Result<Vec<(usize, PathBuf)>, BundleError> {
        let history = self.history();
        let unreadable =
            |error: io::Error| BundleError::Unreadable { file: history.clone(), reason: error.to_string() };
        let mut files = Vec::new();
        for entry in fs::read_dir(&history).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let number = name.split_once('-').and_then(|(number, _)| number.parse().ok());
            if let Some(number) = number.filter(|_| name.ends_with(RELEASED)) {
                files.push((number, path));
            }
        }
        files.sort();
        Ok(files)
    }

    fn last_number(&self) -> Result<usize, BundleError> {
        Ok(self.files()?.last().map_or(0, |(number, _)| *number))
    }

    /// Returns the releases that were not withdrawn, oldest first.
    fn entries(&self) -> Result<Vec<Entry>, BundleError> {
        let standing = |path: &Path| !path.to_string_lossy().ends_with(WITHDRAWN);
        let files = self.files()?.into_iter().filter(|(_, path)| standing(path));
        Ok(files.map(|(number, path)| Entry { number, path }).collect())
    }

    /// Withdraws releases that are newer than the one in use: they were made or left by a process
    /// that was killed. Returns the others.
    fn settled(&self, current: Option<Digest>) -> Result<Vec<Entry>, BundleError> {
        let mut entries = self.entries()?;
        let is_current = |entry: &Entry| {
            let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            current.is_some_and(|hash| name.contains(&hash.short()))
        };
        let keep = entries.iter().rposition(is_current).map_or(0, |at| at + 1);
        // A folder whose bundle was put there by hand has no entry for it; then nothing is newer.
        if keep == 0 && current.is_some() {
            return Ok(entries);
        }
        for entry in entries.drain(keep..) {
            self.withdraw(&entry)?;
        }
        Ok(entries)
    }

    fn withdraw(&self, entry: &Entry) -> Result<(), BundleError> {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.strip_suffix(RELEASED).unwrap_or(&name).to_string() + WITHDRAWN;
        let to = entry.path.with_file_name(name);
        let signature = signature_path(&entry.path);
        if signature.exists() {
            rename(&signature, &signature_path(&to))?;
        }
        rename(&entry.path, &to)
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), BundleError> {
    let unwritable = |error: io::Error| BundleError::Unwritable { file: to.to_path_buf(), reason: error.to_string() };
    fs::rename(from, to).map_err(unwritable)
}

/// Writes a bundle and its signature. The signature is first, so that a reader who checks it never
/// takes a bundle for signed that is not.
fn put(path: &Path, source: &str, signature: Option<&str>) -> Result<(), BundleError> {
    let beside = signature_path(path);
    match signature {
        Some(signature) => write_file(&beside, signature)?,
        None => match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BundleError::Unwritable { file: beside, reason: error.to_string() });
            }
            _ => {}
        },
    }
    Ok(write_file(path, source)?)
}
