//! Who may follow an order. Learned from the log by the pipeline, before the record's events reach the shards; asked by
//! the gateway. A record may come after the wish for it, so that a question can wait for a moment.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::route::{Id, OrderFacts};

/// Who has to do with an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parties {
    /// The customer.
    pub customer: Option<Id>,
    /// The merchant.
    pub merchant: Option<Id>,
    /// The delivery partner.
    pub partner: Option<Id>,
}

/// The orders that are known, at most so many: the longest known are forgotten first.
#[derive(Debug)]
pub struct Owners {
    max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    orders: HashMap<Id, Arc<Parties>>,
    learned: VecDeque<Id>,
    waiting: HashMap<Id, Vec<oneshot::Sender<()>>>,
}

impl Owners {
    /// Knows nothing yet, and never more than `max` orders (one at least).
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1), inner: Mutex::default() }
    }

    /// Learns what a record says; what it doesn't say stays as it was. Who waits for the order is woken.
    pub fn learn(&self, facts: &OrderFacts) {
        let mut inner = self.inner.lock();
        let known = inner.orders.get(&facts.order);
        let merged = Parties {
            customer: facts.customer.clone().or_else(|| known.and_then(|k| k.customer.clone())),
            merchant: facts.merchant.clone().or_else(|| known.and_then(|k| k.merchant.clone())),
            partner: facts.partner.clone().or_else(|| known.and_then(|k| k.partner.clone())),
        };
        match known {
            Some(known) if **known == merged => return,
            Some(_) => {}
            None => {
                inner.learned.push_back(facts.order.clone());
                if inner.learned.len() > self.max
                    && let Some(oldest) = inner.learned.pop_front()
                {
                    inner.orders.remove(&oldest);
                }
            }
        }
        inner.orders.insert(facts.order.clone(), Arc::new(merged));
        for waiter in inner.waiting.remove(&facts.order).unwrap_or_default() {
            // Who no longer waits has gone.
            let _ = waiter.send(());
        }
    }

    /// What is known of an order.
    #[must_use]
    pub fn find(&self, order: &Id) -> Option<Arc<Parties>> {
        self.inner.lock().orders.get(order).cloned()
    }

    /// Waits until `allowed` says yes to what is known of the order, or until `deadline`: true for the first. An order
    /// that is known to be somebody else's is waited for just as long as an unknown one, so that time tells nothing.
    /// Cancel safe.
    pub async fn allowed(&self, order: &Id, deadline: Instant, allowed: impl Fn(&Parties) -> bool) -> bool {
        loop {
            let learned = {
                let mut inner = self.inner.lock();
                if inner.orders.get(order).is_some_and(|parties| allowed(parties)) {
                    return true;
                }
                let (sender, receiver) = oneshot::channel();
                let waiting = inner.waiting.entry(order.clone()).or_default();
                waiting.retain(|waiter| !waiter.is_closed());
                waiting.push(sender);
                receiver
            };
            if tokio::time::timeout_at(deadline, learned).await.is_err() {
                let mut inner = self.inner.lock();
                if let Some(waiting) = inner.waiting.get_mut(order) {
                    waiting.retain(|waiter| !waiter.is_closed());
                    if waiting.is_empty() {
                        inner.waiting.remove(order);
                    }
                }
                return inner.orders.get(order).is_some_and(|parties| allowed(parties));
            }
        }
    }

    /// Number of known orders.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().orders.len()
    }

    /// Whether no order is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(text: &str) -> Id {
        Id::parse(text).unwrap()
    }

    fn facts(order: &str, customer: Option<&str>, partner: Option<&str>) -> OrderFacts {
        OrderFacts { order: id(order), customer: customer.map(id), merchant: None, partner: partner.map(id) }
    }

    #[test]
    fn a_later_record_adds_and_does_not_erase() {
        let owners = Owners::new(10);
        owners.learn(&facts("o1", Some("u1"), None));
        owners.learn(&facts("o1", None, Some("p1")));
        let parties = owners.find(&id("o1")).unwrap();
        assert_eq!((parties.customer.clone(), parties.partner.clone()), (Some(id("u1")), Some(id("p1"))));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let owners = Owners::new(3);
        for n in 0..10 {
            owners.learn(&facts(&format!("o{n}"), Some("u"), None));
        }
        assert_eq!(owners.len(), 3);
        assert!(owners.find(&id("o6")).is_none() && owners.find(&id("o7")).is_some());
    }

    #[tokio::test]
    async fn an_order_that_comes_in_time_is_allowed_at_once() {
        let owners = Arc::new(Owners::new(10));
        let deadline = Instant::now() + Duration::from_secs(30);
        let asking = tokio::spawn({
            let owners = Arc::clone(&owners);
            async move { owners.allowed(&id("o1"), deadline, |p| p.customer == Some(id("u1"))).await }
        });
        tokio::task::yield_now().await;
        owners.learn(&facts("o1", Some("u1"), None));
        assert!(asking.await.unwrap());
        assert!(Instant::now() < deadline);
        assert!(owners.inner.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn foreign_and_unknown_take_equally_long_and_leave_nothing() {
        let owners = Owners::new(10);
        owners.learn(&facts("foreign", Some("other"), None));
        for order in ["foreign", "unknown"] {
            let start = Instant::now();
            let deadline = start + Duration::from_millis(80);
            assert!(!owners.allowed(&id(order), deadline, |p| p.customer == Some(id("u1"))).await);
            assert!(Instant::now() >= deadline, "{order} was refused early");
        }
        assert!(owners.inner.lock().waiting.is_empty());
    }
}
