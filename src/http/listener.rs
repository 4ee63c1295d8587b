//! Accepts connections and speaks HTTP/1 over them. Counts them, times out slow requests, backs off when file
//! descriptors run out, and stops when the node goes down.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::gateway::connection::Connection;

/// A pause after an accept that failed: the reason (no descriptors left, mostly) does not go away by asking again.
const BACKOFF: Duration = Duration::from_millis(100);

/// How connections are treated.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Most connections at once.
    pub max_connections: usize,
    /// A request's head must be there within this time; an idle kept-alive connection is closed after it.
    pub request_timeout: Duration,
    /// `SO_SNDBUF`.
    pub send_buffer: usize,
    /// `TCP_USER_TIMEOUT`.
    pub user_timeout: Duration,
}

/// Accepts until `stop`; each connection is a task of `tasks`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &places, settings) => accepted,
        };
        match accepted {
            Ok(connection) => {
                tasks.spawn(converse(connection, router.clone(), settings, stop.clone()));
            }
            Err(error) => {
                // A peer that is gone before it was accepted is no reason to pause.
                if !matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::InvalidInput
                ) {
                    warn!(event = "accept.failed", %error, "cannot accept connections; raise the file-descriptor limit if it is exhausted");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(BACKOFF) => {}
                    }
                }
            }
        }
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>, settings: Settings) -> io::Result<Connection> {
    // A place first: who finds none waits in the kernel's backlog.
    let place = Arc::clone(places).acquire_owned().await.map_err(|_| io::ErrorKind::BrokenPipe)?;
    let (stream, _) = listener.accept().await?;
    Connection::new(stream, place, settings.send_buffer, settings.user_timeout)
}

async fn converse(connection: Connection, router: Router, settings: Settings, stop: CancellationToken) {
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.request_timeout)
        .max_headers(64)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(conversation);
    let ended = tokio::select! {
        ended = &mut conversation => ended,
        () = stop.cancelled() => {
            // The request in hand is finished, then the connection closes; the shutdown deadline bounds it.
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        debug!(event = "http.ended", %error, "connection ended in the middle of a request");
    }
}
