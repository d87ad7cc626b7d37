//! The broker: a process of its own, started before the egress lock, that connects to a fixed list
//! of addresses and hands the connected sockets over. Names are resolved once, before it starts.
//! What the locked process sends it is the number of an entry, so nothing that this process is made
//! to do can name another address. On Linux, Landlock keeps the broker itself to its ports and away
//! from all files. It ends when the process that started it does.

use super::{BaseUrl, RemoteError};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::OnceLock;
use std::time::Duration;

/// The first argument of the process that is the broker.
pub const BROKER_ARGUMENT: &str = "__broker";

/// How long a connection may take to be made.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// The most addresses.
const MAX_ADDRESSES: usize = 256;

/// The addresses by host and port.
type Table = BTreeMap<String, Vec<SocketAddr>>;

static BROKER: OnceLock<system::Broker> = OnceLock::new();

/// Starts the broker for these URLs. To be called once, before the egress lock and before any
/// thread; nothing is started where there are no URLs.
///
/// # Errors
/// A host cannot be resolved, or the process cannot be started.
pub fn start_broker(urls: &[BaseUrl]) -> Result<(), RemoteError> {
    if urls.is_empty() {
        return Ok(());
    }
    let mut table = Table::new();
    for url in urls {
        url.check_tls().map_err(|error| RemoteError::Url { url: url.clone(), error })?;
        if let Entry::Vacant(entry) = table.entry(url.authority()) {
            let resolved = resolve(entry.key()).map_err(|error| RemoteError::Host { url: url.clone(), error })?;
            entry.insert(resolved);
        }
    }
    if table.values().map(Vec::len).sum::<usize>() > MAX_ADDRESSES {
        return Err(RemoteError::Broker(io::Error::other(format!("there are more than {MAX_ADDRESSES} addresses"))));
    }
    let broker = system::Broker::start(table).map_err(RemoteError::Broker)?;
    // A second call would be a programmer's error; the first broker stays.
    let _ = BROKER.set(broker);
    Ok(())
}

/// Returns the addresses that the broker connects to, as `HOST:PORT (ADDRESS, …)`; empty if there
/// is no broker.
pub fn reachable() -> Vec<String> {
    let Some(broker) = BROKER.get() else { return Vec::new() };
    let line = |(authority, addresses): (&String, &Vec<SocketAddr>)| {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        match &addresses[..] {
            [only] if only == authority => authority.clone(),
            _ => format!("{authority} ({})", addresses.join(", ")),
        }
    };
    broker.table().iter().map(line).collect()
}

/// Connects to `HOST:PORT`: through the broker if there is one, or else directly.
pub(super) fn connect(authority: &str) -> io::Result<TcpStream> {
    match BROKER.get() {
        Some(broker) => broker.connect(authority),
        None => connect_any(&resolve(authority)?),
    }
}

