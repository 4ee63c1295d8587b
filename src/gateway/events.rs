//! What an authenticated client may ask, and what it is answered. Every refusal of a room looks the same, whether the
//! order is foreign, unknown or no order at all; an ack is always answered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::info;

use super::access::{self, Access};
use super::auth::Claims;
use super::limits::TokenBucket;
use super::packet::{self, ConnectAuth};
use super::rooms::OrderWish;
use super::session::Ended;
use super::{Gateway, registry::SessionId};
use crate::hub::{CloseReason, Frame, Input, Outbox, SocketId};
use crate::route::{Id, Room, RoomKind};

/// An authenticated socket.
pub struct Connected {
    /// Its number in the hub.
    pub id: SocketId,
    /// Subscriptions that wait for their order.
    pub orders: FuturesUnordered<OrderWish>,
    pub(super) claims: Claims,
    websocket: bool,
    /// Rooms that it joined or is in by its token. The shard has the same ones; these are for the limit and for acks.
    pub(super) rooms: HashSet<Room>,
    pub(super) wishes: Vec<(Id, u64)>,
    pub(super) next_wish: u64,
    bucket: TokenBucket,
    /// Events over the rate that were refused since it was last within it.
    refused: u32,
    since: Instant,
    release_at: Option<Instant>,
    notice_at: Option<Instant>,
    expire_at: Option<Instant>,
}

/// An error code and a message for people.
pub(super) type Refusal = (&'static str, &'static str);

pub(super) const UNAUTHORIZED: Refusal = ("unauthorized", "Unauthorized room access");
pub(super) const BAD_REQUEST: Refusal = ("bad_request", "Bad request");
pub(super) const TOO_MANY_ROOMS: Refusal = ("limit", "Too many rooms");
const RATE: Refusal = ("rate_limited", "Too many events");
const UNKNOWN: Refusal = ("unknown_event", "Unknown event");
const BAD_TOKEN: Refusal = ("invalid_token", "Invalid token");

pub(super) enum Outcome {
    /// Answered already, or later.
    Handled,
    Refused(Refusal),
}

