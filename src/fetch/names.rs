//! Names: of models and revisions, which the user gives, and of files, which a server gives. A name
//! of a file that could leave its folder or hide something is no name.

use std::fmt;
use std::path::{Path, PathBuf};

/// The longest name of a model or a revision.
const MAX_NAME: usize = 255;
/// The longest path of a file inside a model.
const MAX_PATH: usize = 1024;
/// The end of the name of a file that is not complete.
pub(crate) const PART: &str = ".part";
/// The name of the manifest.
pub(crate) const MANIFEST: &str = "maspo-manifest.json";

/// The id of a model on a hub, such as `Qwen/Qwen3-8B`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ModelId(String);

impl ModelId {
    /// Reads an id: one or two parts of ASCII letters, digits, `-`, `_` and `.`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let part = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && !part.starts_with(['-', '.'])
                && !part.contains("..")
        };
        let fits = text.len() <= MAX_NAME && text.split('/').count() <= 2 && text.split('/').all(part);
        fits.then(|| Self(text.to_string()))
    }

    /// Returns the name of the model's folder in a hub's cache, as other programs make it.
    pub(crate) fn cache_folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether a text can be a revision: a branch, a tag or a commit.
pub(crate) fn is_revision(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']);
    text.len() <= MAX_NAME && text.chars().all(plain) && !text.contains("..") && text.split('/').all(part)
}

/// Returns whether a text is a commit: 40 hexadecimal digits in lower case.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// The path of a file inside a model: it stays below its folder on every system, is not hidden from
/// a reader of a terminal, and is none of this program's own files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FilePath(String);

impl FilePath {
    /// Reads a path as a server or a manifest names it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| !c.is_control() && !"\\:*?\"<>|".contains(c) && !is_invisible(c);
        let part = |part: &str| {
            !part.is_empty()
                && part.len() <= MAX_NAME - PART.len()
                && !part.ends_with(['.', ' '])
                && !part.starts_with(' ')
        };
        let own = |name: &str| name.eq_ignore_ascii_case(MANIFEST) || name.to_ascii_lowercase().ends_with(PART);
        let last = text.rsplit('/').next().unwrap_or(text);
        let fits = text.len() <= MAX_PATH && text.chars().all(plain) && text.split('/').all(part) && !own(last);
        fits.then(|| Self(text.to_string()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns where the file is in a folder.
    pub(crate) fn below(&self, folder: &Path) -> PathBuf {
        self.0.split('/').fold(folder.to_path_buf(), |path, part| path.join(part))
    }

    /// Returns where the file is while it is not complete.
    pub(crate) fn part_below(&self, folder: &Path) -> PathBuf {
        let mut path = self.below(folder).into_os_string();
        path.push(PART);
        PathBuf::from(path)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character changes how a line looks without being seen: marks of direction, joiners,
/// line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns a text with everything outside of a URL's plain characters written as `%XX`. `/` is kept
/// where `slashes` says so.
pub(crate) fn percent_encoded(text: &str, slashes: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || (slashes && byte == b'/');
    let write = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_revisions_are_plain() {
        for good in ["Qwen/Qwen3-8B", "gpt2", "a_b/c.d"] {
            assert!(ModelId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a b", "a/.b", "-a", "ä", "a?b", "a/b..c"] {
            assert!(ModelId::parse(bad).is_none(), "{bad}");
        }
        for good in ["main", "v1.0", "refs/pr/3", "feature/x", "0123456789abcdef0123456789abcdef01234567"] {
            assert!(is_revision(good), "{good}");
        }
        for bad in ["", "a..b", "../x", "a//b", "/a", "a b", "a?x", "a%2f", "-x", ".x"] {
            assert!(!is_revision(bad), "{bad}");
        }
    }

    #[test]
    fn names_of_files_stay_in_their_folder() {
        for good in ["config.json", "a/b/model-00001-of-00002.safetensors", "Größe 1.json", ".gitattributes"] {
            let path = FilePath::parse(good).unwrap_or_else(|| panic!("{good}"));
            assert!(path.below(Path::new("/folder")).starts_with("/folder"));
        }
        let long = "x".repeat(251);
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "a/./b",
            "a//b",
            "a/",
            "C:x",
            "a\\b",
            "a\nb",
            "\u{1b}[2J",
            "a\u{202e}nosj.b",
            "a\0b",
            "con.",
            "x ",
            "maspo-manifest.json",
            "a/MASPO-manifest.json",
            "x.part",
            "b/x.PART",
            &long,
        ] {
            assert!(FilePath::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn texts_are_encoded_for_urls() {
        assert_eq!(percent_encoded("a b/ü#?%", true), "a%20b/%C3%BC%23%3F%25");
        assert_eq!(percent_encoded("refs/pr/3", false), "refs%2Fpr%2F3");
    }
}
