//! The HTTP client's sockets: they come from [`connect`], never from a proxy or from a name that is
//! resolved again.

use super::broker::connect;
use super::options::EndpointOptions;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

/// The largest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Returns a client for a server. It follows no redirects and reads no variable of the environment.
pub(super) fn agent(options: &EndpointOptions) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(options.timeout_s as u64)))
        .max_response_header_size(MAX_HEAD_BYTES)
        .max_idle_connections(options.max_in_flight)
        .max_idle_connections_per_host(options.max_in_flight)
        .user_agent(concat!("maspo/", env!("CARGO_PKG_VERSION")))
        .build();
    #[cfg(feature = "tls")]
    let connector = Brokered.chain(ureq::unversioned::transport::RustlsConnector::default());
    #[cfg(not(feature = "tls"))]
    let connector = Brokered;
    Agent::with_parts(config, connector, Unresolved)
}

/// Opens connections by host and port.
#[derive(Debug)]
struct Brokered;

impl<In: Transport> Connector<In> for Brokered {
    type Out = Socket;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<In>) -> Result<Option<Socket>, ureq::Error> {
        let host = details.uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = details.uri.port_u16().unwrap_or(if details.needs_tls() { 443 } else { 80 });
        let stream = connect(&format!("{host}:{port}"))?;
        stream.set_nodelay(true)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Socket { stream, buffers }))
    }
}

/// Resolves nothing: whoever connects has the addresses.
#[derive(Debug)]
struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(addresses)
    }
}

/// A connection. A read or a write that takes longer than the request may is an error.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
}

/// Returns the error of a read or a write.
fn failed(error: std::io::Error, timeout: &NextTimeout) -> ureq::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.set_write_timeout(timeout.not_zero().map(|left| *left))?;
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output).map_err(|error| failed(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|left| *left))?;
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input).map_err(|error| failed(error, &timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// An idle connection is open as long as there is nothing to read, not even its end.
    fn is_open(&mut self) -> bool {
        let idle = |stream: &mut TcpStream| -> std::io::Result<bool> {
            stream.set_nonblocking(true)?;
            let read = stream.read(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok(read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock))
        };
        idle(&mut self.stream).unwrap_or(false)
    }
}
