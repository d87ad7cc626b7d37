//! A local server that stands for a hub, with one model. It answers as the hub's API does,
//! redirects large files to another host as the hub does, and can be told to misbehave.

use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// The commit of the hub's branch `main`.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request that a host got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Whether it came to the host that keeps the large files.
    pub(crate) at_store: bool,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// How the hub behaves.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Large files: those with a SHA-256, kept by the other host.
    pub(crate) large: Vec<String>,
    /// After how many bytes of their bodies the next answers of large files are cut.
    pub(crate) cuts: Vec<usize>,
    /// Whether large files stop after half of their bytes, with the connection open.
    pub(crate) stalls: bool,
    /// The status of every answer with a body of a file.
    pub(crate) file_status: Option<u16>,
    /// The status of every answer of the API.
    pub(crate) api_status: Option<u16>,
    /// A file whose content is another one than the hub lists.
    pub(crate) spoiled: Option<String>,
    /// Where large files are redirected to, instead of the other host.
    pub(crate) redirect: Option<String>,
    /// How many of the next requests are answered with 503.
    pub(crate) busy: usize,
    /// Whether ranges are ignored.
    pub(crate) no_ranges: bool,
    /// The most entries of a page of the list.
    pub(crate) page: Option<usize>,
}

/// The two hosts.
pub(crate) struct Hub {
    pub(crate) url: String,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Hub {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let (hub, store) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let (hub_url, store_url) = (url(&hub), url(&store));
        let behaviour = Arc::new(Mutex::new(behaviour));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for (listener, at_store) in [(hub, false), (store, true)] {
            let host = Host {
                at_store,
                hub: hub_url.clone(),
                store: store_url.clone(),
                behaviour: behaviour.clone(),
                seen: seen.clone(),
            };
            // It ends with the process.
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let host = host.clone();
                    std::thread::spawn(move || host.answer(stream.unwrap()));
                }
            });
        }
        Self { url: hub_url, behaviour, seen }
    }

    /// Returns the program, with nothing in its environment but this hub and a home.
    pub(crate) fn command(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maspo-fetch"));
        command.env_clear().env("HOME", home).env("HF_ENDPOINT", &self.url).args(arguments);
        command
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }
}

