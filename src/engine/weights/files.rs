//! The bytes of a model's files: mapped from disk or built into the program.

use super::WeightsError;
use crate::base::{Digest, Hasher, Placeholder};
use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;
use rayon::prelude::*;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;

/// Bytes hashed by one task; a constant, since the digest depends on it.
const HASH_CHUNK_BYTES: usize = 8 << 20;

/// A file's content.
pub enum FileBytes {
    /// Mapped from disk.
    Mapped(Mmap),
    /// Part of the program.
    Embedded(&'static [u8]),
    /// Read into memory (an empty file cannot be mapped).
    Owned(Vec<u8>),
}

impl FileBytes {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be opened or mapped, or that holds a Git LFS pointer or a web page in
    /// place of its content.
    pub fn map(path: &Path) -> Result<Self, WeightsError> {
        let unreadable = |error: std::io::Error| WeightsError::Unreadable {
            file: path.display().to_string(),
            reason: error.to_string(),
        };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(std::io::Error::other("not a file")));
        }
        if metadata.len() == 0 {
            return Ok(Self::Owned(Vec::new()));
        }
        // SAFETY: the map is read-only and private to this process. Another program that truncates
        // the file while it is mapped would end this one with SIGBUS; model files are not changed
        // while they are in use, as with every loader that maps them.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        match Placeholder::find(&map) {
            Some(found) => Err(WeightsError::Placeholder { file: path.display().to_string(), found }),
            None => Ok(Self::Mapped(map)),
        }
    }
}

impl FileBytes {
    /// Returns the digest of the content, as [`digest_bytes`] makes it. What was read of a mapped
    /// file leaves the process again piece by piece, so that a file larger than the memory can be
    /// hashed.
    pub fn digest(&self) -> Digest {
        let digest = |(index, chunk): (usize, &[u8])| {
            let digest = Digest::of(chunk);
            let start = index * HASH_CHUNK_BYTES;
            self.release(start..start + chunk.len());
            digest
        };
        let chunks: Vec<Digest> = self.par_chunks(HASH_CHUNK_BYTES).enumerate().map(digest).collect();
        of_chunks(self.len(), &chunks)
    }

    /// Gives back the pages of a part that nobody will read soon: they stay in the system's cache,
    /// where it has room, and no longer belong to this process. A later read finds what the file
    /// holds.
    pub(super) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self {
            // SAFETY: the map is of a file and never written to, so pages that are given back come
            // back with the same content.
            let released = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
            // A system that keeps them costs memory, never the run.
            let _ = released;
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Returns a digest of `bytes`, computed on all cores: that of the digests of its chunks of 8 MiB.
pub fn digest_bytes(bytes: &[u8]) -> Digest {
    let chunks: Vec<Digest> = bytes.par_chunks(HASH_CHUNK_BYTES).map(Digest::of).collect();
    of_chunks(bytes.len(), &chunks)
}

fn of_chunks(length: usize, chunks: &[Digest]) -> Digest {
    let mut hasher = Hasher::new("maspo file");
    hasher.field(&(length as u64).to_le_bytes());
    for chunk in chunks {
        hasher.field(&chunk.0);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_every_byte_and_the_length() {
        let mut bytes = vec![7u8; HASH_CHUNK_BYTES + 3];
        let whole = digest_bytes(&bytes);
        assert_eq!(whole, digest_bytes(&bytes));
        *bytes.last_mut().unwrap() = 8;
        assert_ne!(whole, digest_bytes(&bytes));
        bytes.pop();
        assert_ne!(whole, digest_bytes(&bytes));
    }

    #[test]
    fn a_mapped_file_reads_the_same_when_its_pages_were_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..HASH_CHUNK_BYTES + 5000).map(|i| (i * 31 % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = FileBytes::map(&path).unwrap();
        assert_eq!(file.digest(), digest_bytes(&bytes));
        file.release(4000..4001);
        file.release(bytes.len() - 1..bytes.len());
        file.release(0..0);
        assert!(*file == *bytes);
        assert_eq!(FileBytes::Owned(bytes.clone()).digest(), digest_bytes(&bytes));
    }

    #[test]
    fn what_downloads_leave_in_place_of_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = |content: &str| {
            let path = folder.path().join("m.json");
            std::fs::write(&path, content).unwrap();
            let message = FileBytes::map(&path).err().map(|error| error.to_string());
            message.map(|message| message.replace(&path.display().to_string(), "m.json"))
        };
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345678\n";
        let expected =
            "m.json is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder, or download the file";
        assert_eq!(message(pointer).as_deref(), Some(expected));
        for page in ["<!DOCTYPE html><html>", "\n <html lang=en>", "\u{feff}<!doctype HTML>"] {
            let expected = "m.json is an HTML page, not the file itself: download the file again";
            assert_eq!(message(page).as_deref(), Some(expected));
        }
        assert_eq!(message("{}"), None);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = FileBytes::map(Path::new("/nowhere/model.safetensors")).err().unwrap().to_string();
        assert!(error.starts_with("/nowhere/model.safetensors cannot be read: "), "{error}");
    }
}
