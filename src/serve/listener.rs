//! Where a server listens: a TCP address or a Unix socket. The listener is bound before the egress
//! lock, which then lets it accept connections and nothing open any.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// Where a server is to listen. Names are not resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("`unix:` names no path".to_string()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| format!("{text:?} is neither ADDRESS:PORT (such as 127.0.0.1:8080) nor unix:PATH")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound listener that no runtime knows yet.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens, with the port that the system chose where 0 was asked for.
    pub at: Listen,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

impl Bound {
    /// Binds a listener. A Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// The system's error.
    pub fn new(listen: Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let socket = std::net::TcpListener::bind(address)?;
                socket.set_nonblocking(true)?;
                Ok(Self { at: Listen::Tcp(socket.local_addr()?), socket: Socket::Tcp(socket) })
            }
            #[cfg(unix)]
            Listen::Unix(path) => {
                use std::os::unix::fs::{FileTypeExt, PermissionsExt};
                let is_socket = std::fs::symlink_metadata(&path).is_ok_and(|facts| facts.file_type().is_socket());
                if is_socket && std::os::unix::net::UnixStream::connect(&path).is_err() {
                    std::fs::remove_file(&path)?;
                }
                let socket = std::os::unix::net::UnixListener::bind(&path)?;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
                socket.set_nonblocking(true)?;
                Ok(Self { at: Listen::Unix(path), socket: Socket::Unix(socket) })
            }
            #[cfg(not(unix))]
            Listen::Unix(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets here")),
        }
    }

    /// Gives the listener to the runtime that this is called in.
    pub(super) fn into_runtime(self) -> io::Result<Listener> {
        Ok(match self.socket {
            Socket::Tcp(socket) => Listener::Tcp(TcpListener::from_std(socket)?),
            #[cfg(unix)]
            Socket::Unix(socket) => Listener::Unix(UnixListener::from_std(socket)?),
        })
    }
}

/// A listener of the runtime.
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// A connection of either kind.
pub(super) enum Connection {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Events of a stream are small and must not wait for each other.
                stream.set_nodelay(true)?;
                Ok(Connection::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener) => Ok(Connection::Unix(listener.accept().await?.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_names_are_not() {
        let read = |text: &str| text.parse::<Listen>().map(|listen| listen.to_string());
        assert_eq!(read("127.0.0.1:8080").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(read("[::1]:80").unwrap(), "http://[::1]:80");
        assert_eq!(read("unix:/tmp/a b").unwrap(), "unix:/tmp/a b");
        for wrong in ["localhost:80", "127.0.0.1", "unix:", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
