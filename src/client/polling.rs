//! The long-polling transport: one request open for what comes, another for what goes, and the way a stock client
//! moves from here to a WebSocket: probe, let the open poll return, `5`.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::packet::SEPARATOR;
use super::session::{CloseReason, Command, Next, Session};
use super::websocket::{self, Ws};
use super::{ConnectError, Target};

/// The most that is read of one answer.
const MAX_ANSWER: usize = 16 << 20;
/// Packets that may wait for the next POST.
const MAX_WAITING: usize = 64;
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// One keep-alive HTTP connection.
pub(super) struct Http {
    target: Target,
    path: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Http {
    pub(super) fn new(target: &Target, sid: Option<&str>) -> Self {
        Self { target: target.clone(), path: target.query("polling", sid), sender: None }
    }

    /// One request; any status but 200 is an error that carries the answer's text.
    pub(super) async fn send(&mut self, method: Method, body: String) -> Result<String, ConnectError> {
        let broken = |e: &dyn std::fmt::Display| ConnectError::Transport(e.to_string());
        // The server may have closed the idle connection meanwhile: then a new one, never the same request twice.
        let idle = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = if let Some(sender) = idle {
            sender
        } else {
            let (sender, connection) =
                handshake(TokioIo::new(self.target.tcp().await?)).await.map_err(|e| broken(&e))?;
            // Ends with the connection; its error shows at the sender.
            tokio::spawn(async move { drop(connection.await) });
            sender
        };
        let mut request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header(header::HOST, &self.target.authority)
            .header(header::CONTENT_TYPE, "text/plain;charset=UTF-8");
        if let Some(origin) = &self.target.origin {
            request = request.header(header::ORIGIN, origin);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| broken(&e))?;
        let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| broken(&e))?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        self.sender = Some(sender);
        if status == StatusCode::OK { Ok(body) } else { Err(ConnectError::Http { status: status.as_u16(), body }) }
    }
}

type Exchange = Pin<Box<dyn Future<Output = (Http, Result<String, CloseReason>)> + Send>>;
type Probe = Pin<Box<dyn Future<Output = Result<Ws, CloseReason>> + Send>>;

fn exchange(mut http: Http, method: Method, body: String, limit: Duration, late: CloseReason) -> Exchange {
    Box::pin(async move {
        let result = match timeout(limit, http.send(method, body)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => Err(CloseReason::TransportError(error.to_string())),
            Err(_) => Err(late),
        };
        (http, result)
    })
}

async fn or_never<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// Runs a session that began with polling until it ends, on whichever transport.
pub(super) async fn run(
    polling: Polling,
    mut session: Session,
    mut commands: mpsc::Receiver<Command>,
    upgraded: impl FnOnce() + Send,
) {
    match polling.serve(&mut session, &mut commands).await {
        Ok(ws) => {
            upgraded();
            websocket::run(ws, session, commands).await;
        }
        Err(reason) => session.close(reason).await,
    }
}

/// A polling session after its handshake.
pub(super) struct Polling {
    /// Packets that came with the handshake.
    pub(super) first: String,
    /// Packets to be sent first.
    pub(super) waiting: Vec<String>,
    pub(super) target: Target,
    pub(super) sid: String,
    /// Whether to move to a WebSocket.
    pub(super) upgrade: bool,
}

impl Polling {
    /// Serves until the upgrade is done, or until the end.
    async fn serve(self, session: &mut Session, commands: &mut mpsc::Receiver<Command>) -> Result<Ws, CloseReason> {
        let Self { first, mut waiting, target, sid, upgrade } = self;
        deliver(&first, session, &mut waiting).await?;
        let liveness = session.liveness;
        let poll_again = |http| exchange(http, Method::GET, String::new(), liveness, CloseReason::PingTimeout);
        let mut poll = Some(poll_again(Http::new(&target, Some(&sid))));
        let mut post: Option<Exchange> = None;
        let mut poster = Some(Http::new(&target, Some(&sid)));
        let mut probe: Option<Probe> = upgrade.then(|| Box::pin(websocket::probe(target, sid)) as Probe);
        let mut probed: Option<Ws> = None;
        loop {
            if !waiting.is_empty()
                && let Some(http) = poster.take()
            {
                let late = CloseReason::TransportError("a POST was not answered".into());
                post = Some(exchange(http, Method::POST, join(&mut waiting), POST_TIMEOUT, late));
            }
            if poll.is_none()
                && post.is_none()
                && let Some(mut ws) = probed.take()
            {
                websocket::write(&mut ws, "5".into()).await?;
                return Ok(ws);
            }
            tokio::select! {
                (http, answer) = or_never(&mut poll) => {
                    poll = None;
                    deliver(&answer?, session, &mut waiting).await?;
                    if probed.is_none() {
                        poll = Some(poll_again(http));
                    }
                }
                (http, answer) = or_never(&mut post) => {
                    post = None;
                    answer?;
                    poster = Some(http);
                }
                outcome = or_never(&mut probe) => {
                    probe = None;
                    // A failed probe leaves the session on polling, as a stock client does.
                    probed = outcome.ok();
                }
                // While the transport changes hands nothing new is begun, as in a stock client.
                command = commands.recv(), if waiting.len() < MAX_WAITING && probed.is_none() => {
                    let goodbye = matches!(command, None | Some(Command::Disconnect));
                    match session.encode(command.unwrap_or(Command::Disconnect)) {
                        Ok(text) => waiting.push(text),
                        Err(reason) => {
                            if goodbye {
                                say_goodbye(poster, post, waiting).await;
                            }
                            return Err(reason);
                        }
                    }
                }
            }
        }
    }
}

/// Sends what waits and the goodbye; a peer that takes neither changes nothing.
async fn say_goodbye(mut poster: Option<Http>, post: Option<Exchange>, mut waiting: Vec<String>) {
    if let Some(post) = post {
        poster = Some(post.await.0);
    }
    if let Some(http) = poster {
        waiting.extend(["41".into(), "1".into()]);
        let late = CloseReason::ClientDisconnect;
        drop(exchange(http, Method::POST, join(&mut waiting), POST_TIMEOUT, late).await);
    }
}

async fn deliver(payload: &str, session: &mut Session, waiting: &mut Vec<String>) -> Result<(), CloseReason> {
    for packet in payload.split(SEPARATOR).filter(|packet| !packet.is_empty()) {
        if let Next::Write(reply) = session.take(packet).await? {
            waiting.push(reply);
        }
    }
    Ok(())
}

fn join(packets: &mut Vec<String>) -> String {
    let payload = packets.join(SEPARATOR.encode_utf8(&mut [0; 4]));
    packets.clear();
    payload
}

/// Begins a session: the open packet, and the packets that came with it.
pub(super) async fn open(target: &Target) -> Result<(String, String), ConnectError> {
    let payload = Http::new(target, None).send(Method::GET, String::new()).await?;
    let (open, rest) = payload.split_once(SEPARATOR).unwrap_or((&payload, ""));
    Ok((open.to_owned(), rest.to_owned()))
}
