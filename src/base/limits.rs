//! The limits of the product in one place: queues, messages, retries, files. Units are in the names.

/// Largest client request etcd accepts by default (`--max-request-bytes`).
pub const REQUEST_BYTES_MAX_DEFAULT: usize = 1_572_864;
/// What gRPC allows on top of a request for its framing.
pub const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;
/// A proposal is refused with "too many requests" when this many committed entries wait to be applied.
pub const UNAPPLIED_ENTRIES_MAX: u64 = 5000;
/// Most entries' bytes in one raft append message.
pub const APPEND_BYTES_MAX: u64 = 1024 * 1024;
/// Append messages in flight to one follower.
pub const APPENDS_INFLIGHT_MAX: usize = 512;
/// Inputs waiting for the raft owner.
pub const RAFT_INBOX_MAX: usize = 8192;
/// Batches of committed entries waiting for the apply thread.
pub const APPLY_QUEUE_MAX: usize = 64;
/// Messages waiting for one peer stream; more are dropped and reported unreachable.
pub const PEER_QUEUE_MAX: usize = 4096;
/// Largest framed raft message read from a peer.
pub const PEER_MESSAGE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Size of a WAL segment.
pub const WAL_SEGMENT_BYTES: u64 = 64_000_000;
/// Default space quota of the backend.
pub const QUOTA_BACKEND_BYTES_DEFAULT: i64 = 2 * 1024 * 1024 * 1024;
/// Largest gRPC answer, as in etcd (2^31 - 1).
pub const GRPC_SEND_BYTES_MAX: usize = 2_147_483_647;
/// Bytes of proposed and uncommitted entries above which a leader refuses more.
pub const UNCOMMITTED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of committed entries handed to the apply thread at a time.
pub const COMMITTED_BYTES_PER_BATCH_MAX: u64 = 16 * 1024 * 1024;
