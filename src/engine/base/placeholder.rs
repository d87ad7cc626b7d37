//! Recognizes what failed downloads leave in place of a file.

/// What stands where a file should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placeholder {
    /// What it is, with its article.
    pub name: &'static str,
    /// What the user can do.
    pub hint: &'static str,
}

/// A file that Git LFS has not fetched.
const LFS_POINTER: Placeholder =
    Placeholder { name: "a Git LFS pointer", hint: "run `git lfs pull` in its folder, or download the file" };

/// The page of a web server in place of the file.
const HTML_PAGE: Placeholder = Placeholder { name: "an HTML page", hint: "download the file again" };

/// The number of bytes that are looked at.
const START_BYTES: usize = 512;

impl Placeholder {
    /// Returns what a file with these bytes is a placeholder of, if it is one. The first bytes are
    /// enough.
    #[must_use]
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let start = bytes[..bytes.len().min(START_BYTES)].trim_ascii_start();
        let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
        let opens = |tag: &str| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()));
        if start.starts_with(b"version https://git-lfs.github.com/spec/") {
            Some(LFS_POINTER)
        } else if opens("<!doctype html") || opens("<html") {
            Some(HTML_PAGE)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_pages_are_told_from_files() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Placeholder::find(text.as_bytes()).map(|found| found.name), expected, "{text:?}");
        };
        check("version https://git-lfs.github.com/spec/v1\noid", Some("a Git LFS pointer"));
        check("\u{feff}\n<!DOCTYPE HTML><html>", Some("an HTML page"));
        check("<html lang=\"en\">", Some("an HTML page"));
        check("{\"a\": \"<html>\"}", None);
        check("ä", None);
        check("", None);
    }
}
