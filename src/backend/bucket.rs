//! The ten buckets of an etcd backend, in the order of their names.

/// A bucket. The order of the variants is the byte order of the names, in which etcd hashes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Raised alarms: an AlarmMember as key, no value.
    Alarm,
    /// Whether auth is on, and its revision.
    Auth,
    /// Role name to authpb.Role.
    AuthRoles,
    /// User name to authpb.User.
    AuthUsers,
    /// Cluster version and downgrade state.
    Cluster,
    /// Revision (17 bytes; 18 for a tombstone) to mvccpb.KeyValue.
    Key,
    /// Lease id to leasepb.Lease.
    Lease,
    /// Member id in hexadecimal to the member's JSON.
    Members,
    /// Member id in hexadecimal to `removed`.
    MembersRemoved,
    /// Consistent index, term, configuration and compaction marks.
    Meta,
}

impl Bucket {
    /// How many there are.
    pub(crate) const COUNT: usize = 10;

    /// All of them, in name order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Alarm,
        Self::Auth,
        Self::AuthRoles,
        Self::AuthUsers,
        Self::Cluster,
        Self::Key,
        Self::Lease,
        Self::Members,
        Self::MembersRemoved,
        Self::Meta,
    ];

    /// The name that etcd gives the bucket.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Auth => "auth",
            Self::AuthRoles => "authRoles",
            Self::AuthUsers => "authUsers",
            Self::Cluster => "cluster",
            Self::Key => "key",
            Self::Lease => "lease",
            Self::Members => "members",
            Self::MembersRemoved => "members_removed",
            Self::Meta => "meta",
        }
    }

    /// The bucket of that name, if it is one of etcd's.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.name().as_bytes() == name)
    }

    /// Position in [`Bucket::ALL`].
    pub(crate) const fn position(self) -> usize {
        match self {
            Self::Alarm => 0,
            Self::Auth => 1,
            Self::AuthRoles => 2,
            Self::AuthUsers => 3,
            Self::Cluster => 4,
            Self::Key => 5,
            Self::Lease => 6,
            Self::Members => 7,
            Self::MembersRemoved => 8,
            Self::Meta => 9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_name_order_and_found_by_name() {
        for pair in Bucket::ALL.windows(2) {
            assert!(pair[0].name() < pair[1].name() && pair[0] < pair[1]);
        }
        for (position, bucket) in Bucket::ALL.into_iter().enumerate() {
            assert_eq!(bucket.position(), position);
            assert_eq!(Bucket::from_name(bucket.name().as_bytes()), Some(bucket));
        }
        assert_eq!(Bucket::from_name(b"keys"), None);
    }
}
