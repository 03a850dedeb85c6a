//! Request ids that no two members share. Format: etcd's pkg/idutil (surface E.2): 16 bits of the member, 40 bits of the
//! start time in ms, 8 bits of a counter that overflows upwards.

use std::sync::atomic::{AtomicU64, Ordering};

/// Gives out ids.
#[derive(Debug)]
pub(super) struct Ids {
    prefix: u64,
    suffix: AtomicU64,
}

impl Ids {
    /// For a member started at this time (ms since 1970).
    pub(super) fn new(member: u64, start_ms: u64) -> Self {
        let suffix = (start_ms & ((1 << 40) - 1)) << 8;
        Self { prefix: member << 48, suffix: AtomicU64::new(suffix) }
    }

    /// One that was not given out before; never zero.
    pub(super) fn next(&self) -> u64 {
        let suffix = self.suffix.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.prefix | (suffix & ((1 << 48) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_member_and_count_up_through_the_overflow() {
        let ids = Ids::new(0xabcd_1234, 5);
        let first = ids.next();
        assert_eq!(first >> 48, 0x1234);
        let mut last = first;
        for _ in 0..1000 {
            let next = ids.next();
            assert_eq!(next, last + 1);
            last = next;
        }
    }
}
