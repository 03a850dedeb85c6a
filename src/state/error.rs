//! What can go wrong: [`ApiError`], whose text and code etcd's clients match on, and [`StateError`], after which the node must stop.

use base::Index;

/// gRPC status codes, by number (this crate knows nothing of gRPC).
mod code {
    pub(super) const CANCELED: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const DATA_LOSS: i32 = 15;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

macro_rules! api_errors {
    ($($variant:ident, $code:ident, $text:literal;)*) => {
        /// What a client is told. The text is API: Go clients map errors by it. Facts: surface A.1.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum ApiError {
            $(#[doc = concat!("`etcdserver: ", $text, "`.")]
            #[error("etcdserver: {}", $text)]
            $variant,)*
            /// Any other failure: code Unknown with the given text and no prefix, as Go answers.
            #[error("{0}")]
            Other(String),
        }

        impl ApiError {
            /// Every error with a fixed text.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The gRPC status code that an etcd 3.5 server sends with it.
            #[must_use]
            pub const fn code(&self) -> i32 {
                match self {
                    $(Self::$variant => code::$code,)*
                    Self::Other(_) => code::UNKNOWN,
                }
            }
        }
    };
}

api_errors! {
    RequestCanceled, CANCELED, "request canceled";
    WatchCanceled, CANCELED, "watch canceled";
    AuthFailed, INVALID_ARGUMENT, "authentication failed, invalid user ID or password";
    DuplicateKey, INVALID_ARGUMENT, "duplicate key given in txn request";
    MemberBadUrls, INVALID_ARGUMENT, "given member URLs are invalid";
    InvalidAuthManagement, INVALID_ARGUMENT, "invalid auth management";
    EmptyKey, INVALID_ARGUMENT, "key is not provided";
    KeyNotFound, INVALID_ARGUMENT, "key not found";
    LeaseProvided, INVALID_ARGUMENT, "lease is provided";
    RequestTooLarge, INVALID_ARGUMENT, "request is too large";
    AuthOldRevision, INVALID_ARGUMENT, "revision of auth store is old";
    RoleEmpty, INVALID_ARGUMENT, "role name is empty";
    TooManyOps, INVALID_ARGUMENT, "too many operations in txn request";
    UserEmpty, INVALID_ARGUMENT, "user name is empty";
    ValueProvided, INVALID_ARGUMENT, "value is provided";
    InvalidClientApiVersion, INVALID_ARGUMENT, "invalid client api version";
    InvalidSortOption, INVALID_ARGUMENT, "invalid sort option";
    InvalidDowngradeTarget, INVALID_ARGUMENT, "invalid downgrade target version";
    PermissionNotGiven, INVALID_ARGUMENT, "permission not given";
    WrongDowngradeFormat, INVALID_ARGUMENT, "wrong downgrade target version format";
    DeadlineExceeded, DEADLINE_EXCEEDED, "context deadline exceeded";
    MemberNotFound, NOT_FOUND, "member not found";
    LeaseNotFound, NOT_FOUND, "requested lease not found";
    PermissionDenied, PERMISSION_DENIED, "permission denied";
    NoSpace, RESOURCE_EXHAUSTED, "mvcc: database space exceeded";
    // A Go server sends the two marked ones as Unknown: its table holds the client's error there.
    TooManyRequests, UNKNOWN, "too many requests"; // marked
    PeerUrlExists, FAILED_PRECONDITION, "Peer URLs already exists";
    AuthNotEnabled, FAILED_PRECONDITION, "authentication is not enabled";
    BadLeaderTransferee, FAILED_PRECONDITION, "bad leader transferee";
    MemberNotLearner, FAILED_PRECONDITION, "can only promote a learner member";
    LearnerNotReady, FAILED_PRECONDITION,
        "can only promote a learner member which is in sync with leader";
    LeaseExists, FAILED_PRECONDITION, "lease already exists";
    MemberExists, FAILED_PRECONDITION, "member ID already exist";
    NotLeader, FAILED_PRECONDITION, "not leader";
    PermissionNotGranted, FAILED_PRECONDITION, "permission is not granted to the role";
    NotEnoughStarted, UNKNOWN,
        "re-configuration failed due to not enough started members"; // marked
    RoleNotGranted, FAILED_PRECONDITION, "role is not granted to the user";
    RoleExists, FAILED_PRECONDITION, "role name already exists";
    RoleNotFound, FAILED_PRECONDITION, "role name not found";
    RootUserNotExist, FAILED_PRECONDITION, "root user does not exist";
    RootRoleNotExist, FAILED_PRECONDITION, "root user does not have root role";
    TooManyLearners, FAILED_PRECONDITION, "too many learner members in cluster";
    UserExists, FAILED_PRECONDITION, "user name already exists";
    UserNotFound, FAILED_PRECONDITION, "user name not found";
    ClusterIdMismatch, FAILED_PRECONDITION, "cluster ID mismatch";
    DowngradeInProgress, FAILED_PRECONDITION, "cluster has a downgrade job in progress";
    NoInflightDowngrade, FAILED_PRECONDITION, "no inflight downgrade job";
    Compacted, OUT_OF_RANGE, "mvcc: required revision has been compacted";
    FutureRevision, OUT_OF_RANGE, "mvcc: required revision is a future revision";
    LeaseTtlTooLarge, OUT_OF_RANGE, "too large lease TTL";
    ClusterVersionUnavailable, UNAVAILABLE, "cluster version not found during downgrade";
    LeaderChanged, UNAVAILABLE, "leader changed";
    NoLeader, UNAVAILABLE, "no leader";
    Timeout, UNAVAILABLE, "request timed out";
    TimeoutConnectionLost, UNAVAILABLE, "request timed out, possibly due to connection lost";
    TimeoutLeaderFail, UNAVAILABLE, "request timed out, possibly due to previous leader failure";
    TimeoutWaitApplied, UNAVAILABLE,
        "request timed out, waiting for the applied index took too long";
    // Not in etcd's table of client errors, hence Unknown.
    TimeoutLeaderTransfer, UNKNOWN, "request timed out, leader transfer took too long";
    Stopped, UNAVAILABLE, "server stopped";
    Unhealthy, UNAVAILABLE, "unhealthy cluster";
    NotCapable, UNAVAILABLE, "not capable";
    NotSupportedForLearner, UNAVAILABLE, "rpc not supported for learner";
    Corrupt, DATA_LOSS, "corrupt cluster";
    InvalidAuthToken, UNAUTHENTICATED, "invalid auth token";
}