fn resolve(authority: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = authority.to_socket_addrs()?.collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Connects to the first address that answers.
fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Runs the broker, if that is what this process is for: `arguments` are those after the program's
/// name. To be called before anything else.
pub fn broker_main(mut arguments: impl Iterator<Item = String>) -> Option<std::process::ExitCode> {
    if arguments.next().as_deref() != Some(BROKER_ARGUMENT) {
        return None;
    }
    Some(match system::run(arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::FAILURE,
    })
}

#[cfg(unix)]
mod system {
    //! Sockets go from process to process as ancillary data of a Unix socket (SCM_RIGHTS).

    use super::{Table, connect_any};
    use rustix::net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        recvmsg, sendmsg,
    };
    use std::collections::BTreeMap;
    use std::io::{self, IoSlice, IoSliceMut, Read, Write};
    use std::mem::MaybeUninit;
    use std::net::{SocketAddr, TcpStream};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::sync::Mutex;

    /// Has a received socket closed in programs that this one starts, where the system has a flag
    /// for it.
    #[cfg(target_os = "linux")]
    const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

    /// The locked process's end.
    pub(super) struct Broker {
        table: Table,
        /// One question and its answer at a time.
        socket: Mutex<UnixStream>,
    }

    impl Broker {
        pub(super) fn start(table: Table) -> io::Result<Self> {
            let (own, other) = UnixStream::pair()?;
            let entries = table
                .values()
                .enumerate()
                .flat_map(|(number, addresses)| addresses.iter().map(move |address| format!("{number}={address}")));
            Command::new(std::env::current_exe()?)
                .arg(super::BROKER_ARGUMENT)
                .args(entries)
                .env_clear()
                .stdin(Stdio::from(OwnedFd::from(other)))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // Ctrl-C is for the run, which still needs connections for the calls under way.
                .process_group(0)
                .spawn()?;
            Ok(Self { table, socket: Mutex::new(own) })
        }

        pub(super) fn table(&self) -> &Table {
            &self.table
        }

        pub(super) fn connect(&self, authority: &str) -> io::Result<TcpStream> {
            let not_listed = || {
                let message = format!("{authority} is not among the addresses of the experiment file");
                io::Error::new(io::ErrorKind::PermissionDenied, message)
            };
            let number = self.table.keys().position(|known| known == authority).ok_or_else(not_listed)?;
            let mut socket = self.socket.lock().map_err(|_| io::Error::other("another connection failed"))?;
            socket.write_all(&(number as u16).to_le_bytes())?;
            let (mut code, mut space) = ([0u8; 4], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
            let mut buffer = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut code)];
            let received = recvmsg(socket.as_fd(), &mut parts, &mut buffer, CLOSE_ON_EXEC)?.bytes;
            if received != 4 {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the broker process has ended"));
            }
            let descriptor = buffer.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            match (i32::from_le_bytes(code), descriptor) {
                (0, Some(descriptor)) => {
                    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
                    Ok(TcpStream::from(descriptor))
                }
                (0, None) => Err(io::Error::other("the broker sent no socket")),
                (code, _) => Err(io::Error::from_raw_os_error(code)),
            }
        }
    }

    /// The broker's own loop, on its standard input.
    pub(super) fn run(arguments: impl Iterator<Item = String>) -> io::Result<()> {
        let mut table = BTreeMap::<u16, Vec<SocketAddr>>::new();
        for argument in arguments {
            let (number, address) = argument.split_once('=').ok_or(io::ErrorKind::InvalidInput)?;
            let number = number.parse::<u16>().map_err(|_| io::ErrorKind::InvalidInput)?;
            let address = address.parse::<SocketAddr>().map_err(|_| io::ErrorKind::InvalidInput)?;
            table.entry(number).or_default().push(address);
        }
        let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        confine(table.values().flatten().map(SocketAddr::port));
        let mut number = [0; 2];
        while socket.read_exact(&mut number).is_ok() {
            match connect_any(table.get(&u16::from_le_bytes(number)).map_or(&[][..], Vec::as_slice)) {
                Ok(stream) => send(&socket, 0, Some(&stream))?,
                Err(error) => send(&socket, error.raw_os_error().unwrap_or(timed_out(&error)), None)?,
            }
        }
        Ok(())
    }

    /// Returns the system's number of an error that has none.
    fn timed_out(error: &io::Error) -> i32 {
        let errno = if error.kind() == io::ErrorKind::TimedOut {
            rustix::io::Errno::TIMEDOUT
        } else {
            rustix::io::Errno::INVAL
        };
        errno.raw_os_error()
    }

    fn send(socket: &UnixStream, code: i32, stream: Option<&TcpStream>) -> io::Result<()> {
        let descriptors = stream.map(AsFd::as_fd);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut buffer = SendAncillaryBuffer::new(&mut space);
        let descriptors = descriptors.as_slice();
        if !descriptors.is_empty() {
            assert!(buffer.push(SendAncillaryMessage::ScmRights(descriptors)), "there is room for one");
        }
        sendmsg(socket.as_fd(), &[IoSlice::new(&code.to_le_bytes())], &mut buffer, SendFlags::empty())?;
        Ok(())
    }

    /// Keeps this process to these ports and away from all files, as far as the kernel can.
    #[cfg(target_os = "linux")]
    fn confine(ports: impl Iterator<Item = u16>) {
        use landlock::{ABI, Access, AccessFs, AccessNet, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr};
        let rule = |port| Ok::<_, landlock::RulesetError>(NetPort::new(port, AccessNet::ConnectTcp));
        let confined = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V4))
            .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V4)))
            .and_then(|rules| rules.create())
            .and_then(|rules| rules.add_rules(ports.map(rule)))
            .and_then(|rules| rules.restrict_self());
        // It is the second layer: without it the table is left, which this code alone reads.
        let _ = confined;
    }

    #[cfg(not(target_os = "linux"))]
    fn confine(_: impl Iterator<Item = u16>) {}
}

#[cfg(not(unix))]
mod system {
    //! There is no broker and no lock here, so connections are made directly.

    use super::{Table, connect_any};
    use std::io;
    use std::net::TcpStream;

    pub(super) struct Broker {
        table: Table,
    }

    impl Broker {
        pub(super) fn start(table: Table) -> io::Result<Self> {
            Ok(Self { table })
        }

        pub(super) fn table(&self) -> &Table {
            &self.table
        }

        pub(super) fn connect(&self, authority: &str) -> io::Result<TcpStream> {
            connect_any(self.table.get(authority).map_or(&[][..], Vec::as_slice))
        }
    }

    pub(super) fn run(_: impl Iterator<Item = String>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
