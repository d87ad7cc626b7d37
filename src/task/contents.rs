//! Says what a text file holds that should be JSON and is something else.

/// What to do about a file that [`contents`] names.
pub const CONTENTS_HINT: &str = "fetch the file itself";

/// The first line of a Git LFS pointer begins with this.
const LFS: &str = "version https://git-lfs.github.com/spec/";

/// Returns what a file that begins with `text` is, in place of JSON: a Git LFS pointer or an HTML
/// page; `None` if it is neither.
pub fn contents(text: &str) -> Option<&'static str> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let begins = |tag: &str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    if text.starts_with(LFS) {
        Some("a Git LFS pointer")
    } else if begins("<!doctype html") || begins("<html") {
        Some("an HTML page")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_pages_are_told_from_json() {
        assert_eq!(contents("version https://git-lfs.github.com/spec/v1\noid"), Some("a Git LFS pointer"));
        assert_eq!(contents("\u{feff}\n<!DOCTYPE HTML><html>"), Some("an HTML page"));
        assert_eq!(contents("<html lang=\"en\">"), Some("an HTML page"));
        assert_eq!(contents("{\"a\": \"<html>\"}"), None);
        assert_eq!(contents("ä"), None);
    }
}
