//! Members and maintenance: status, member list, move-leader, alarms, hashes.

use base::{ClusterId, Index, MemberId, Revision, Term};
use wire::etcdserverpb::{
    self, AlarmRequest, AlarmType, HashKvRequest, MemberAddRequest, MemberListRequest,
    MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest, MoveLeaderRequest,
    StatusRequest, alarm_request::AlarmAction,
};

use crate::{connection::Client, error::ClientError};

/// What a member says about itself; no quorum is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its leader; none during an election.
    pub leader: Option<MemberId>,
    /// Its term.
    pub term: Term,
    /// Its commit index.
    pub commit: Index,
    /// Its applied index; equals `commit` where an old version does not tell.
    pub applied: Index,
    /// Its key-space revision.
    pub revision: Revision,
    /// Server version, for example `3.5.1`.
    pub version: String,
    /// Size of the backend file.
    pub db_bytes: u64,
    /// Of these in use.
    pub db_in_use_bytes: u64,
    /// Whether it cannot vote.
    pub is_learner: bool,
    /// What it complains about: alarms, no leader.
    pub errors: Vec<String>,
}

/// A member of the cluster's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started once.
    pub client_urls: Vec<String>,
    /// Whether it cannot vote.
    pub is_learner: bool,
}

/// A raised alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Whose.
    pub member: MemberId,
    /// Which.
    pub kind: AlarmType,
}

/// Hash of the key space at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvHash {
    /// CRC-32C.
    pub hash: u32,
    /// Compaction revision; -1 if never compacted.
    pub compact_revision: i64,
    /// The member's revision when it answered.
    pub current: Revision,
}

impl Client {
    /// Asks the first member that answers about itself.
    ///
    /// # Errors
    /// Any.
    pub async fn status(&self) -> Result<MemberStatus, ClientError> {
        let call = "status";
        let answer =
            self.call(call, |to| async move { to.maintenance().status(StatusRequest {}).await });
        let (answer, endpoint) = answer.await?;
        let Some(header) = answer.header else {
            return Err(ClientError::Malformed {
                call,
                endpoint: endpoint.to_owned(),
                field: "header",
            });
        };
        let applied = if answer.raft_applied_index == 0 {
            answer.raft_index
        } else {
            answer.raft_applied_index
        };
        Ok(MemberStatus {
            member: header.member_id.into(),
            cluster: header.cluster_id.into(),
            leader: (answer.leader != 0).then(|| answer.leader.into()),
            term: answer.raft_term.into(),
            commit: answer.raft_index.into(),
            applied: applied.into(),
            revision: header.revision.into(),
            version: answer.version,
            db_bytes: u64::try_from(answer.db_size).unwrap_or(0),
            db_in_use_bytes: u64::try_from(answer.db_size_in_use).unwrap_or(0),
            is_learner: answer.is_learner,
            errors: answer.errors.iter().map(|text| text.trim().to_owned()).collect(),
        })
    }

    /// The members; `linearizable` asks a quorum (3.5; a 3.4 member answers from its own view).
    ///
    /// # Errors
    /// Any.
    pub async fn member_list(&self, linearizable: bool) -> Result<Vec<Member>, ClientError> {
        let request = MemberListRequest { linearizable };
        let answer =
            self.call("member list", |to| async move { to.cluster().member_list(request).await });
        Ok(members(answer.await?.0.members))
    }

    /// Adds a member without a vote, not started yet; returns its id and all members. Never a voter (R6).
    ///
    /// # Errors
    /// Any. Without an answer it may have been added all the same: list the members.
    pub async fn member_add_learner(
        &self,
        peer_urls: &[String],
    ) -> Result<(MemberId, Vec<Member>), ClientError> {
        let call = "member add";
        let request = MemberAddRequest { peer_ur_ls: peer_urls.to_vec(), is_learner: true };
        let answer = self.call(call, |to| {
            let request = request.clone();
            async move { to.cluster().member_add(request).await }
        });
        let (answer, endpoint) = answer.await?;
        let Some(added) = answer.member else {
            let endpoint = endpoint.to_owned();
            return Err(ClientError::Malformed { call, endpoint, field: "member" });
        };
        Ok((added.id.into(), members(answer.members)))
    }

