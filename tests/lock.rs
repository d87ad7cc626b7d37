//! The egress lock, tested from inside: every way to a network is first shown to be open without
//! the lock (if the machine allows it at all) and then to be closed with it. The attempts run in
//! child processes, because a lock is permanent.
#![cfg(target_os = "linux")]

use maspo::cli::lock::{self, LockState};
use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

const ROLE: &str = "MASPO_TEST_LOCK_ROLE";
const PORT: &str = "MASPO_TEST_LOCK_PORT";

/// Calls the kernel with a number and up to four plain arguments.
fn call(number: libc::c_long, arguments: [libc::c_long; 4]) -> io::Result<()> {
    let [a, b, c, d] = arguments;
    // SAFETY: every caller in this file passes plain integers, null pointers of length 0, or
    // numbers that the kernel refuses; none of these calls reads or writes memory of this process.
    let answer = unsafe { libc::syscall(number, a, b, c, d, 0, 0) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    call(libc::SYS_socket, [family.into(), kind.into(), protocol.into(), 0])
}

/// Makes every attempt, by name. `port` is a listener of the parent on loopback.
pub(crate) fn attempts(port: u16) -> Vec<(&'static str, io::Result<()>)> {
    const FASTOPEN: libc::c_long = 0x2000_0000;
    let in_thread = std::thread::spawn(move || TcpStream::connect(("127.0.0.1", port)).map(drop));
    vec![
        ("tcp connect", TcpStream::connect(("127.0.0.1", port)).map(drop)),
        ("tcp connect in a new thread", in_thread.join().unwrap()),
        ("tcp listen", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("udp", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("tcp over ipv6", socket(libc::AF_INET6, libc::SOCK_STREAM, 0)),
        ("mptcp", socket(libc::AF_INET, libc::SOCK_STREAM, 262)),
        ("raw", socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
        ("packet", socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
        ("netlink", socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)),
        ("vsock", socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
        ("kernel crypto", socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
        // The descriptor is −1: without the lock the error is EBADF, which is not a refusal.
        ("connect on an inherited socket", call(libc::SYS_connect, [-1, 0, 0, 0])),
        ("sendto with MSG_FASTOPEN", call(libc::SYS_sendto, [-1, 0, 0, FASTOPEN])),
        ("sendmsg with MSG_FASTOPEN", call(libc::SYS_sendmsg, [-1, 0, FASTOPEN, 0])),
        ("sendmmsg with MSG_FASTOPEN", call(libc::SYS_sendmmsg, [-1, 0, 0, FASTOPEN | 1])),
        ("io_uring", call(libc::SYS_io_uring_enter, [-1, 0, 0, 0])),
        ("pidfd_getfd", call(libc::SYS_pidfd_getfd, [-1, 0, 0, 0])),
        #[cfg(target_arch = "x86_64")]
        ("socket by its x32 number", call(0x4000_0000 | libc::SYS_socket, [2, 1, 0, 0])),
        ("tcp from a program that it starts", started_program(port)),
    ]
}

/// Bash can connect by itself; without bash the attempt is reported as not made.
fn started_program(port: u16) -> io::Result<()> {
    let status = Command::new("bash").args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")]).output()?.status;
    if status.success() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
}

/// The system calls that the program itself needs still work.
fn needed() -> io::Result<()> {
    let (_a, _b) = UnixStream::pair()?;
    UnixDatagram::unbound()?;
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("file"), "text")?;
    std::thread::spawn(|| ()).join().map_err(|_| io::Error::other("thread"))?;
    Command::new("true").status().map(drop)
}

/// The child: makes the attempts, with or without the lock, and prints one line for each.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    // A thread that was started before the lock must be locked too.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let early = std::thread::spawn(move || {
        wait.recv().unwrap();
        TcpStream::connect(("127.0.0.1", port)).map(drop)
    });
    if role == "locked" {
        assert_eq!(lock::apply(), &LockState::Applied);
        assert_eq!(lock::apply(), &LockState::Applied, "a second call changes nothing");
        let state = lock::read_back();
        assert!(state.applied && state.threads >= 2 && state.locked_threads == state.threads, "{state:?}");
    } else {
        assert!(!lock::read_back().applied);
    }
    go.send(()).unwrap();
    let mut lines = vec![("tcp connect in a thread from before", early.join().unwrap())];
    lines.extend(attempts(port));
    needed().unwrap();
    for (name, outcome) in lines {
        let code = outcome.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
        println!("\nattempt:{name}:{code}");
    }
}

/// Runs the child and returns errno by attempt (0 if it succeeded).
fn run(role: &str, port: u16) -> BTreeMap<String, i32> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(PORT, port.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("attempt:")?.rsplit_once(':'))
        .map(|(name, code)| (name.to_string(), code.parse().unwrap()))
        .collect()
}

#[test]
fn every_way_to_a_network_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (open, locked) = (run("unlocked", port), run("locked", port));
    for name in
        ["tcp connect", "tcp connect in a new thread", "tcp connect in a thread from before", "tcp listen", "udp"]
    {
        assert_eq!(open[name], 0, "the control must get out: {name}");
    }
    for name in ["connect on an inherited socket", "sendto with MSG_FASTOPEN", "sendmsg with MSG_FASTOPEN"] {
        assert_eq!(open[name], libc::EBADF, "the control reaches the call itself: {name}");
    }
    assert_eq!(locked.len(), open.len());
    for (name, code) in &locked {
        // A machine without the feature (or without bash) answers the same with and without the
        // lock.
        let absent = open[name] == *code && [libc::ENOENT, libc::ENOSYS].contains(code);
        assert!(*code == libc::EPERM || absent, "{name}: errno {code} under the lock, {} without", open[name]);
    }
}
