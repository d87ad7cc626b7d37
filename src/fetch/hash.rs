//! Digests: the SHA-256 that the hub lists for large files and that the manifest has for all, and
//! git's id of a blob, which the hub lists for small files.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io::{self, Read};

/// How much is read at once.
pub(crate) const CHUNK: usize = 1 << 20;

/// What the hub lists as a file's digest, in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listed {
    /// The SHA-256 of the content.
    Sha256(String),
    /// The SHA-1 of git's header and the content.
    GitBlob(String),
}

impl Listed {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "git blob id",
        }
    }

    pub(crate) fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) => digits,
        }
    }
}

/// Returns whether a text is a digest of `bytes` bytes in lower case.
pub(crate) fn is_digest(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// The digests of a file, while it is read.
pub(crate) struct Hashing {
    sha256: Sha256,
    git: Option<Sha1>,
    bytes: u64,
}

/// The digests of a whole file.
pub(crate) struct Hashed {
    pub(crate) sha256: String,
    git: Option<String>,
}

impl Hashing {
    /// Begins a file of `size` bytes whose digest is listed like this.
    pub(crate) fn new(listed: &Listed, size: u64) -> Self {
        let git = matches!(listed, Listed::GitBlob(_)).then(|| Sha1::new().chain_update(format!("blob {size}\0")));
        Self { sha256: Sha256::new(), git, bytes: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(git) = &mut self.git {
            git.update(bytes);
        }
        self.bytes += bytes.len() as u64;
    }

    /// Returns how much was read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads to the end, and no further than `most` bytes in all.
    pub(crate) fn read(&mut self, from: &mut impl Read, most: u64) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut from = from.take(most.saturating_sub(self.bytes));
        loop {
            match from.read(&mut chunk)? {
                0 => return Ok(()),
                read => self.update(&chunk[..read]),
            }
        }
    }

    pub(crate) fn finish(self) -> Hashed {
        Hashed { sha256: hex(&self.sha256.finalize()), git: self.git.map(|git| hex(&git.finalize())) }
    }
}

impl Hashed {
    /// Returns the digest to compare with the listed one.
    pub(crate) fn like(&self, listed: &Listed) -> &str {
        match (listed, &self.git) {
            (Listed::GitBlob(_), Some(git)) => git,
            _ => &self.sha256,
        }
    }

    pub(crate) fn fits(&self, listed: &Listed) -> bool {
        self.like(listed) == listed.digits()
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

    #[test]
    fn digests_are_those_of_sha256sum_and_git() {
        let git = Listed::GitBlob("ce013625030ba8dba906f756967f9e9ca394464a".to_string());
        let mut hashing = Hashing::new(&git, 6);
        hashing.read(&mut &b"hello\nand more"[..], 6).unwrap();
        assert_eq!(hashing.bytes(), 6);
        let hashed = hashing.finish();
        assert!(hashed.fits(&git), "{}", hashed.like(&git));
        assert_eq!(hashed.sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert!(!hashed.fits(&Listed::Sha256("00".repeat(32))));
        assert!(is_digest(&hashed.sha256, 32) && !is_digest("XY", 1) && !is_digest("aa", 2));
    }
}
