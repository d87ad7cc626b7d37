//! One file: what is there is verified and kept, what is missing is fetched behind it, and the
//! whole gets its name only when its digest is right.

use super::client::{Client, Failure, header};
use super::error::FetchError;
use super::hash::{CHUNK, Hashed, Hashing};
use super::hub::{self, Commit, HubFile};
use super::manifest::ManifestFile;
use super::progress::Progress;
use super::select::Chosen;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use ureq::Body;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE};
use ureq::http::{Response, StatusCode};

/// A file that is there and right.
pub(crate) struct Fetched {
    pub(crate) entry: ManifestFile,
    /// How many of its bytes were fetched now.
    pub(crate) fetched: u64,
}

/// Makes a file be there. A file of its name with another content is replaced if `replace` says so.
pub(crate) fn fetch(
    client: &Client,
    commit: &Commit<'_>,
    chosen: &Chosen,
    folder: &Path,
    replace: bool,
    progress: &mut Progress,
) -> Result<Fetched, FetchError> {
    let Chosen { path: name, file } = chosen;
    progress.begin(name.as_str());
    let path = name.below(folder);
    let entry = |hashed: Hashed| ManifestFile { path: name.to_string(), bytes: file.bytes, sha256: hashed.sha256 };
    match verify(&path, file)? {
        Found::Right(hashed) => {
            progress.advance(file.bytes);
            return Ok(Fetched { entry: entry(hashed), fetched: 0 });
        }
        Found::Other if !replace => {
            let (has, wanted) = (format!("another {name}"), format!("{} at {}", commit.model, commit.sha));
            return Err(FetchError::OtherModel { folder: folder.to_path_buf(), has, wanted });
        }
        Found::Other => progress.say(format_args!("{name} is not as the hub lists it; it is fetched again")),
        Found::Nothing => (),
    }
    let mut part = Part::open(name.part_below(folder), file)?;
    let url = commit.url(name.as_str());
    let (mut fetched, mut restarted) = (0, false);
    let hashed = loop {
        part.hash_what_is_there()?;
        progress.advance(part.hashing.bytes());
        let mut pieces = usize::from(part.hashing.bytes() > 0);
        let once = |part: &mut Part, progress: &mut Progress| {
            pieces += 1;
            let mut brought = 0;
            let result = part.receive(client, &url, &mut brought, progress);
            fetched += brought;
            (brought, result)
        };
        fill(client, &url, &mut part, progress, once).map_err(|failure| {
            hub::fault(failure, client, commit.model, &url, &format!("file {name} of {}", commit.model))
        })?;
        let hashed = part.finish();
        if hashed.fits(&file.digest) {
            break hashed;
        }
        progress.take_back(file.bytes);
        part.clear()?;
        // A piece of another file can be the cause.
        if pieces > 1 && !restarted {
            progress
                .say(format_args!("{name}: what was put together has a wrong digest; it is fetched from its start"));
            restarted = true;
            continue;
        }
        drop(std::fs::remove_file(&part.path));
        let (found, listed) = (hashed.like(&file.digest).to_string(), file.digest.digits().to_string());
        return Err(FetchError::Hash { file: name.to_string(), kind: file.digest.kind(), found, listed });
    };
    part.rename(&path)?;
    Ok(Fetched { entry: entry(hashed), fetched })
}

/// Receives until the file is whole or the tries are used up.
fn fill(
    client: &Client,
    url: &str,
    part: &mut Part,
    progress: &mut Progress,
    mut once: impl FnMut(&mut Part, &mut Progress) -> (u64, Result<(), Failure>),
) -> Result<(), Failure> {
    let shared = std::cell::RefCell::new((part, progress));
    client.patiently(
        url,
        || {
            let (part, progress) = &mut *shared.borrow_mut();
            if part.is_whole() { (0, Ok(())) } else { once(part, progress) }
        },
        |reason| shared.borrow().1.say(format_args!("{reason}; trying again")),
    )
}

/// What is at the place of a file.
pub(crate) enum Found {
    Nothing,
    /// The very file.
    Right(Hashed),
    /// A file of another size or content.
    Other,
}

/// Compares a file with what is listed.
pub(crate) fn verify(path: &Path, listed: &HubFile) -> Result<Found, FetchError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(FetchError::Storage { path: path.to_path_buf(), error }),
    };
    let read = |file: &mut File| -> std::io::Result<Option<Hashed>> {
        if file.metadata()?.len() != listed.bytes {
            return Ok(None);
        }
        let mut hashing = Hashing::new(&listed.digest, listed.bytes);
        hashing.read(file, listed.bytes)?;
        Ok(Some(hashing.finish()))
    };
    let hashed = read(&mut file).map_err(FetchError::storage(path))?;
    Ok(hashed.filter(|hashed| hashed.fits(&listed.digest)).map_or(Found::Other, Found::Right))
}

/// A file that is not complete.
struct Part<'a> {
    path: PathBuf,
    file: File,
    listed: &'a HubFile,
    hashing: Hashing,
}

