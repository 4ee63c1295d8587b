//! Who is connected to this node: distinct users and merchants for the dashboard, connections per user for the limit,
//! connections by role for the summary.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::route::Id;

/// Counts of connected users and merchants.
#[derive(Debug, Default)]
pub struct Presence {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    users: HashMap<Id, usize>,
    merchants: HashMap<Id, usize>,
    roles: HashMap<&'static str, usize>,
}

/// The user has as many connections as one may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Presence {
    /// Counts a connection of a user.
    ///
    /// # Errors
    /// [`TooMany`] when the user has `max` already; nothing is counted then.
    pub fn enter(&self, user: &Id, merchants: &[Id], role: &'static str, max: usize) -> Result<(), TooMany> {
        let mut inner = self.inner.lock();
        let connections = inner.users.get(user).copied().unwrap_or(0);
        if connections >= max {
            return Err(TooMany);
        }
        inner.users.insert(user.clone(), connections + 1);
        for merchant in merchants {
            *inner.merchants.entry(merchant.clone()).or_default() += 1;
        }
        *inner.roles.entry(role).or_default() += 1;
        Ok(())
    }

    /// Takes a connection off again; with the same arguments as [`Presence::enter`].
    pub fn leave(&self, user: &Id, merchants: &[Id], role: &'static str) {
        let mut inner = self.inner.lock();
        take(&mut inner.users, user);
        for merchant in merchants {
            take(&mut inner.merchants, merchant);
        }
        if let Some(count) = inner.roles.get_mut(role) {
            *count = count.saturating_sub(1);
        }
    }

    /// Distinct users and distinct merchants that are connected.
    #[must_use]
    pub fn distinct(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.users.len(), inner.merchants.len())
    }

    /// Connections by role, sorted by role.
    #[must_use]
    pub fn by_role(&self) -> Vec<(&'static str, usize)> {
        let mut roles: Vec<_> = self.inner.lock().roles.iter().map(|(role, count)| (*role, *count)).collect();
        roles.sort_unstable();
        roles
    }
}

fn take(counts: &mut HashMap<Id, usize>, id: &Id) {
    if let Some(count) = counts.get_mut(id) {
        *count -= 1;
        if *count == 0 {
            counts.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_once_however_many_connections_they_have() {
        let presence = Presence::default();
        let (user, merchant) = (Id::parse("u").unwrap(), Id::parse("m").unwrap());
        let merchants = [merchant];
        presence.enter(&user, &merchants, "merchant_owner", 2).unwrap();
        presence.enter(&user, &merchants, "merchant_owner", 2).unwrap();
        assert_eq!(presence.enter(&user, &merchants, "merchant_owner", 2), Err(TooMany));
        assert_eq!(presence.distinct(), (1, 1));
        presence.leave(&user, &merchants, "merchant_owner");
        assert_eq!(presence.distinct(), (1, 1));
        presence.leave(&user, &merchants, "merchant_owner");
        assert_eq!(presence.distinct(), (0, 0));
        assert_eq!(presence.by_role(), [("merchant_owner", 0)]);
    }
}
