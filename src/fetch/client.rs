//! GET requests: redirects by our own rules, the token for the hub alone, time limits, and tries
//! that are bounded.

use super::environment::{Endpoint, Environment, Origin, Token};
use super::error::FetchError;
use std::io::Read;
use std::time::Duration;
use ureq::http::header::{HeaderMap, HeaderName};
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body};

/// The most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// The largest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The largest answer of the hub's API.
const MAX_API_BYTES: u64 = 64 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// The first pause between tries, after one try again at once; every further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, unless the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that a server can ask for.
const LONGEST_WISH: Duration = Duration::from_secs(300);
/// A try that brought so much is no failed one. So a file has at most as many tries as it has
/// mebibytes, times the tries that are allowed.
pub(crate) const WORTH_A_TRY: u64 = 1 << 20;

/// Why one try did not end well.
pub(crate) enum Failure {
    /// Another try may help.
    Passing {
        reason: String,
        /// When the server wants to be asked again.
        after: Option<Duration>,
    },
    /// The server has an answer, and it is this status.
    Status(StatusCode),
    /// Another try will not help.
    Final(FetchError),
}

impl Failure {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), after: None }
    }
}

/// The client of one hub.
pub(crate) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    token: Option<Token>,
    retries: usize,
}

impl Client {
    pub(crate) fn new(environment: &Environment, retries: usize) -> Result<Self, FetchError> {
        // Redirects are followed here, because the token must not follow them to another host.
        let config = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .max_response_header_size(MAX_HEAD_BYTES)
            // A body that was packed would have another size and another digest.
            .accept_encoding("identity")
            .user_agent(concat!("maspo-fetch/", env!("CARGO_PKG_VERSION")));
        #[cfg(feature = "tls")]
        let config = match &environment.certificates {
            Some(path) => config.tls_config(trusting(path)?),
            None => config,
        };
        let (endpoint, token) = (environment.endpoint.clone(), environment.token.clone());
        Ok(Self { agent: config.build().new_agent(), endpoint, token, retries })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Gets a URL from byte `from` on. Redirects are followed: never from https to http, and the
    /// token goes to the hub only, until the first redirect to another host.
    pub(crate) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        let refuse = |reason: String| Failure::Final(FetchError::Answer { url: url.to_string(), reason });
        let mut at: Uri = url.parse().map_err(|_| refuse("this is no URL".to_string()))?;
        let mut at_hub = true;
        for _ in 0..=MAX_REDIRECTS {
            let origin =
                Origin::of(&at).ok_or_else(|| refuse(format!("it redirects to {at}, which is not followed")))?;
            if self.endpoint.origin().https && !origin.https {
                return Err(refuse(format!("it redirects to {origin}, which is not encrypted")));
            }
            at_hub &= origin == *self.endpoint.origin();
            let mut request = self.agent.get(&at);
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| at_hub) {
                request = request.header("Authorization", token.header());
            }
            let answer = request.call().map_err(|error| Failure::passing(format!("{origin}: {error}")))?;
            let status = answer.status();
            if status.is_success() {
                return Ok(answer);
            }
            if !status.is_redirection() {
                return Err(refused(status, answer.headers(), &origin));
            }
            let to = header(answer.headers(), &ureq::http::header::LOCATION);
            let to = to.and_then(|to| target(&at, to));
            at = to.ok_or_else(|| refuse(format!("{origin} redirects ({status}) to no URL that could be followed")))?;
        }
        Err(refuse(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// Gets one answer of the hub's API.
    pub(crate) fn json(&self, url: &str) -> Result<(HeaderMap, Vec<u8>), Failure> {
        let mut answer = self.get(url, 0)?;
        let mut body = Vec::new();
        let read = answer.body_mut().with_config().limit(MAX_API_BYTES).reader().read_to_end(&mut body);
        read.map_err(|error| Failure::passing(format!("the answer was cut off ({error})")))?;
        Ok((answer.headers().clone(), body))
    }

    /// Tries until it works, or until it failed too often in a row. `once` returns how much it
    /// brought beside its result.
    pub(crate) fn patiently<T>(
        &self,
        url: &str,
        mut once: impl FnMut() -> (u64, Result<T, Failure>),
        mut waiting: impl FnMut(&str),
    ) -> Result<T, Failure> {
        let (mut tries, mut failed, mut pause) = (0, 0, Duration::ZERO);
        loop {
            let (brought, result) = once();
            let Err(Failure::Passing { reason, after }) = result else { return result };
            tries += 1;
            if brought >= WORTH_A_TRY {
                (failed, pause) = (0, Duration::ZERO);
            }
            failed += 1;
            if failed > self.retries {
                return Err(Failure::Final(FetchError::Unreachable { url: url.to_string(), reason, tries }));
            }
            waiting(&reason);
            std::thread::sleep(after.map_or(pause, |after| after.min(LONGEST_WISH)));
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        }
    }
}

/// Returns what a status that is neither success nor redirection means.
fn refused(status: StatusCode, headers: &HeaderMap, origin: &Origin) -> Failure {
    let may_pass =
        status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if !may_pass {
        return Failure::Status(status);
    }
    let after = header(headers, &ureq::http::header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
    Failure::Passing { reason: format!("{origin} answers {status}"), after: after.map(Duration::from_secs) }
}

/// Returns the text of a header.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns where a redirect leads: to a URL, or to a path of the same host.
fn target(from: &Uri, to: &str) -> Option<Uri> {
    let to = to.split('#').next().unwrap_or(to);
    if to.starts_with("//") {
        return format!("{}:{to}", from.scheme_str()?).parse().ok();
    }
    if to.starts_with('/') {
        return format!("{}://{}{to}", from.scheme_str()?, from.authority()?).parse().ok();
    }
    to.parse().ok().filter(|url: &Uri| Origin::of(url).is_some())
}

/// Returns a TLS configuration that trusts the certificates of a PEM file, as a company's own.
#[cfg(feature = "tls")]
fn trusting(path: &std::path::Path) -> Result<ureq::tls::TlsConfig, FetchError> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
    let pem = std::fs::read(path).map_err(FetchError::storage(path))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let (value, reason) = (path.display().to_string(), "the file holds no certificate in PEM form".to_string());
        return Err(FetchError::Value { name: "SSL_CERT_FILE", value, reason });
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_urls_and_paths() {
        let from: Uri = "https://hub:8443/a/b?x=1".parse().unwrap();
        let to = |text: &str| target(&from, text).map(|url| url.to_string());
        assert_eq!(to("/c?d=e#f").as_deref(), Some("https://hub:8443/c?d=e"));
        assert_eq!(to("//cdn/c").as_deref(), Some("https://cdn/c"));
        assert_eq!(to("https://cdn/c").as_deref(), Some("https://cdn/c"));
        for bad in ["c", "../c", "file:///etc/passwd", "ftp://h/x", "https://user@h/x", ""] {
            assert_eq!(to(bad), None, "{bad}");
        }
    }
}