impl<'a> Part<'a> {
    /// Opens the partial file and locks it against other processes.
    fn open(path: PathBuf, listed: &'a HubFile) -> Result<Self, FetchError> {
        let storage = |error| FetchError::Storage { path: path.clone(), error };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(FetchError::storage(folder))?;
        }
        // What is written must not land elsewhere.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(storage(std::io::Error::other("this is no plain file: remove it")));
        }
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(storage)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { path }),
            // Some network folders have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => (),
        }
        Ok(Self { path, file, listed, hashing: Hashing::new(&listed.digest, listed.bytes) })
    }

    fn is_whole(&self) -> bool {
        self.hashing.bytes() == self.listed.bytes
    }

    /// Reads what an earlier try left.
    fn hash_what_is_there(&mut self) -> Result<(), FetchError> {
        let mut read = || -> std::io::Result<()> {
            if self.file.metadata()?.len() > self.listed.bytes {
                self.file.set_len(0)?;
            }
            self.file.seek(SeekFrom::Start(0))?;
            self.hashing.read(&mut self.file, self.listed.bytes)
        };
        read().map_err(FetchError::storage(&self.path))
    }

    /// Forgets everything.
    fn clear(&mut self) -> Result<(), FetchError> {
        self.hashing = Hashing::new(&self.listed.digest, self.listed.bytes);
        let clear = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        clear.map(drop).map_err(FetchError::storage(&self.path))
    }

    /// Returns the digests of the whole file.
    fn finish(&mut self) -> Hashed {
        std::mem::replace(&mut self.hashing, Hashing::new(&self.listed.digest, self.listed.bytes)).finish()
    }

    /// Makes one request for what is missing and writes what comes.
    fn receive(
        &mut self,
        client: &Client,
        url: &str,
        brought: &mut u64,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let size = self.listed.bytes;
        let refuse = |reason: String| Failure::Final(FetchError::Answer { url: url.to_string(), reason });
        let mut answer = client.get(url, self.hashing.bytes())?;
        let start = start(&answer, self.hashing.bytes(), size).map_err(refuse)?;
        if start != self.hashing.bytes() {
            progress.take_back(self.hashing.bytes());
            self.clear().map_err(Failure::Final)?;
        }
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let missing = usize::try_from(size - self.hashing.bytes()).unwrap_or(CHUNK).min(CHUNK);
            // When nothing is missing, one byte more says that the file is longer than listed.
            let read = body.read(&mut chunk[..missing.max(1)]);
            let read = read.map_err(|error| Failure::passing(format!("{url} was cut off ({error})")))?;
            match read {
                0 if missing == 0 => return Ok(()),
                0 => {
                    let there = self.hashing.bytes();
                    return Err(Failure::passing(format!("{url} ended after {there} of {size} bytes")));
                }
                _ if missing == 0 => return Err(refuse(format!("it is longer than the {size} bytes that are listed"))),
                read => {
                    self.file.write_all(&chunk[..read]).map_err(|error| Failure::Final(self.unwritable(error)))?;
                    self.hashing.update(&chunk[..read]);
                    *brought += read as u64;
                    progress.advance(read as u64);
                }
            }
        }
    }

    fn unwritable(&self, error: std::io::Error) -> FetchError {
        let path = self.path.clone();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                FetchError::Full { path, missing: self.listed.bytes - self.hashing.bytes(), error }
            }
            _ => FetchError::Storage { path, error },
        }
    }

    /// Gives the whole file its name.
    fn rename(self, to: &Path) -> Result<(), FetchError> {
        // On the disk before it has its name, or a loss of power could leave a file of zeros.
        self.file.sync_all().map_err(|error| self.unwritable(error))?;
        std::fs::rename(&self.path, to).map_err(FetchError::storage(to))
    }
}

/// Returns where in the file an answer begins: at its start, or where it was asked to.
fn start(answer: &Response<Body>, asked: u64, size: u64) -> Result<u64, String> {
    let text = |name| header(answer.headers(), name);
    if let Some(coding) = text(&CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(format!("it comes packed ({coding:?}), which was not asked for"));
    }
    let other = |says: u64| format!("it has {says} bytes there, and the hub lists {size}");
    if answer.status() == StatusCode::PARTIAL_CONTENT {
        let range = text(&CONTENT_RANGE).and_then(|range| range.trim().strip_prefix("bytes "));
        let (range, all) = range.and_then(|range| range.split_once('/')).ok_or("it sends a part and not which")?;
        if let Some(all) = all.parse().ok().filter(|all| *all != size) {
            return Err(other(all));
        }
        return match range.split_once('-').map(|(start, _)| start.parse()) {
            Some(Ok(start)) if start == asked => Ok(start),
            _ => Err(format!("it sends another part ({range:?}) than the one from {asked} on")),
        };
    }
    match text(&CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()) {
        Some(length) if length != size => Err(other(length)),
        _ => Ok(0),
    }
}
