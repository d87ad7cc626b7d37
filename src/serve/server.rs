//! The server itself: it accepts connections, bounds what is open, and drains when it is told to
//! stop.

use super::fault::Fault;
use super::listener::{Bound, Connection};
use super::metrics::Metrics;
use super::options::HEAD_PATIENCE;
use super::patience::Patient;
use super::{ServeOptions, Team, routes};
use crate::base::{Seed, unix_seconds};
use crate::engine::TextEngine;
use futures::future::{BoxFuture, Either, select};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long the server waits when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all requests share.
pub(super) struct Server {
    pub(super) engine: TextEngine,
    pub(super) options: ServeOptions,
    /// The team that answers in place of the model.
    pub(super) team: Option<Arc<dyn Team>>,
    pub(super) metrics: Metrics,
    /// When the server started, in seconds since 1970.
    pub(super) start: u64,
    /// Free places for connections.
    places: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    requests: AtomicU64,
}

/// The places of a request's completions; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Ticket {
    open: Arc<AtomicUsize>,
    count: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.open.fetch_sub(self.count, Ordering::SeqCst);
    }
}

impl Server {
    pub(super) fn new(engine: TextEngine, options: ServeOptions, team: Option<Arc<dyn Team>>) -> Self {
        let places = Arc::new(Semaphore::new(options.max_connections));
        let (open, requests) = (Arc::default(), AtomicU64::new(0));
        Self { engine, options, team, metrics: Metrics::default(), start: unix_seconds(), places, open, requests }
    }

    /// Gives places to the completions of a request.
    pub(super) fn admit(&self, count: usize) -> Result<Ticket, Fault> {
        let most = self.options.max_requests;
        let enough = |open: usize| open.checked_add(count).filter(|open| *open <= most);
        match self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enough) {
            Ok(_) => Ok(Ticket { open: Arc::clone(&self.open), count }),
            Err(open) => Err(Fault::busy(format!("{open} completions are open, and {most} are the most"))),
        }
    }

    /// Returns the number of open completions.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Returns the number of open connections.
    pub(super) fn connections(&self) -> usize {
        self.options.max_connections - self.places.available_permits()
    }

    /// Returns a new request's number.
    pub(super) fn number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the seed of a request that brings none: another one for every request.
    pub(super) fn seed(&self, number: u64) -> u64 {
        Seed(self.start).derive("request without a seed", &[number]).0
    }

    /// Returns what stands for model and version in answers.
    pub(super) fn fingerprint(&self) -> String {
        format!("maspo-{}", &self.engine.digest().to_string()[..16])
    }
}

/// Answers requests until `stop` is there, then waits for those that are open. With a team, the
/// team answers in place of the model.
///
/// # Errors
/// The runtime or the listener cannot be set up.
pub fn serve(
    bound: Bound,
    engine: TextEngine,
    options: ServeOptions,
    team: Option<Arc<dyn Team>>,
    stop: BoxFuture<'_, ()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Arc::new(Server::new(engine, options, team));
    runtime.block_on(accept(server, bound, stop))?;
    runtime.shutdown_background();
    Ok(())
}

async fn accept(server: Arc<Server>, bound: Bound, mut stop: BoxFuture<'_, ()>) -> io::Result<()> {
    let listener = bound.into_runtime()?;
    let (draining, drains) = watch::channel(false);
    loop {
        let place = Arc::clone(&server.places).acquire_owned();
        let next = pin!(async { (place.await.expect("the places are never closed"), listener.accept().await) });
        match select(next, stop.as_mut()).await {
            Either::Left(((place, Ok(connection)), _)) => {
                let (server, drains) = (Arc::clone(&server), drains.clone());
                match connection {
                    Connection::Tcp(stream) => drop(tokio::spawn(connected(server, stream, place, drains))),
                    #[cfg(unix)]
                    Connection::Unix(stream) => drop(tokio::spawn(connected(server, stream, place, drains))),
                }
            }
            // A client that is gone again, or no file descriptor left: the others go on.
            Either::Left(((_, Err(_)), _)) => tokio::time::sleep(ACCEPT_PAUSE).await,
            Either::Right(((), _)) => break,
        }
    }
    drop(listener);
    let _ = draining.send(true);
    let all = u32::try_from(server.options.max_connections).unwrap_or(u32::MAX);
    // What is still open then is cut.
    let _ = tokio::time::timeout(server.options.drain, server.places.acquire_many(all)).await;
    Ok(())
}

/// Answers the requests of one connection, one after the other.
async fn connected<S: AsyncRead + AsyncWrite + Unpin>(
    server: Arc<Server>,
    stream: S,
    place: OwnedSemaphorePermit,
    mut drains: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(routes::answer(server, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Patient::new(stream)), service));
    let told = pin!(async {
        // The sender outlives all connections but those that are cut.
        let _ = drains.wait_for(|draining| *draining).await;
    });
    if let Either::Right((_, connection)) = select(connection.as_mut(), told).await {
        connection.graceful_shutdown();
    } else {
        // A client that broke off or was too slow is no fault of the server's.
        return;
    }
    let _ = connection.await;
    drop(place);
}
