//! Facts as one agent tells them to another: the ids and positions in them as plain numbers.

use serde::{Deserialize, Serialize};

use super::observation::{DataDir, Member, MemberStatus, Role};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "holds", rename_all = "kebab-case")]
pub(super) enum DataDirDocument {
    Empty,
    Formed { cluster: u64, member: u64 },
    Foreign,
    Damaged,
    Emptied,
    Stale,
    Fenced,
}

impl From<DataDirDocument> for DataDir {
    fn from(document: DataDirDocument) -> Self {
        match document {
            DataDirDocument::Empty => Self::Empty,
            DataDirDocument::Formed { cluster, member } => {
                Self::Formed { cluster: cluster.into(), member: member.into() }
            }
            DataDirDocument::Foreign => Self::Foreign,
            DataDirDocument::Damaged => Self::Damaged,
            DataDirDocument::Emptied => Self::Emptied,
            DataDirDocument::Stale => Self::Stale,
            DataDirDocument::Fenced => Self::Fenced,
        }
    }
}

impl From<DataDir> for DataDirDocument {
    fn from(found: DataDir) -> Self {
        match found {
            DataDir::Empty => Self::Empty,
            DataDir::Formed { cluster, member } => {
                Self::Formed { cluster: cluster.get(), member: member.get() }
            }
            DataDir::Foreign => Self::Foreign,
            DataDir::Damaged => Self::Damaged,
            DataDir::Emptied => Self::Emptied,
            DataDir::Stale => Self::Stale,
            DataDir::Fenced => Self::Fenced,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MemberStatusDocument {
    member: u64,
    cluster: u64,
    role: Role,
    leader: Option<u64>,
    term: u64,
    index: u64,
    applied: u64,
    revision: i64,
    db_bytes: u64,
    version: String,
}

impl From<MemberStatusDocument> for MemberStatus {
    fn from(document: MemberStatusDocument) -> Self {
        Self {
            member: document.member.into(),
            cluster: document.cluster.into(),
            role: document.role,
            leader: document.leader.map(Into::into),
            term: document.term.into(),
            index: document.index.into(),
            applied: document.applied.into(),
            revision: document.revision.into(),
            db_bytes: document.db_bytes,
            version: document.version,
        }
    }
}

impl From<MemberStatus> for MemberStatusDocument {
    fn from(status: MemberStatus) -> Self {
        Self {
            member: status.member.get(),
            cluster: status.cluster.get(),
            role: status.role,
            leader: status.leader.map(base::MemberId::get),
            term: status.term.get(),
            index: status.index.get(),
            applied: status.applied.get(),
            revision: status.revision.get(),
            db_bytes: status.db_bytes,
            version: status.version,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MemberDocument {
    id: u64,
    name: String,
    peer_urls: Vec<String>,
    client_urls: Vec<String>,
    learner: bool,
}

impl From<MemberDocument> for Member {
    fn from(document: MemberDocument) -> Self {
        Self {
            id: document.id.into(),
            name: document.name,
            peer_urls: document.peer_urls,
            client_urls: document.client_urls,
            learner: document.learner,
        }
    }
}

impl From<Member> for MemberDocument {
    fn from(member: Member) -> Self {
        Self {
            id: member.id.get(),
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            learner: member.learner,
        }
    }
}
