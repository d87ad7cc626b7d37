//! The base URL of a server.

use std::fmt;
use std::str::FromStr;
use ureq::http::Uri;

/// A URL such as `http://127.0.0.1:8000`; a path is kept, and `/v1` at its end is not needed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BaseUrl {
    is_https: bool,
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no base URL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// It does not begin with `http://` or `https://`, or names no host.
    #[error("is no URL of the form http://HOST:PORT")]
    Form,
    /// It holds a user's name, a query or a fragment.
    #[error("has more than a host, a port and a path; a key belongs in `api_key`")]
    Extra,
    /// It is https, and this build has no TLS.
    #[error("is https, and this build has no TLS: build with `--features tls`, or use http inside the perimeter")]
    NoTls,
}

impl FromStr for BaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(UrlError::Form),
        };
        let authority = uri.authority().ok_or(UrlError::Form)?;
        if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
            return Err(UrlError::Extra);
        }
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).to_string();
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let host = authority.host().to_ascii_lowercase();
        let has_port = authority.as_str().len() > host.len();
        if host.is_empty() || (has_port && authority.port_u16().is_none()) {
            return Err(UrlError::Form);
        }
        Ok(Self { is_https, host, port, path })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

impl BaseUrl {
    /// Returns whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns host and port, as they are resolved and as they stand in the header Host.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns an error if this build cannot reach the URL.
    ///
    /// # Errors
    /// https without the feature `tls`.
    pub fn check_tls(&self) -> Result<(), UrlError> {
        if self.is_https && !cfg!(feature = "tls") { Err(UrlError::NoTls) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_in_one_form() {
        let read = |text: &str| text.parse::<BaseUrl>().map(|url| url.to_string());
        for (text, expected) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://Rack7:8000/v1/", "http://rack7:8000"),
            ("https://llm.example/prefix/v1", "https://llm.example:443/prefix"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("http://rack", "http://rack:80"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["127.0.0.1:8000", "ftp://a", "http://", "rack", "http:///v1", "http://a:b"] {
            assert_eq!(read(wrong), Err(UrlError::Form), "{wrong}");
        }
        for more in ["http://user:key@host", "http://host?key=1", "http://host/#a"] {
            assert_eq!(read(more), Err(UrlError::Extra), "{more}");
        }
    }
}