/// The replicated state cannot be carried on: the node must stop and a human must look.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The backend failed; its handle is dead.
    #[error("access the backend")]
    Backend(#[from] backend::BackendError),
    /// An entry that no version we know would write.
    #[error("entry {index} cannot be decoded: {reason}")]
    Entry {
        /// Where in the raft log.
        index: Index,
        /// What is wrong with it.
        reason: String,
    },
    /// A kind of entry that this build does not implement. Skipping it would fork the state.
    #[error("entry {index} is a {kind} request, which this build cannot apply")]
    Unsupported {
        /// Where in the raft log.
        index: Index,
        /// The request's name.
        kind: &'static str,
    },
    /// What is stored contradicts itself.
    #[error("the stored state is damaged: {0}")]
    Damaged(String),
    /// The v2 store of a `.snap` file cannot be read.
    #[error("the snapshot's v2 store cannot be read: {0}")]
    Snapshot(String),
    /// An entry names a member that never existed (a Go member panics here).
    #[error("entry {index} changes member {member}, which is unknown")]
    UnknownMember {
        /// Where in the raft log.
        index: Index,
        /// Whom it names.
        member: base::MemberId,
    },
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn texts_carry_the_prefix_once_and_are_unique() {
        let texts: BTreeSet<String> = ApiError::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), ApiError::ALL.len());
        for text in &texts {
            assert_eq!(text.matches("etcdserver: ").count(), 1, "{text}");
        }
    }

    #[test]
    fn texts_and_codes_equal_etcds() {
        for (error, text, code) in [
            (ApiError::NoSpace, "etcdserver: mvcc: database space exceeded", 8),
            (ApiError::Compacted, "etcdserver: mvcc: required revision has been compacted", 11),
            (ApiError::KeyNotFound, "etcdserver: key not found", 3),
            (ApiError::LeaseNotFound, "etcdserver: requested lease not found", 5),
            (ApiError::Corrupt, "etcdserver: corrupt cluster", 15),
            (ApiError::PeerUrlExists, "etcdserver: Peer URLs already exists", 9),
            // The wrong code is etcd's own.
            (
                ApiError::NotEnoughStarted,
                "etcdserver: re-configuration failed due to not enough started members",
                2,
            ),
            (ApiError::Other("election: no leader".to_owned()), "election: no leader", 2),
        ] {
            assert_eq!((error.to_string().as_str(), error.code()), (text, code));
        }
    }
}