#[derive(Clone)]
struct Host {
    at_store: bool,
    hub: String,
    store: String,
    behaviour: Arc<Mutex<Behaviour>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// An answer: status, further headers, body, and after how many bytes it is cut.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>, Option<usize>);

impl Host {
    fn answer(&self, stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if lines.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_string());
            }
            let path = head[0].split(' ').nth(1).unwrap().to_string();
            let header =
                |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_string()));
            let headers: BTreeMap<String, String> = head[1..].iter().filter_map(header).collect();
            self.seen.lock().unwrap().push(Seen {
                at_store: self.at_store,
                path: path.clone(),
                headers: headers.clone(),
            });
            let (status, more, body, cut) = self.choose(&path, headers.get("range"));
            let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
            more.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
            let stalls = self.at_store && self.behaviour.lock().unwrap().stalls;
            let cut = if stalls { Some(body.len() / 2) } else { cut };
            let sent = &body[..cut.unwrap_or(body.len()).min(body.len())];
            let all = [text.as_bytes(), b"\r\n", sent].concat();
            if stream.write_all(&all).is_err() || (sent.len() < body.len() && !stalls) {
                return;
            }
        }
    }

    fn choose(&self, path: &str, range: Option<&String>) -> Answer {
        let mut behaviour = self.behaviour.lock().unwrap();
        if behaviour.busy > 0 {
            behaviour.busy -= 1;
            return (503, vec![("Retry-After", "0".to_string())], b"later".to_vec(), None);
        }
        let json =
            |text: String| (200, vec![("Content-Type", "application/json".to_string())], text.into_bytes(), None);
        let nothing = |status: u16| (status, Vec::new(), b"no".to_vec(), None);
        if let Some(rest) = path.strip_prefix("/api/models/org/model/") {
            if let Some(status) = behaviour.api_status {
                return nothing(status);
            }
            if rest == "revision/main" || rest == format!("revision/{COMMIT}") {
                return json(format!(r#"{{"id":"org/model","sha":"{COMMIT}","siblings":[]}}"#));
            }
            if rest.starts_with(&format!("tree/{COMMIT}?")) {
                return self.page(&behaviour, rest);
            }
            return nothing(404);
        }
        let Some(name) = path.strip_prefix(&format!("/org/model/resolve/{COMMIT}/")) else { return nothing(404) };
        let Some(mut content) = behaviour.files.get(name).cloned() else { return nothing(404) };
        if let Some(status) = behaviour.file_status {
            return nothing(status);
        }
        let is_large = behaviour.large.iter().any(|large| large == name);
        if is_large && !self.at_store {
            let to = behaviour.redirect.clone().unwrap_or_else(|| self.store.clone() + path);
            return (302, vec![("Location", to)], Vec::new(), None);
        }
        if behaviour.spoiled.as_deref() == Some(name) {
            content[0] ^= 1;
        }
        let cut = if is_large && !behaviour.cuts.is_empty() { Some(behaviour.cuts.remove(0)) } else { None };
        match range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()) {
            Some(from) if !behaviour.no_ranges => {
                let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
                (206, vec![("Content-Range", range)], content[from..].to_vec(), cut)
            }
            _ => (200, Vec::new(), content, cut),
        }
    }

    /// Returns a page of the list of files.
    fn page(&self, behaviour: &Behaviour, rest: &str) -> Answer {
        let entry = |(path, content): (&String, &Vec<u8>)| {
            let name = serde_json::to_string(path).unwrap();
            let header = format!("blob {}\0", content.len());
            let oid = hex(&Sha1::new().chain_update(header).chain_update(content).finalize());
            if behaviour.large.contains(path) {
                let sha256 = hex(&Sha256::digest(content));
                let lfs = format!(r#"{{"oid":"{sha256}","size":{},"pointerSize":134}}"#, content.len());
                return format!(
                    r#"{{"type":"file","oid":"{oid}","size":{},"path":{name},"lfs":{lfs}}}"#,
                    content.len()
                );
            }
            format!(r#"{{"type":"file","oid":"{oid}","size":{},"path":{name}}}"#, content.len())
        };
        let mut entries: Vec<String> = behaviour.files.iter().map(entry).collect();
        entries.push(r#"{"type":"directory","oid":"","size":0,"path":"folder"}"#.to_string());
        let from = rest.split_once("cursor=").map_or(0, |(_, at)| at.parse().unwrap());
        let page = behaviour.page.unwrap_or(1000);
        let mut headers = vec![("Content-Type", "application/json".to_string())];
        if from + page < entries.len() {
            let next = format!("{}/api/models/org/model/tree/{COMMIT}?recursive=true&cursor={}", self.hub, from + page);
            headers.push(("Link", format!("<{next}>; rel=\"next\"")));
        }
        let entries: Vec<String> = entries.into_iter().skip(from).take(page).collect();
        (200, headers, format!("[{}]", entries.join(",")).into_bytes(), None)
    }
}

/// Starts a proxy that connects to `target` whatever it is asked for, and returns its URL and the
/// first lines of what it was asked.
pub(crate) fn proxy(target: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (target, record) = (target.clone(), Arc::clone(&record));
            std::thread::spawn(move || {
                let mut client = stream.unwrap();
                let mut lines = BufReader::new(client.try_clone().unwrap());
                let mut first = String::new();
                lines.read_line(&mut first).unwrap();
                record.lock().unwrap().push(first);
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    lines.read_line(&mut line).unwrap();
                }
                let mut hub = TcpStream::connect(target).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut back, mut out) = (hub.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut back, &mut out));
                let _ended = std::io::copy(&mut lines, &mut hub);
            });
        }
    });
    (url, asked)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the exit code and what was said.
pub(crate) fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
