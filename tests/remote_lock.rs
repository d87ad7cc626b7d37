//! The egress lock with a broker running: every way to a network stays closed, but the configured
//! endpoint can be used. Neither a redirect nor a proxy variable widens it. This program is the
//! broker, the locked child and the parent in turn, so it has no test harness.

#[cfg(target_os = "linux")]
#[expect(dead_code, unused_imports, reason = "only its attempts are used here")]
#[path = "lock.rs"]
mod lock_tests;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: there is no egress lock on this system");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if let Some(code) = maspo::remote::broker_main(std::env::args().skip(1)) {
        return code;
    }
    if std::env::args().any(|argument| argument == "--list") {
        return std::process::ExitCode::SUCCESS;
    }
    match std::env::var(linux::ENDPOINT) {
        Ok(endpoint) => linux::child(&endpoint),
        Err(_) => linux::parent(),
    }
    println!("test the_lock_holds_with_a_broker ... ok");
    std::process::ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
mod linux {
    use maspo::chat::{ChatModel, Message, Request, Sampling};
    use maspo::cli::lock::{self, LockState};
    use maspo::remote::{EndpointOptions, RemoteModel, reachable, start_broker};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) const ENDPOINT: &str = "MASPO_TEST_BROKER_ENDPOINT";
    const OTHER: &str = "MASPO_TEST_BROKER_OTHER";

    /// Listens on loopback, counts connections, and answers the list of models. Everything else is
    /// a redirect to `elsewhere`.
    fn server(elsewhere: Option<u16>) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || answer(stream.unwrap(), elsewhere));
            }
        });
        (port, count)
    }

    fn answer(stream: TcpStream, elsewhere: Option<u16>) {
        let mut reader = BufReader::new(stream);
        let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
        while reader.read_line(&mut line).unwrap_or(0) > 0 {
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_string();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                let _ = reader.read_exact(&mut vec![0; length]);
                let models = r#"{"data":[{"id":"m","owned_by":"somebody"}]}"#;
                let _ = match path.as_str() {
                    "/v1/models" => {
                        write!(reader.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{models}", models.len())
                    }
                    _ => write!(
                        reader.get_mut(),
                        "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{}{path}\r\nContent-Length: 0\r\n\r\n",
                        elsewhere.unwrap_or_default()
                    ),
                };
                (path, length) = (String::new(), 0);
            }
            line.clear();
        }
    }

    pub(crate) fn parent() {
        let (other, others) = server(None);
        let (port, count) = server(Some(other));
        let proxy = format!("http://127.0.0.1:{other}");
        let output = Command::new(std::env::current_exe().unwrap())
            .env(ENDPOINT, port.to_string())
            .env(OTHER, other.to_string())
            .envs([("http_proxy", &proxy), ("HTTP_PROXY", &proxy), ("ALL_PROXY", &proxy), ("all_proxy", &proxy)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
        assert!(count.load(Ordering::SeqCst) > 0, "the endpoint was used");
        assert_eq!(others.load(Ordering::SeqCst), 0, "nobody else was reached");
    }

    /// Starts this program as a broker for another port, asks it for a connection, and returns the
    /// error's number.
    fn second_broker(port: u16) -> i32 {
        let (mut own, other) = UnixStream::pair().unwrap();
        let mut broker = Command::new(std::env::current_exe().unwrap())
            .args(["__broker".to_string(), format!("0=127.0.0.1:{port}")])
            .stdin(Stdio::from(OwnedFd::from(other)))
            .spawn()
            .unwrap();
        own.write_all(&[0, 0]).unwrap();
        let mut code = [0; 4];
        own.read_exact(&mut code).unwrap();
        drop(own);
        broker.wait().unwrap();
        i32::from_le_bytes(code)
    }

    pub(crate) fn child(endpoint: &str) {
        let other: u16 = std::env::var(OTHER).unwrap().parse().unwrap();
        let options = |port: &str| EndpointOptions {
            urls: vec![format!("http://127.0.0.1:{port}").parse().unwrap()],
            retries: 0,
            max_in_flight: 2,
            ..EndpointOptions::default()
        };
        start_broker(&options(endpoint).urls).unwrap();
        assert_eq!(lock::apply(), &LockState::Applied);
        assert_eq!(reachable(), [format!("127.0.0.1:{endpoint}")]);
        for (name, outcome) in super::lock_tests::attempts(other) {
            let code = outcome.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
            let absent = [libc::ENOENT, libc::ENOSYS].contains(&code);
            assert!(code == libc::EPERM || absent, "{name}: errno {code}");
        }
        let model = RemoteModel::open(&options(endpoint), false, Arc::new(|_| ())).expect("the endpoint is open");
        let request = Request {
            messages: vec![Message::user("hello")],
            max_new_tokens: 1,
            max_thinking_tokens: None,
            sampling: Sampling::GREEDY,
        };
        let redirected = futures::executor::block_on(model.complete(request)).unwrap_err().to_string();
        assert!(redirected.contains("redirects"), "{redirected}");
        // Names are not resolved again: another name of the endpoint's own address is none of its.
        let renamed = format!("http://localhost:{endpoint}").parse().unwrap();
        let renamed = EndpointOptions { urls: vec![renamed], ..options(endpoint) };
        let renamed = RemoteModel::open(&renamed, false, Arc::new(|_| ())).err().expect("it is not listed").to_string();
        assert!(renamed.contains("not among the addresses"), "{renamed}");
        assert_eq!(second_broker(other), libc::EPERM, "a broker that the locked process starts is locked");
        let refused = RemoteModel::open(&options(&other.to_string()), false, Arc::new(|_| ()));
        let refused = refused.err().expect("another port is closed").to_string();
        assert!(refused.contains("not among the addresses"), "{refused}");
        let state = lock::read_back();
        assert!(state.applied && state.endpoints.len() == 1, "{state:?}");
    }
}
