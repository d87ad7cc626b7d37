//! Who is answered at all: the bearer token, the exact host, no page of a browser, JSON only.

use super::ServeOptions;
use super::fault::Fault;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::{Method, StatusCode};

/// Checks the head of a request. What an unknown client learns does not depend on its path.
///
/// # Errors
/// The first rule that the request breaks.
pub(super) fn check(options: &ServeOptions, method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
    let refused = |code, message: &str| Fault::new(StatusCode::FORBIDDEN, code, message);
    if headers.contains_key(ORIGIN) {
        return Err(refused("origin", "pages in browsers are not answered (the request has an Origin)"));
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none());
    if !host.is_some_and(|host| options.hosts.allow(host)) {
        return Err(refused("host", "the header Host must be the address that this server listens on"));
    }
    let mut tokens = headers.get_all(AUTHORIZATION).iter();
    let token = tokens.next().filter(|_| tokens.next().is_none()).and_then(|value| bearer(value.as_bytes()));
    if !token.is_some_and(|token| options.token.is(token)) {
        let message =
            "send `Authorization: Bearer TOKEN` with the token of the file that the server named at its start";
        return Err(Fault::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message));
    }
    if *method == Method::POST && !is_json(headers) {
        let message = "the body must be JSON: Content-Type: application/json";
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", message));
    }
    Ok(())
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
