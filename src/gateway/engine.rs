//! Engine.IO over HTTP: handshake, polls, posts and the WebSocket upgrade (engine.io-protocol v4). A request finds or
//! makes its session and hands over; the session's own task does the rest.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Gateway;
use super::connection::Connection;
use super::origin::Decision;
use super::registry::{FromHttp, SESSION_QUEUE, SessionId};
use super::session::{Session, Transport};
use super::websocket::WebSocket;

/// Refusals as the reference server words them (`engine.io/lib/server.ts`): clients log code and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    TransportUnknown,
    SessionUnknown,
    Method,
    BadRequest,
    Forbidden,
    Version,
    NotNow,
}

impl Refusal {
    fn respond(self) -> Response<Body> {
        let (status, code, message) = match self {
            Self::TransportUnknown => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::SessionUnknown => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::Method => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::Forbidden => (StatusCode::FORBIDDEN, 4, "Forbidden"),
            Self::Version => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Self::NotNow => (StatusCode::SERVICE_UNAVAILABLE, 3, "Bad request"),
        };
        let body = format!("{{\"code\":{code},\"message\":\"{message}\"}}");
        respond(status, "application/json", body.into_bytes())
    }

    fn label(self) -> &'static str {
        match self {
            Self::TransportUnknown => "transport",
            Self::SessionUnknown => "session",
            Self::Method => "method",
            Self::BadRequest => "bad_request",
            Self::Forbidden => "origin",
            Self::Version => "version",
            Self::NotNow => "not_now",
        }
    }
}

fn respond(status: StatusCode, content: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn text(body: Vec<u8>) -> Response<Body> {
    respond(StatusCode::OK, "text/plain; charset=UTF-8", body)
}

/// The query's parameters that matter. Tokens belong into `auth`, never into a URL, where every proxy logs them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    version: Option<String>,
    transport: Option<String>,
    sid: Option<String>,
    has_token: bool,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "EIO" => parsed.version = Some(value.into_owned()),
                "transport" => parsed.transport = Some(value.into_owned()),
                "sid" => parsed.sid = Some(value.into_owned()),
                "token" | "access_token" | "auth" | "jwt" | "authorization" => parsed.has_token = true,
                _ => {}
            }
        }
        parsed
    }
}

/// Serves `/socket.io/`.
pub async fn serve(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    match handle(&gateway, request).await {
        Ok(response) => response,
        Err(refusal) => {
            gateway.metrics.refused_request(refusal.label());
            refusal.respond()
        }
    }
}