impl Connected {
    /// Checks the handshake's token. The inner error is the message for the client.
    ///
    /// # Errors
    /// When the connection is to be closed without a word: the user has too many.
    pub async fn authenticate(
        gateway: &Gateway,
        outbox: &Arc<Outbox>,
        auth: Option<&RawValue>,
        websocket: bool,
    ) -> Result<Result<Self, &'static str>, Ended> {
        let auth: ConnectAuth = auth.and_then(|auth| serde_json::from_str(auth.get()).ok()).unwrap_or_default();
        let Some(token) = auth.token.filter(|token| !token.is_empty()) else {
            gateway.metrics.refused_connect("no_token");
            return Ok(Err("Authentication token required"));
        };
        let claims = match gateway.verifier.verify(&token, unix_seconds()) {
            Ok(claims) => claims,
            Err(refusal) => {
                gateway.metrics.refused_connect(refusal.as_str());
                info!(event = "connect.refused", reason = refusal.as_str(), "token refused");
                return Ok(Err("Invalid token"));
            }
        };
        let merchants = access::merchants(&claims);
        let limits = &gateway.limits;
        if gateway
            .presence
            .enter(&claims.subject, merchants, claims.role.as_str(), limits.connections_per_user)
            .is_err()
        {
            gateway.metrics.refused_connect("connections_per_user");
            info!(event = "connect.refused", user = %claims.subject, reason = "connections_per_user", "too many connections");
            return Err(CloseReason::Limit);
        }
        let now = Instant::now();
        let settle = if auth.hold { gateway.socket.hold_max } else { gateway.socket.settle };
        let rooms = access::rooms_on_connect(&claims);
        let mut socket = Self {
            id: gateway.hub.new_socket(),
            orders: FuturesUnordered::new(),
            websocket,
            rooms: rooms.iter().cloned().collect(),
            wishes: Vec::new(),
            next_wish: 0,
            bucket: TokenBucket::new(limits.events_per_second, limits.events_burst, now.into_std()),
            refused: 0,
            since: now,
            release_at: Some(now + settle),
            notice_at: None,
            expire_at: None,
            claims,
        };
        socket.schedule_expiry(gateway, now);
        // A public name for the connection: not the transport's id, which opens it.
        let hello = packet::connected(SessionId::random().as_str());
        let connect = Input::Connect { socket: socket.id, outbox: Arc::clone(outbox), rooms, hello };
        gateway.metrics.connected(socket.claims.role.as_str(), socket.transport());
        info!(
            event = "socket.connected",
            user = %socket.claims.subject,
            role = socket.claims.role.as_str(),
            transport = socket.transport(),
            "connected"
        );
        if let Err(ended) = socket.tell(gateway, connect).await {
            socket.leave(gateway, outbox, ended).await;
            return Err(ended);
        }
        Ok(Ok(socket))
    }

    /// Tells the socket's shard.
    ///
    /// # Errors
    /// When the hub has stopped: the node goes down.
    pub async fn tell(&self, gateway: &Gateway, input: Input) -> Result<(), Ended> {
        gateway.hub.tell(self.id, input).await.map_err(|_| CloseReason::Draining)
    }

    fn transport(&self) -> &'static str {
        if self.websocket { "websocket" } else { "polling" }
    }

    /// The session has moved from polling to WebSocket.
    pub fn upgraded(&mut self, gateway: &Gateway) {
        gateway.metrics.disconnected(self.claims.role.as_str(), self.transport());
        self.websocket = true;
        gateway.metrics.connected(self.claims.role.as_str(), self.transport());
    }

    /// Takes everything back that the connection had. The one log line of its end.
    pub async fn leave(self, gateway: &Gateway, outbox: &Outbox, reason: CloseReason) {
        // Without a hub there is nothing to leave.
        let _ = gateway.hub.tell(self.id, Input::Disconnect(self.id)).await;
        gateway.presence.leave(&self.claims.subject, access::merchants(&self.claims), self.claims.role.as_str());
        gateway.metrics.disconnected(self.claims.role.as_str(), self.transport());
        let sent = outbox.sent();
        info!(
            event = "socket.disconnected",
            user = %self.claims.subject,
            role = self.claims.role.as_str(),
            transport = self.transport(),
            reason = reason.as_str(),
            duration_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            frames = sent.frames,
            bytes = sent.bytes,
            "disconnected"
        );
    }

    /// When something is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.release_at, self.notice_at, self.expire_at].into_iter().flatten().min()
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When the token has run out.
    pub async fn timer(&mut self, gateway: &Gateway, now: Instant) -> Result<(), Ended> {
        if self.release_at.is_some_and(|at| now >= at) {
            self.release(gateway).await?;
        }
        if self.notice_at.is_some_and(|at| now >= at) {
            self.notice_at = None;
            let expires_at = self.claims.expires_at;
            let notice = packet::event("auth:expiring", &json!({ "expiresAt": expires_at }));
            self.say(gateway, notice).await?;
        }
        if self.expire_at.is_some_and(|at| now >= at) {
            return Err(CloseReason::Expired);
        }
        Ok(())
    }

    async fn release(&mut self, gateway: &Gateway) -> Result<(), Ended> {
        self.release_at = None;
        self.tell(gateway, Input::Release(self.id)).await
    }

    /// In order with what the shard sends.
    async fn say(&self, gateway: &Gateway, frame: Frame) -> Result<(), Ended> {
        self.tell(gateway, Input::Say { socket: self.id, frame }).await
    }

    fn schedule_expiry(&mut self, gateway: &Gateway, now: Instant) {
        let left = self
            .claims
            .expires_at
            .map(|at| Duration::from_secs(u64::try_from(at.saturating_sub(unix_seconds())).unwrap_or(0)).min(FAR));
        self.expire_at = left.map(|left| now + left + gateway.auth.grace);
        // Not before the app can have attached its listeners.
        let earliest = self.release_at.unwrap_or(now);
        self.notice_at = left.map(|left| (now + left.saturating_sub(gateway.auth.expiring_notice)).max(earliest));
    }

    /// Counts an event against the rate.
    ///
    /// # Errors
    /// When the client goes on although it was refused.
    pub fn charge(&mut self) -> Result<(), Ended> {
        if self.bucket.take(std::time::Instant::now()) { Ok(()) } else { Err(CloseReason::Limit) }
    }

    /// Handles one event of the client.
    ///
    /// # Errors
    /// When the connection is to be closed.
    pub async fn event(
        &mut self,
        gateway: &Gateway,
        ack: Option<u64>,
        name: &str,
        args: &[&RawValue],
    ) -> Result<(), Ended> {
        let outcome = if self.bucket.take(std::time::Instant::now()) {
            self.refused = 0;
            self.dispatch(gateway, ack, name, args).await?
        } else {
            self.refused += 1;
            if self.refused > gateway.limits.events_burst {
                return Err(CloseReason::Limit);
            }
            Outcome::Refused(RATE)
        };
        // Names are the client's to choose: only the known ones become labels.
        let label = if EVENTS.contains(&name) { name } else { "other" };
        match outcome {
            Outcome::Handled => gateway.metrics.client_event(label, "ok"),
            Outcome::Refused(refusal) => {
                gateway.metrics.client_event(label, refusal.0);
                self.refuse(gateway, ack, refusal).await?;
            }
        }
        Ok(())
    }

    async fn dispatch(
        &mut self,
        gateway: &Gateway,
        ack: Option<u64>,
        name: &str,
        args: &[&RawValue],
    ) -> Result<Outcome, Ended> {
        match name {
            "order:subscribe" => match argument(args, "orderId").and_then(|id| Id::parse(&id).ok()) {
                Some(id) => self.join(gateway, ack, Room::new(RoomKind::Order, &id)).await,
                None => Ok(Outcome::Refused(UNAUTHORIZED)),
            },
            "order:unsubscribe" => match argument(args, "orderId").and_then(|id| Id::parse(&id).ok()) {
                Some(id) => self.leave_room(gateway, ack, Room::new(RoomKind::Order, &id)).await,
                None => Ok(Outcome::Refused(UNAUTHORIZED)),
            },
            "join" => match argument(args, "room").and_then(|room| Room::parse(&room).ok()) {
                Some(room) => self.join(gateway, ack, room).await,
                None => Ok(Outcome::Refused(UNAUTHORIZED)),
            },
            "leave" => match argument(args, "room").and_then(|room| Room::parse(&room).ok()) {
                Some(room) => self.leave_room(gateway, ack, room).await,
                None => Ok(Outcome::Refused(UNAUTHORIZED)),
            },
            "auth:refresh" => self.refresh(gateway, ack, args).await,
            "sync:start" => {
                if self.release_at.is_some() {
                    self.release(gateway).await?;
                }
                self.accept(gateway, ack).await?;
                Ok(Outcome::Handled)
            }
            _ => Ok(Outcome::Refused(UNKNOWN)),
        }
    }

    /// Exchanges the token: same subject, and every room is checked again.
    async fn refresh(&mut self, gateway: &Gateway, ack: Option<u64>, args: &[&RawValue]) -> Result<Outcome, Ended> {
        let Some(token) = argument(args, "token") else { return Ok(Outcome::Refused(BAD_REQUEST)) };
        let claims = match gateway.verifier.verify(&token, unix_seconds()) {
            Ok(claims) if claims.subject == self.claims.subject => claims,
            _ => return Ok(Outcome::Refused(BAD_TOKEN)),
        };
        gateway.presence.leave(&self.claims.subject, access::merchants(&self.claims), self.claims.role.as_str());
        gateway.metrics.disconnected(self.claims.role.as_str(), self.transport());
        let (subject, merchants, role) = (&claims.subject, access::merchants(&claims), claims.role.as_str());
        // It has its place among the user's connections already.
        let _ = gateway.presence.enter(subject, merchants, role, usize::MAX);
        gateway.metrics.connected(role, self.transport());
        self.claims = claims;
        let allowed = |room: &Room| match access::to_room(&self.claims, room) {
            _ if room.kind() == RoomKind::Everyone => true,
            Access::Granted => true,
            Access::Denied => false,
            Access::AskOrder => room
                .id()
                .and_then(|order| gateway.owners.find(&order))
                .is_some_and(|parties| access::to_order(&self.claims, &parties)),
        };
        let lost: Vec<Room> = self.rooms.iter().filter(|room| !allowed(room)).cloned().collect();
        for room in lost {
            self.rooms.remove(&room);
            self.tell(gateway, Input::Leave { socket: self.id, room, answer: None }).await?;
        }
        for room in access::rooms_on_connect(&self.claims) {
            if self.rooms.insert(room.clone()) {
                self.tell(gateway, Input::Join { socket: self.id, room, answer: None }).await?;
            }
        }
        self.schedule_expiry(gateway, Instant::now());
        self.accept(gateway, ack).await?;
        Ok(Outcome::Handled)
    }

    pub(super) async fn accept(&self, gateway: &Gateway, ack: Option<u64>) -> Result<(), Ended> {
        match ack {
            Some(id) => self.say(gateway, packet::ack(id, &json!({ "ok": true }))).await,
            None => Ok(()),
        }
    }

    pub(super) async fn refuse(
        &self,
        gateway: &Gateway,
        ack: Option<u64>,
        (code, message): Refusal,
    ) -> Result<(), Ended> {
        let frame = match ack {
            Some(id) => packet::ack(id, &json!({ "ok": false, "error": { "code": code, "message": message } })),
            None => packet::event("error", &json!({ "message": message })),
        };
        self.say(gateway, frame).await
    }
}

