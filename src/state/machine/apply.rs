//! Applies normal entries: decides what an entry is, what forbids it, and which part carries it out.

use base::{Index, MemberId};
use wire::{
    etcdserverpb::{
        AlarmType, CompactionResponse, InternalRaftRequest, LeaseCheckpointResponse,
        LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeResponse, ResponseHeader,
    },
    raftpb::{Entry, EntryType},
};

use super::{Applied, Interest, Machine, Response};
use crate::{
    entry::{self, Command},
    error::{ApiError, StateError},
    membership::{Attributes, Changer, check_version},
    quota, v2,
};

/// An answer for the client, unless the node must stop.
type Outcome = Result<Result<Response, ApiError>, StateError>;

const ATTRIBUTES_FOLDER: &str = "/0/members/";
const VERSION_PATH: &str = "/0/version";

impl Machine {
    /// Applies a committed normal entry. Entries that the backend has seen only rebuild the v2
    /// store and the membership.
    ///
    /// # Errors
    /// The node must stop: the backend failed, or the entry cannot be applied by this build.
    pub fn apply(&mut self, entry: &Entry, interest: Interest<'_>) -> Result<Applied, StateError> {
        if EntryType::try_from(entry.r#type) != Ok(EntryType::EntryNormal) {
            let kind = "configuration change of an unknown format";
            return Err(StateError::Unsupported { index: Index::new(entry.index), kind });
        }
        let unseen = self.begin(entry)?;
        let (request_id, answer, membership_changed) = match Command::decode(entry)? {
            Command::Empty => (0, Ok(Response::None), false),
            Command::V2(request) => {
                let response = self.apply_v2(entry, &request, unseen)?;
                let changed = !matches!(response, Response::V2(_));
                (request.id, Ok(response), changed)
            }
            Command::V3(request) => {
                let id = entry::request_id(&request);
                let wanted = interest(id);
                match self.apply_cluster(entry, &request, unseen)? {
                    Some(response) => (id, Ok(response), true),
                    None if unseen => (id, self.apply_v3(entry, &request, wanted)?, false),
                    None => (id, Ok(Response::None), false),
                }
            }
        };
        self.end(entry, membership_changed);
        let full = answer.as_ref().is_err_and(|error| *error == ApiError::NoSpace);
        let raise = full && !self.alarms.is_active(AlarmType::Nospace);
        let raise_alarm = raise.then_some(AlarmType::Nospace);
        let compaction = matches!(answer, Ok(Response::Compaction(_)));
        Ok(Applied { request_id, response: answer, raise_alarm, compaction })
    }

