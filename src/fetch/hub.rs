//! The hub's API: a revision's commit, the files of a commit with their sizes and digests, and
//! where a file is.

use super::client::{Client, Failure, header};
use super::environment::Endpoint;
use super::error::FetchError;
use super::hash::{Listed, is_digest};
use super::names::{ModelId, is_commit, percent_encoded};
use serde::Deserialize;
use std::collections::BTreeSet;
use ureq::http::StatusCode;
use ureq::http::header::{HeaderMap, LINK};

/// The most pages of a list of files. A page has 1000 files.
const MAX_PAGES: usize = 100;

/// One commit of one model on a hub.
pub(crate) struct Commit<'a> {
    client: &'a Client,
    pub(crate) model: &'a ModelId,
    pub(crate) sha: String,
}

/// A file as the hub lists it. Its name is not checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HubFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) digest: Listed,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl<'a> Commit<'a> {
    /// Asks which commit a revision is.
    pub(crate) fn of(
        client: &'a Client,
        model: &'a ModelId,
        revision: &str,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, FetchError> {
        let url = format!("{}/api/models/{model}/revision/{}", client.endpoint(), percent_encoded(revision, false));
        let (_, body) = api(client, &url, model, &format!("model {model} with a revision {revision}"), waiting)?;
        let wrong = |reason: String| FetchError::Answer { url: url.clone(), reason };
        let answer: Revision = serde_json::from_slice(&body).map_err(|error| wrong(unread(&error)))?;
        if !is_commit(&answer.sha) {
            return Err(wrong(format!("it names {:?} as commit", answer.sha)));
        }
        if is_commit(revision) && revision != answer.sha {
            return Err(wrong(format!("it names another commit, {}", answer.sha)));
        }
        Ok(Self { client, model, sha: answer.sha })
    }

    /// Asks for the files of the commit, in the order of their paths.
    pub(crate) fn files(&self, waiting: &mut dyn FnMut(&str)) -> Result<Vec<HubFile>, FetchError> {
        let (model, sha) = (self.model, &self.sha);
        let tree = format!("{}/api/models/{model}/tree/{sha}", self.client.endpoint());
        let mut url = format!("{tree}?recursive=true");
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let (headers, body) = api(self.client, &url, model, &format!("list of the files of {model}"), waiting)?;
            let wrong = |reason: String| FetchError::Answer { url: url.clone(), reason };
            let entries: Vec<Entry> = serde_json::from_slice(&body).map_err(|error| wrong(unread(&error)))?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                files.push(file(entry).map_err(wrong)?);
            }
            let Some(next) = next(&headers) else {
                files.sort_by(|a, b| a.path.cmp(&b.path));
                let names: BTreeSet<String> = files.iter().map(|file| file.path.to_lowercase()).collect();
                if names.len() != files.len() {
                    return Err(wrong("it lists two files whose names are equal but for case".to_string()));
                }
                return Ok(files);
            };
            if !next.starts_with(&format!("{tree}?")) {
                return Err(wrong(format!("its next page is said to be at {next:?}, which is another list")));
            }
            url = next.to_string();
        }
        Err(FetchError::Answer { url: tree, reason: format!("the list has more than {MAX_PAGES} pages") })
    }

    /// Returns where a file is.
    pub(crate) fn url(&self, path: &str) -> String {
        let (model, sha) = (self.model, &self.sha);
        format!("{}/{model}/resolve/{sha}/{}", self.client.endpoint(), percent_encoded(path, true))
    }
}

/// Gets an answer of the API. `what` says what is missing if there is none.
fn api(
    client: &Client,
    url: &str,
    model: &ModelId,
    what: &str,
    waiting: &mut dyn FnMut(&str),
) -> Result<(HeaderMap, Vec<u8>), FetchError> {
    let answer = client.patiently(url, || (0, client.json(url)), waiting);
    answer.map_err(|failure| fault(failure, client, model, url, what))
}

/// Returns the error of a failure that stays.
pub(crate) fn fault(failure: Failure, client: &Client, model: &ModelId, url: &str, what: &str) -> FetchError {
    let hub = hub_name(client.endpoint());
    match failure {
        Failure::Final(error) => error,
        Failure::Status(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => FetchError::Refused {
            hub,
            model: model.to_string(),
            status: status.as_u16(),
            token: if client.has_token() {
                "check that the token in HF_TOKEN (or in the token file) may read it"
            } else {
                "set HF_TOKEN to a token that may read it"
            },
        },
        Failure::Status(StatusCode::NOT_FOUND) => {
            let hint = if client.has_token() { "" } else { ", and set HF_TOKEN if it is private" };
            FetchError::NotFound { hub, what: what.to_string(), hint }
        }
        Failure::Status(status) => FetchError::Answer { url: url.to_string(), reason: format!("it answers {status}") },
        Failure::Passing { reason, .. } => FetchError::Unreachable { url: url.to_string(), reason, tries: 1 },
    }
}

fn hub_name(endpoint: &Endpoint) -> String {
    endpoint.to_string()
}

fn unread(error: &serde_json::Error) -> String {
    format!("its answer is not what a hub's API answers ({error}); see HF_ENDPOINT")
}

/// Reads an entry. Only LFS files have a SHA-256; the size in such an entry is that of the content.
fn file(entry: Entry) -> Result<HubFile, String> {
    let (bytes, digest, right) = match entry.lfs {
        Some(lfs) => {
            // Some mirrors write the kind before the digits.
            let digits = lfs.oid.strip_prefix("sha256:").unwrap_or(&lfs.oid).to_string();
            let right = is_digest(&digits, 32);
            (lfs.size, Listed::Sha256(digits), right)
        }
        None => {
            let right = is_digest(&entry.oid, 20);
            (entry.size, Listed::GitBlob(entry.oid), right)
        }
    };
    if right {
        Ok(HubFile { path: entry.path, bytes, digest })
    } else {
        Err(format!("it lists {:?} without a digest", entry.path))
    }
}

/// Returns the URL of the next page, as the header Link names it.
fn next(headers: &HeaderMap) -> Option<&str> {
    let link = header(headers, &LINK)?;
    let named = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    Some(named.split_once('<')?.1.split_once('>')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<HubFile, String> {
        file(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn large_files_have_a_sha256_and_small_ones_a_blob_id() {
        let small = r#"{"type":"file","oid":"ce013625030ba8dba906f756967f9e9ca394464a","size":6,"path":"a"}"#;
        assert_eq!(read(small).unwrap().digest.kind(), "git blob id");
        let digits = "ab".repeat(32);
        let large = format!(
            r#"{{"type":"file","oid":"ce013625030ba8dba906f756967f9e9ca394464a","size":134,"path":"b","xetHash":"x",
                "lfs":{{"oid":"{digits}","size":99,"pointerSize":134}}}}"#
        );
        let large = read(&large).unwrap();
        assert_eq!((large.bytes, large.digest), (99, Listed::Sha256(digits)));
        assert_eq!(
            read(r#"{"type":"file","path":"a\n","oid":"X"}"#).unwrap_err(),
            r#"it lists "a\n" without a digest"#
        );
    }

    #[test]
    fn the_next_page_is_in_the_header_link() {
        let mut headers = HeaderMap::new();
        assert_eq!(next(&headers), None);
        headers.insert(LINK, r#"<http://h/a?cursor=b%3D>; rel="next""#.parse().unwrap());
        assert_eq!(next(&headers), Some("http://h/a?cursor=b%3D"));
    }
}
