//! What the environment says: the hub, the token, the folders, and whether to stay offline. The
//! names are those of Hugging Face's own programs. (The variables of proxies are read by the HTTP
//! client.)

use super::error::FetchError;
use std::fmt;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use ureq::http::Uri;

/// The hub unless `HF_ENDPOINT` names another one.
const HUB: &str = "https://huggingface.co";
/// The longest token in a file.
const MAX_TOKEN_BYTES: u64 = 4096;

/// The environment's settings.
pub(crate) struct Environment {
    pub(crate) endpoint: Endpoint,
    pub(crate) token: Option<Token>,
    /// The cache of hubs, which other programs share.
    pub(crate) cache: Option<PathBuf>,
    /// Whether nothing may be connected.
    pub(crate) offline: bool,
    /// A file with the certificates to trust instead of Mozilla's.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has certificates"))]
    pub(crate) certificates: Option<PathBuf>,
}

/// The hub's address: scheme, host and port, and a path if it is below one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Endpoint {
    origin: Origin,
    path: String,
}

/// Scheme, host and port: whoever has the same ones is the same server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A secret: it is never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Returns the value of the header Authorization.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl Environment {
    /// Reads the variables; `read` returns the value of one.
    pub(crate) fn read(read: impl Fn(&str) -> Option<String>) -> Result<Self, FetchError> {
        let set = |name: &str| read(name).filter(|value| !value.trim().is_empty());
        let home = set("HF_HOME").map(PathBuf::from).or_else(|| {
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
            let cache =
                cache.or_else(|| Some(PathBuf::from(set("HOME").or_else(|| set("USERPROFILE"))?).join(".cache")));
            Some(cache?.join("huggingface"))
        });
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| HUB.to_string());
        let yes = |value: String| ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str());
        let token = match set("HF_TOKEN") {
            Some(value) => Some(token("HF_TOKEN", &value)?),
            None => {
                let named = set("HF_TOKEN_PATH").map(PathBuf::from);
                named.or_else(|| Some(home.as_ref()?.join("token"))).map(token_file).transpose()?.flatten()
            }
        };
        Ok(Self {
            endpoint: Endpoint::parse(&endpoint)?,
            token,
            cache: set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home?.join("hub"))),
            offline: set("HF_HUB_OFFLINE").is_some_and(yes),
            certificates: set("SSL_CERT_FILE").map(PathBuf::from),
        })
    }
}

fn token(name: &'static str, text: &str) -> Result<Token, FetchError> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Token(text.to_string()));
    }
    let reason = "a token is one word of printable ASCII characters".to_string();
    Err(FetchError::Value { name, value: "(not shown)".to_string(), reason })
}

/// Reads the file that `hf auth login` writes; there may be none.
fn token_file(path: PathBuf) -> Result<Option<Token>, FetchError> {
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FetchError::Storage { path, error }),
    };
    let mut text = String::new();
    file.take(MAX_TOKEN_BYTES).read_to_string(&mut text).map_err(FetchError::storage(path))?;
    if text.trim().is_empty() { Ok(None) } else { token("the token file", &text).map(Some) }
}

impl Origin {
    /// Returns the origin of a URL of http or https without a user's name.
    pub(crate) fn of(url: &Uri) -> Option<Self> {
        let https = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = url.authority()?;
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() || authority.as_str().contains('@') {
            return None;
        }
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        Some(Self { https, host, port })
    }

    /// Returns whether it is this machine itself.
    pub(crate) fn is_loopback(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self, FetchError> {
        let wrong = |reason: &str| FetchError::Value {
            name: "HF_ENDPOINT",
            value: text.to_string(),
            reason: reason.to_string(),
        };
        let form = "it must be a URL of the form https://HOST, with a port and a path if need be";
        let url: Uri = text.trim().parse().map_err(|_| wrong(form))?;
        let origin = Origin::of(&url).ok_or_else(|| wrong(form))?;
        if url.query().is_some() || text.contains('#') {
            return Err(wrong(form));
        }
        if origin.https && !cfg!(feature = "tls") {
            return Err(wrong("this build has no TLS: build with the feature `tls`"));
        }
        Ok(Self { origin, path: url.path().trim_end_matches('/').to_string() })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let read = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Environment::read(read).map_err(|error| error.to_string())
    }

    #[test]
    fn the_variables_are_those_of_other_programs() {
        let environment = of(&[("HOME", "/home/u")]).unwrap();
        assert_eq!(environment.cache.unwrap(), PathBuf::from("/home/u/.cache/huggingface/hub"));
        assert!(!environment.offline && environment.token.is_none());
        let environment = of(&[("HF_HOME", "/h"), ("HOME", "/home/u"), ("HF_HUB_OFFLINE", "Yes")]).unwrap();
        assert_eq!(environment.cache.unwrap(), PathBuf::from("/h/hub"));
        assert!(environment.offline);
        assert_eq!(of(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]).unwrap().cache.unwrap(), PathBuf::from("/c"));
        assert_eq!(of(&[("HF_TOKEN", "hf_x\n")]).unwrap().token.unwrap().header(), "Bearer hf_x");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(of(&[("HF_HOME", home)]).unwrap().token.unwrap().header(), "Bearer hf_file");
        assert!(of(&[("HF_HOME", home), ("HF_HUB_OFFLINE", "0")]).is_ok_and(|environment| !environment.offline));
    }

    #[test]
    fn a_token_of_several_words_is_refused_and_not_shown() {
        let error = of(&[("HF_TOKEN", "hf_x\r\nHost: evil")]).err().unwrap();
        assert!(error.starts_with("HF_TOKEN is") && !error.contains("evil"), "{error}");
    }

    #[test]
    fn an_endpoint_is_a_url_without_user_and_query() {
        let shown = |text: &str| Endpoint::parse(text).map(|endpoint| endpoint.to_string()).ok();
        assert_eq!(shown("http://Mirror:8000/hub/").as_deref(), Some("http://mirror:8000/hub"));
        assert_eq!(shown("http://h:80").as_deref(), Some("http://h"));
        for bad in ["huggingface.co", "ftp://h", "http://u:p@h", "http://h?x=1", "http://h/#a", "", "http://"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
        assert!(Endpoint::parse("http://[::1]:80").unwrap().origin().is_loopback());
        assert!(!Endpoint::parse("http://10.0.0.1").unwrap().origin().is_loopback());
    }
}
