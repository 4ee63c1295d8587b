//! Who may be in which room: pure rules over the token's claims and what the log says of an order.

use super::auth::{Claims, Role};
use crate::history::owners::Parties;
use crate::route::{Id, Room, RoomKind};

/// Whether the role sees what staff sees.
#[must_use]
pub fn is_staff(role: Role) -> bool {
    matches!(role, Role::Operator | Role::Admin | Role::SuperAdmin)
}

fn works_for_merchants(role: Role) -> bool {
    matches!(role, Role::MerchantOwner | Role::MerchantStaff)
}

/// The merchants whose rooms these claims open: none unless the role works for merchants.
#[must_use]
pub fn merchants(claims: &Claims) -> &[Id] {
    if works_for_merchants(claims.role) { &claims.merchants } else { &[] }
}

/// The rooms that a socket is in from CONNECT on.
#[must_use]
pub fn rooms_on_connect(claims: &Claims) -> Vec<Room> {
    let mut rooms = vec![Room::everyone(), Room::new(RoomKind::User, &claims.subject)];
    rooms.extend(merchants(claims).iter().map(|merchant| Room::new(RoomKind::Merchant, merchant)));
    if is_staff(claims.role) {
        rooms.extend(Room::parse("admin:dashboard"));
    }
    rooms
}

/// Whether a room may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// No, and nothing that the log may say changes it.
    Denied,
    /// It depends on who has to do with the order.
    AskOrder,
}

/// The rule for a room by the claims alone.
#[must_use]
pub fn to_room(claims: &Claims, room: &Room) -> Access {
    let granted = match room.kind() {
        RoomKind::User => room.id().as_ref() == Some(&claims.subject),
        RoomKind::Merchant => room.id().is_some_and(|id| merchants(claims).contains(&id)),
        RoomKind::FlashSale => true,
        RoomKind::Admin => is_staff(claims.role),
        RoomKind::Order if is_staff(claims.role) => true,
        RoomKind::Order => return Access::AskOrder,
        RoomKind::Everyone => false,
    };
    if granted { Access::Granted } else { Access::Denied }
}

/// The rule for an order whose parties are known.
#[must_use]
pub fn to_order(claims: &Claims, parties: &Parties) -> bool {
    is_staff(claims.role)
        || parties.customer.as_ref() == Some(&claims.subject)
        || parties.merchant.as_ref().is_some_and(|merchant| merchants(claims).contains(merchant))
        || (claims.role == Role::DeliveryPartner && parties.partner.as_ref() == Some(&claims.subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::parse(text).unwrap()
    }

    fn claims(subject: &str, role: Role, merchants: &[&str]) -> Claims {
        Claims {
            subject: id(subject),
            role,
            merchants: merchants.iter().map(|m| id(m)).collect(),
            expires_at: None,
            token_id: None,
            issued_at: None,
        }
    }

    fn access(claims: &Claims, room: &str) -> Access {
        to_room(claims, &Room::parse(room).unwrap())
    }

    #[test]
    fn ones_own_rooms_are_open_and_others_closed() {
        let customer = claims("u1", Role::Customer, &["m1"]);
        assert_eq!(access(&customer, "user:u1"), Access::Granted);
        assert_eq!(access(&customer, "user:u2"), Access::Denied);
        // Merchant ids in a customer's token open nothing: the role decides.
        assert_eq!(access(&customer, "merchant:m1"), Access::Denied);
        assert_eq!(access(&customer, "admin:dashboard"), Access::Denied);
        assert_eq!(access(&customer, "flash_sale:9"), Access::Granted);
        assert_eq!(access(&customer, "everyone"), Access::Denied);
        let owner = claims("u2", Role::MerchantOwner, &["m1"]);
        assert_eq!(access(&owner, "merchant:m1"), Access::Granted);
        assert_eq!(access(&owner, "merchant:m2"), Access::Denied);
        assert_eq!(access(&claims("a", Role::Operator, &[]), "admin:dashboard"), Access::Granted);
    }

    #[test]
    fn an_order_is_open_to_its_parties_only() {
        let parties = Parties { customer: Some(id("u1")), merchant: Some(id("m1")), partner: Some(id("p1")) };
        assert!(to_order(&claims("u1", Role::Customer, &[]), &parties));
        assert!(!to_order(&claims("u2", Role::Customer, &[]), &parties));
        assert!(to_order(&claims("u3", Role::MerchantStaff, &["m1"]), &parties));
        assert!(!to_order(&claims("u3", Role::MerchantStaff, &["m2"]), &parties));
        assert!(!to_order(&claims("u3", Role::Customer, &["m1"]), &parties));
        assert!(to_order(&claims("p1", Role::DeliveryPartner, &[]), &parties));
        assert!(!to_order(&claims("p1", Role::Customer, &[]), &parties), "a customer of the partner's id is nobody");
        assert!(to_order(&claims("a", Role::Admin, &[]), &parties));
        assert!(!to_order(&claims("u1", Role::Customer, &[]), &Parties::default()));
    }

    #[test]
    fn rooms_on_connect_follow_the_role() {
        let names =
            |claims: &Claims| rooms_on_connect(claims).iter().map(|r| r.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&claims("u1", Role::Customer, &["m1"])), ["everyone", "user:u1"]);
        let owner = claims("u2", Role::MerchantOwner, &["m1", "m2"]);
        assert_eq!(names(&owner), ["everyone", "user:u2", "merchant:m1", "merchant:m2"]);
        assert_eq!(names(&claims("a", Role::SuperAdmin, &[])), ["everyone", "user:a", "admin:dashboard"]);
    }
}