async fn handle(gateway: &Arc<Gateway>, request: Request) -> Result<Response<Body>, Refusal> {
    let origin = request.headers().get(header::ORIGIN).map(header::HeaderValue::as_bytes);
    if gateway.origins.decide(origin) == Decision::Refused {
        return Err(Refusal::Forbidden);
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if query.version.as_deref() != Some("4") {
        return Err(Refusal::Version);
    }
    if query.has_token {
        return Err(Refusal::BadRequest);
    }
    match (query.transport.as_deref(), query.sid) {
        (Some("polling"), None) | (Some("websocket"), _) if request.method() != Method::GET => Err(Refusal::Method),
        (Some("polling" | "websocket"), None) if !gateway.is_open() => Err(Refusal::NotNow),
        (Some("polling"), None) => open_polling(gateway),
        (Some("polling"), Some(sid)) => {
            let session = gateway.sessions.find(&sid).ok_or(Refusal::SessionUnknown)?;
            match *request.method() {
                Method::GET => poll(session).await,
                Method::POST => post(gateway, session, request).await,
                _ => Err(Refusal::BadRequest),
            }
        }
        (Some("websocket"), None) => upgrade(gateway, request, None),
        (Some("websocket"), Some(sid)) => {
            let session = gateway.sessions.find(&sid).ok_or(Refusal::SessionUnknown)?;
            upgrade(gateway, request, Some(session))
        }
        _ => Err(Refusal::TransportUnknown),
    }
}

fn open_packet(gateway: &Gateway, sid: &SessionId, upgrades: &str) -> String {
    format!(
        "0{{\"sid\":\"{}\",\"upgrades\":[{upgrades}],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
        sid.as_str(),
        gateway.socket.ping_interval.as_millis(),
        gateway.socket.ping_timeout.as_millis(),
        gateway.socket.max_payload,
    )
}

fn open_polling(gateway: &Arc<Gateway>) -> Result<Response<Body>, Refusal> {
    let sid = SessionId::random();
    let (inputs, receiver) = mpsc::channel(SESSION_QUEUE);
    if !gateway.sessions.insert(&sid, inputs) {
        return Err(Refusal::NotNow);
    }
    let open = open_packet(gateway, &sid, "\"websocket\"");
    let session = Session::new(Arc::clone(gateway), sid, Transport::Polling, Some(receiver));
    gateway.tasks.spawn(session.run());
    Ok(text(open.into_bytes()))
}

async fn poll(session: mpsc::Sender<FromHttp>) -> Result<Response<Body>, Refusal> {
    let (sender, receiver) = oneshot::channel();
    session.send(FromHttp::Poll(sender)).await.map_err(|_| Refusal::SessionUnknown)?;
    // The session answers with its ping at the latest, or ends and drops the sender: no time limit of its own.
    receiver.await.map(text).map_err(|_| Refusal::BadRequest)
}

async fn post(gateway: &Gateway, session: mpsc::Sender<FromHttp>, request: Request) -> Result<Response<Body>, Refusal> {
    let body = to_bytes(request.into_body(), gateway.socket.max_payload);
    let body = tokio::time::timeout(gateway.request_timeout, body)
        .await
        .map_err(|_| Refusal::BadRequest)?
        .map_err(|_| Refusal::BadRequest)?;
    let body = String::from_utf8(body.into()).map_err(|_| Refusal::BadRequest)?;
    // The session ends over what is no packet; whoever sent it is told here.
    let malformed = body.split('\x1e').any(|packet| !packet.starts_with(['1', '3', '4']));
    session.send(FromHttp::Post(body)).await.map_err(|_| Refusal::SessionUnknown)?;
    if malformed { Err(Refusal::BadRequest) } else { Ok(text(b"ok".to_vec())) }
}

/// The upgrade follows its own answer at once, or the connection broke.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

fn has(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Answers the upgrade (RFC 6455 §4.2.2) and hands the stream to a new session, or to the polling session it belongs to.
fn upgrade(
    gateway: &Arc<Gateway>,
    mut request: Request,
    session: Option<mpsc::Sender<FromHttp>>,
) -> Result<Response<Body>, Refusal> {
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(Refusal::BadRequest)?;
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(header::HeaderValue::as_bytes);
    if version != Some(b"13")
        || !has(headers, header::UPGRADE, "websocket")
        || !has(headers, header::CONNECTION, "upgrade")
    {
        return Err(Refusal::BadRequest);
    }
    let accept = derive_accept_key(key.as_bytes());
    let accept = header::HeaderValue::try_from(accept).map_err(|_| Refusal::BadRequest)?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Refusal::BadRequest)?;

    let gateway_of_task = Arc::clone(gateway);
    gateway.tasks.spawn(async move {
        let Ok(Ok(upgraded)) = tokio::time::timeout(UPGRADE_TIMEOUT, upgrade).await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Connection>>() else { return };
        let (stream, permit) = parts.io.into_inner().into_parts();
        let max = gateway_of_task.socket.max_payload;
        let socket = WebSocket::new(Arc::new(stream), parts.read_buf.to_vec(), max, permit);
        let socket = Box::new(socket);
        if let Some(session) = session {
            // A session that has ended meanwhile drops the stream with the message.
            drop(session.send(FromHttp::Upgrade(socket)).await);
        } else {
            let sid = SessionId::random();
            let open = open_packet(&gateway_of_task, &sid, "");
            let session = Session::new(gateway_of_task, sid, Transport::WebSocket(socket), None);
            session.open(&open).run().await;
        }
    });

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_query_is_seen_however_it_is_spelled() {
        for query in ["EIO=4&token=x", "EIO=4&access_token=x", "EIO=4&%74oken=x", "auth=x"] {
            assert!(Query::parse(query).has_token, "{query}");
        }
        assert_eq!(
            Query::parse("EIO=4&transport=polling&sid=a%2Db&t=token"),
            Query {
                version: Some("4".into()),
                transport: Some("polling".into()),
                sid: Some("a-b".into()),
                has_token: false
            }
        );
    }
}
