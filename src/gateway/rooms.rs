//! How a socket comes into rooms and out of them. A refusal looks the same whether the order is foreign, unknown or no
//! order at all; an order whose record may still come is awaited beside everything else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::json;
use tokio::time::Instant;

use super::access::{self, Access};
use super::events::{BAD_REQUEST, Connected, Outcome, TOO_MANY_ROOMS, UNAUTHORIZED};
use super::session::Ended;
use super::{Gateway, packet};
use crate::hub::Input;
use crate::route::{Id, Room, RoomKind};

/// What became of a subscription that waited for its order.
#[derive(Debug)]
pub struct OrderAnswer {
    order: Id,
    ack: Option<u64>,
    /// Which wish it answers: one that was withdrawn meanwhile is not granted.
    wish: u64,
    granted: bool,
}

pub(super) type OrderWish = Pin<Box<dyn Future<Output = OrderAnswer> + Send + Sync>>;

impl Connected {
    pub(super) async fn join(&mut self, gateway: &Gateway, ack: Option<u64>, room: Room) -> Result<Outcome, Ended> {
        if self.rooms.contains(&room) {
            self.accept(gateway, ack).await?;
            return Ok(Outcome::Handled);
        }
        match (access::to_room(&self.claims, &room), room.id()) {
            (Access::Denied, _) | (Access::AskOrder, None) => Ok(Outcome::Refused(UNAUTHORIZED)),
            _ if self.rooms.len() + self.wishes.len() >= gateway.limits.rooms_per_socket => {
                Ok(Outcome::Refused(TOO_MANY_ROOMS))
            }
            (Access::Granted, _) => self.admit(gateway, ack, room).await,
            (Access::AskOrder, Some(order)) => {
                if gateway.owners.find(&order).is_some_and(|parties| access::to_order(&self.claims, &parties)) {
                    return self.admit(gateway, ack, room).await;
                }
                if self.wishes.len() >= gateway.limits.pending_subscriptions {
                    return Ok(Outcome::Refused(TOO_MANY_ROOMS));
                }
                self.wish(gateway, ack, order);
                Ok(Outcome::Handled)
            }
        }
    }

    /// Waits for the order's record beside everything else.
    fn wish(&mut self, gateway: &Gateway, ack: Option<u64>, order: Id) {
        let wish = self.next_wish;
        self.next_wish += 1;
        self.wishes.push((order.clone(), wish));
        let owners = Arc::clone(&gateway.owners);
        let claims = self.claims.clone();
        let deadline = Instant::now() + gateway.socket.order_wait;
        self.orders.push(Box::pin(async move {
            let granted = owners.allowed(&order, deadline, |parties| access::to_order(&claims, parties)).await;
            OrderAnswer { order, ack, wish, granted }
        }));
    }

    /// A subscription has waited to its end.
    ///
    /// # Errors
    /// When the node goes down.
    pub async fn order_answered(&mut self, gateway: &Gateway, answer: OrderAnswer) -> Result<(), Ended> {
        let before = self.wishes.len();
        self.wishes.retain(|(_, wish)| *wish != answer.wish);
        let wanted = self.wishes.len() < before;
        // The token may have been exchanged meanwhile: what counts is what it opens now.
        let may = gateway.owners.find(&answer.order).is_some_and(|parties| access::to_order(&self.claims, &parties));
        if wanted && answer.granted && may {
            self.admit(gateway, answer.ack, Room::new(RoomKind::Order, &answer.order)).await?;
        } else {
            self.refuse(gateway, answer.ack, UNAUTHORIZED).await?;
        }
        Ok(())
    }

    async fn admit(&mut self, gateway: &Gateway, ack: Option<u64>, room: Room) -> Result<Outcome, Ended> {
        self.rooms.insert(room.clone());
        let answer = ack.map(|id| packet::ack(id, &json!({ "ok": true })));
        self.tell(gateway, Input::Join { socket: self.id, room, answer }).await?;
        Ok(Outcome::Handled)
    }

    pub(super) async fn leave_room(
        &mut self,
        gateway: &Gateway,
        ack: Option<u64>,
        room: Room,
    ) -> Result<Outcome, Ended> {
        if access::rooms_on_connect(&self.claims).contains(&room) {
            // One is in these as long as one is connected.
            return Ok(Outcome::Refused(BAD_REQUEST));
        }
        if let (RoomKind::Order, Some(order)) = (room.kind(), room.id()) {
            self.wishes.retain(|(wished, _)| *wished != order);
        }
        self.rooms.remove(&room);
        let answer = ack.map(|id| packet::ack(id, &json!({ "ok": true })));
        self.tell(gateway, Input::Leave { socket: self.id, room, answer }).await?;
        Ok(Outcome::Handled)
    }
}