    fn changer(&mut self, unseen: bool) -> Changer<'_> {
        Changer {
            store: &mut self.v2,
            roster: &mut self.roster,
            batch: unseen.then_some(&mut self.writer.batch),
        }
    }

    /// Two plain PUTs of the v2 format are about the cluster itself; the rest is the tree's.
    fn apply_v2(
        &mut self,
        entry: &Entry,
        request: &v2::Request,
        unseen: bool,
    ) -> Result<Response, StateError> {
        if request.is_plain_put() {
            if let Some(member) = attributes_member(&request.path) {
                let attributes = serde_json::from_str(&request.value).map_err(|error| {
                    StateError::Entry { index: Index::new(entry.index), reason: error.to_string() }
                })?;
                return self.set_attributes(entry, member, attributes, unseen);
            }
            if request.path == VERSION_PATH {
                return self.set_version(entry, &request.value, unseen);
            }
        }
        Ok(Response::V2(self.v2.apply(request).map(|event| event.map(Box::new))))
    }

    /// The requests about the cluster itself in the v3 format; none if it is another one.
    fn apply_cluster(
        &mut self,
        entry: &Entry,
        request: &InternalRaftRequest,
        unseen: bool,
    ) -> Result<Option<Response>, StateError> {
        if let Some(set) = &request.cluster_version_set {
            return self.set_version(entry, &set.ver, unseen).map(Some);
        }
        if let Some(set) = &request.cluster_member_attr_set {
            let given = set.member_attributes.clone().unwrap_or_default();
            let attributes = Attributes { name: given.name, client_urls: given.client_urls };
            let member = MemberId::new(set.member_id);
            return self.set_attributes(entry, member, attributes, unseen).map(Some);
        }
        if let Some(set) = &request.downgrade_info_set {
            let target = set.enabled.then(|| set.ver.clone());
            self.changer(unseen).set_downgrade(target.clone());
            return Ok(Some(Response::Downgrade(target)));
        }
        Ok(None)
    }

    fn set_attributes(
        &mut self,
        entry: &Entry,
        member: MemberId,
        attributes: Attributes,
        unseen: bool,
    ) -> Result<Response, StateError> {
        if self.changer(unseen).set_attributes(member, attributes)? {
            return Ok(Response::Attributes(member));
        }
        Err(StateError::UnknownMember { index: Index::new(entry.index), member })
    }

    fn set_version(
        &mut self,
        entry: &Entry,
        version: &str,
        unseen: bool,
    ) -> Result<Response, StateError> {
        let version = check_version(version).ok_or_else(|| StateError::Entry {
            index: Index::new(entry.index),
            reason: format!("{version:?} is no cluster version"),
        })?;
        self.changer(unseen).set_version(version.clone())?;
        Ok(Response::Version(version))
    }

    fn apply_v3(&mut self, entry: &Entry, request: &InternalRaftRequest, wanted: bool) -> Outcome {
        if let Some(error) = self.alarms.forbid(request) {
            return Ok(Err(error));
        }
        let fits = self.quota.allows(self.size_bytes, quota::cost(request));
        let answer = self.carry_out(entry, request, wanted)?;
        // What does not fit is applied all the same, as on every member: only the answer differs.
        Ok(if fits { answer } else { answer.and(Err(ApiError::NoSpace)) })
    }

    fn carry_out(&mut self, entry: &Entry, request: &InternalRaftRequest, wanted: bool) -> Outcome {
        if let Some(put) = &request.put {
            let answer = self.writer.put(put, &self.lessor, wanted)?;
            return Ok(answer.map(|mut response| {
                self.kv.tally.put();
                self.complete(&mut response.header);
                Response::Put(response)
            }));
        }
        if let Some(txn) = &request.txn {
            let answer = self.writer.txn(txn, &self.lessor, wanted)?;
            return Ok(answer.map(|mut response| {
                self.kv.tally.txn(&response);
                self.complete(&mut response.header);
                Response::Txn(response)
            }));
        }
        if let Some(delete) = &request.delete_range {
            let answer = self.writer.delete_range(delete, &self.lessor, wanted)?;
            return Ok(answer.map(|mut response| {
                self.kv.tally.delete(response.deleted);
                self.complete(&mut response.header);
                Response::DeleteRange(response)
            }));
        }
        if let Some(compaction) = &request.compaction {
            let answer = self.writer.compact(compaction.revision);
            let header = Some(self.header());
            return Ok(answer.map(|()| Response::Compaction(CompactionResponse { header })));
        }
        if let Some(alarm) = &request.alarm {
            let mut response = self.alarms.apply(alarm, &mut self.writer.batch);
            response.header = Some(self.header());
            return Ok(Ok(Response::Alarm(response)));
        }
        if entry::only_reads(request) {
            return self.read(request, wanted);
        }
        self.carry_out_lease(entry, request)
    }

    fn carry_out_lease(&mut self, entry: &Entry, request: &InternalRaftRequest) -> Outcome {
        if let Some(grant) = &request.lease_grant {
            return Ok(self.grant(grant));
        }
        if let Some(revoke) = &request.lease_revoke {
            if self.lessor.lookup(revoke.id).is_none() {
                return Ok(Err(ApiError::LeaseNotFound));
            }
            let keys = self.lessor.keys(revoke.id);
            self.writer.delete_keys(&keys, &self.lessor);
            self.lessor.remove(revoke.id, &mut self.writer.batch);
            let header = Some(self.header());
            return Ok(Ok(Response::LeaseRevoke(LeaseRevokeResponse { header })));
        }
        if let Some(checkpoints) = &request.lease_checkpoint {
            for checkpoint in &checkpoints.checkpoints {
                let (id, remaining) = (checkpoint.id, checkpoint.remaining_ttl);
                let batch = &mut self.writer.batch;
                let noted = self.lessor.checkpoint(id, remaining, &self.options.leases, batch);
                if let Err(error) = noted {
                    return Ok(Err(error));
                }
            }
            let header = Some(self.header());
            return Ok(Ok(Response::LeaseCheckpoint(LeaseCheckpointResponse { header })));
        }
        let kind = entry::unsupported_kind(request);
        Err(StateError::Unsupported { index: Index::new(entry.index), kind })
    }

    fn grant(&mut self, request: &LeaseGrantRequest) -> Result<Response, ApiError> {
        let batch = &mut self.writer.batch;
        let terms = self.lessor.grant(request.id, request.ttl, &self.options.leases, batch)?;
        Ok(Response::LeaseGrant(LeaseGrantResponse {
            header: Some(self.header()),
            id: request.id,
            ttl: terms.ttl,
            error: String::new(),
        }))
    }

    /// A read in the log changes nothing; it is answered if somebody waits for it.
    fn read(&self, request: &InternalRaftRequest, wanted: bool) -> Outcome {
        let Some(range) = request.range.as_ref().filter(|_| wanted) else {
            return Ok(Ok(Response::None));
        };
        let answer = self.writer.range(range)?;
        Ok(answer.map(|mut response| {
            self.complete(&mut response.header);
            Response::Range(response)
        }))
    }

    fn complete(&self, header: &mut Option<ResponseHeader>) {
        let revision = header.as_ref().map_or(0, |header| header.revision);
        *header = Some(ResponseHeader { revision, ..self.header() });
    }
}

/// The member of a path `/0/members/<hex>/attributes`.
fn attributes_member(path: &str) -> Option<MemberId> {
    let name = path.strip_prefix(ATTRIBUTES_FOLDER)?.strip_suffix("/attributes")?;
    let is_id = (1..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| name.parse().ok()).flatten()
}