    /// Gives a learner its vote.
    ///
    /// # Errors
    /// Any; etcd refuses while the learner is not in sync with its leader.
    pub async fn member_promote(&self, member: MemberId) -> Result<(), ClientError> {
        let request = MemberPromoteRequest { id: member.get() };
        self.call("member promote", |to| async move { to.cluster().member_promote(request).await })
            .await?;
        Ok(())
    }

    /// Takes a member out for good.
    ///
    /// # Errors
    /// Any.
    pub async fn member_remove(&self, member: MemberId) -> Result<(), ClientError> {
        let request = MemberRemoveRequest { id: member.get() };
        self.call("member remove", |to| async move { to.cluster().member_remove(request).await })
            .await?;
        Ok(())
    }

    /// Changes where a member's peers find it.
    ///
    /// # Errors
    /// Any.
    pub async fn member_update(
        &self,
        member: MemberId,
        peer_urls: &[String],
    ) -> Result<(), ClientError> {
        let request = MemberUpdateRequest { id: member.get(), peer_ur_ls: peer_urls.to_vec() };
        let answer = self.call("member update", |to| {
            let request = request.clone();
            async move { to.cluster().member_update(request).await }
        });
        answer.await?;
        Ok(())
    }

    /// Hands leadership over; only the leader does it, so the client must have its endpoint first.
    ///
    /// # Errors
    /// Any; `etcdserver: not leader` if another leads by now.
    pub async fn move_leader(&self, to: MemberId) -> Result<(), ClientError> {
        let request = MoveLeaderRequest { target_id: to.get() };
        self.call("move leader", |to| async move { to.maintenance().move_leader(request).await })
            .await?;
        Ok(())
    }

    /// The raised alarms.
    ///
    /// # Errors
    /// Any.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, ClientError> {
        let request = AlarmRequest { action: AlarmAction::Get.into(), ..Default::default() };
        let answer = self.call("alarm", |to| async move { to.maintenance().alarm(request).await });
        let alarms = answer.await?.0.alarms.into_iter();
        Ok(alarms
            .map(|alarm| Alarm { member: alarm.member_id.into(), kind: alarm.alarm() })
            .collect())
    }

    /// Lowers an alarm.
    ///
    /// # Errors
    /// Any.
    pub async fn disarm(&self, alarm: Alarm) -> Result<(), ClientError> {
        let request = AlarmRequest {
            action: AlarmAction::Deactivate.into(),
            member_id: alarm.member.get(),
            alarm: alarm.kind.into(),
        };
        self.call("alarm", |to| async move { to.maintenance().alarm(request).await }).await?;
        Ok(())
    }

    /// Hash of the key space at a revision (0: now).
    ///
    /// # Errors
    /// Any.
    pub async fn hash_kv(&self, revision: Revision) -> Result<KvHash, ClientError> {
        let request = HashKvRequest { revision: revision.get() };
        let answer =
            self.call("hash kv", |to| async move { to.maintenance().hash_kv(request).await });
        let answer = answer.await?.0;
        Ok(KvHash {
            hash: answer.hash,
            compact_revision: answer.compact_revision,
            current: answer.header.map_or(0, |header| header.revision).into(),
        })
    }
}

fn members(listed: Vec<etcdserverpb::Member>) -> Vec<Member> {
    let member = |member: etcdserverpb::Member| Member {
        id: member.id.into(),
        name: member.name,
        peer_urls: member.peer_ur_ls,
        client_urls: member.client_ur_ls,
        is_learner: member.is_learner,
    };
    listed.into_iter().map(member).collect()
}
