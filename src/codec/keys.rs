//! The keys of one object, to find one that stands twice. Few keys are compared one by one; many go to a hash set, whose
//! random seed keeps a hostile producer from choosing colliding ones.

use std::borrow::Cow;
use std::collections::HashSet;

use smallvec::SmallVec;

/// Above this, comparing one by one costs more than hashing.
const FEW: usize = 12;

#[derive(Default)]
pub(super) struct Keys<'a> {
    few: SmallVec<[Cow<'a, str>; FEW]>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// Adds a key; `false` if it was there already.
    pub(super) fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&key) {
                return false;
            }
            if self.few.len() < FEW {
                self.few.push(key);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_found_among_few_and_among_many() {
        let mut keys = Keys::default();
        for round in 0..100 {
            assert!(keys.insert(format!("k{round}").into()));
            for earlier in 0..=round {
                assert!(!keys.insert(format!("k{earlier}").into()), "{earlier} of {round}");
            }
        }
    }
}