/// A token that is valid for longer is as good as one without end.
const FAR: Duration = Duration::from_hours(365 * 24);

const EVENTS: [&str; 6] = ["order:subscribe", "order:unsubscribe", "join", "leave", "auth:refresh", "sync:start"];

/// The first argument: a string, or an object that has it under this name.
fn argument(args: &[&RawValue], name: &str) -> Option<String> {
    let raw = args.first()?.get();
    if raw.starts_with('"') {
        return serde_json::from_str(raw).ok();
    }
    let object: std::collections::HashMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    serde_json::from_str(object.get(name)?.get()).ok()
}

fn unix_seconds() -> i64 {
    crate::hub::now_ms() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arg(json: &str, name: &str) -> Option<String> {
        let raw: Box<RawValue> = RawValue::from_string(json.to_owned()).unwrap();
        argument(&[&raw], name)
    }

    #[test]
    fn an_argument_is_a_string_or_a_member() {
        assert_eq!(arg("\"o1\"", "orderId").as_deref(), Some("o1"));
        assert_eq!(arg("{\"orderId\":\"o1\",\"x\":1}", "orderId").as_deref(), Some("o1"));
        for wrong in ["1", "null", "[\"o1\"]", "{\"orderId\":1}", "{}", "true"] {
            assert_eq!(arg(wrong, "orderId"), None, "{wrong}");
        }
        assert_eq!(argument(&[], "orderId"), None);
    }
}
