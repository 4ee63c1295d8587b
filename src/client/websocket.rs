//! The WebSocket transport: from the start, or taken over from polling by an upgrade.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::session::{CloseReason, Command, Next, Session};
use super::{ConnectError, Target};

pub(super) type Ws = WebSocketStream<TcpStream>;

/// A peer that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the WebSocket; with `sid` it is the second transport of a polling session.
pub(super) async fn dial(target: &Target, sid: Option<&str>) -> Result<Ws, ConnectError> {
    let stream = target.tcp().await?;
    let url = format!("ws://{}{}", target.authority, target.query("websocket", sid));
    let mut request = url.into_client_request().map_err(|e| ConnectError::Transport(e.to_string()))?;
    if let Some(origin) = &target.origin {
        request.headers_mut().insert(http::header::ORIGIN, origin.clone());
    }
    match client_async(request, stream).await {
        Ok((ws, _)) => Ok(ws),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
            let body = answer.body().as_deref().map(|b| String::from_utf8_lossy(b).into_owned());
            Err(ConnectError::Http { status: answer.status().as_u16(), body: body.unwrap_or_default() })
        }
        Err(error) => Err(ConnectError::Transport(error.to_string())),
    }
}

/// Reads the next text packet; `None` at the end of the stream.
pub(super) async fn read(ws: &mut Ws) -> Option<Result<String, CloseReason>> {
    loop {
        match ws.next().await? {
            Ok(Message::Text(text)) => return Some(Ok(text.as_str().to_owned())),
            Ok(Message::Close(_)) => return None,
            // WebSocket pings are answered below us; binary attachments are not ours.
            Ok(_) => {}
            Err(error) => return Some(Err(CloseReason::TransportError(error.to_string()))),
        }
    }
}

/// Writes one packet, within the time limit.
pub(super) async fn write(ws: &mut Ws, text: String) -> Result<(), CloseReason> {
    match timeout(WRITE_TIMEOUT, ws.send(Message::text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(CloseReason::TransportError(error.to_string())),
        Err(_) => Err(CloseReason::TransportError("the server reads nothing".into())),
    }
}

/// Upgrades a polling session: the probe on a second transport, answered by the server.
pub(super) async fn probe(target: Target, sid: String) -> Result<Ws, CloseReason> {
    let mut ws = dial(&target, Some(&sid)).await.map_err(|e| CloseReason::TransportError(e.to_string()))?;
    write(&mut ws, "2probe".into()).await?;
    match timeout(WRITE_TIMEOUT, read(&mut ws)).await {
        Ok(Some(Ok(text))) if text == "3probe" => Ok(ws),
        _ => Err(CloseReason::TransportError("the probe was not answered".into())),
    }
}

/// Runs a connected session until it ends.
pub(super) async fn run(mut ws: Ws, mut session: Session, mut commands: mpsc::Receiver<Command>) {
    let reason = match serve(&mut ws, &mut session, &mut commands).await {
        Ok(never) => match never {},
        Err(reason) => reason,
    };
    session.close(reason).await;
}

async fn serve(
    ws: &mut Ws,
    session: &mut Session,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<std::convert::Infallible, CloseReason> {
    let mut deadline = Instant::now() + session.liveness;
    loop {
        tokio::select! {
            read = timeout_at(deadline, read(ws)) => {
                let text = read.map_err(|_| CloseReason::PingTimeout)?.ok_or(CloseReason::TransportClose)??;
                deadline = Instant::now() + session.liveness;
                if let Next::Write(reply) = session.take(&text).await? {
                    write(ws, reply).await?;
                }
            }
            command = commands.recv() => {
                let goodbye = matches!(command, None | Some(Command::Disconnect));
                match session.encode(command.unwrap_or(Command::Disconnect)) {
                    Ok(text) => write(ws, text).await?,
                    Err(reason) => {
                        if goodbye {
                            // The session ends either way; a peer that takes no goodbye changes nothing.
                            drop(write(ws, "41".into()).await);
                            drop(timeout(WRITE_TIMEOUT, ws.close(None)).await);
                        }
                        return Err(reason);
                    }
                }
            }
        }
    }
}
