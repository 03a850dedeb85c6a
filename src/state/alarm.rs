//! Alarms: raised and disarmed through the log, kept in the backend, blocking requests cluster-wide. Facts: surface A.3, F.5.

use std::{
    collections::BTreeSet,
    ops::{Bound, ControlFlow},
};

use backend::{Backend, Bucket, WriteBatch};
use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use wire::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, InternalRaftRequest,
    alarm_request::AlarmAction,
};

use crate::{
    error::{ApiError, StateError},
    quota,
};

/// Shared with whoever reports health. Written by the applier only.
#[derive(Debug, Default)]
pub struct Alarms {
    /// Kind and member, so that listing goes by kind.
    active: RwLock<BTreeSet<(i32, u64)>>,
}

impl Alarms {
    /// All active alarms, by kind, then member.
    #[must_use]
    pub fn list(&self) -> Vec<AlarmMember> {
        self.of_kind(AlarmType::None)
    }

    /// Whether any member raised this alarm.
    #[must_use]
    pub fn is_active(&self, kind: AlarmType) -> bool {
        let kind = i32::from(kind);
        self.active.read().range((kind, 0)..=(kind, u64::MAX)).next().is_some()
    }

    fn of_kind(&self, wanted: AlarmType) -> Vec<AlarmMember> {
        let active = self.active.read();
        let wanted = i32::from(wanted);
        let chosen = active.iter().filter(|(kind, _)| wanted == 0 || *kind == wanted);
        chosen.map(|(kind, member)| AlarmMember { member_id: *member, alarm: *kind }).collect()
    }

    /// Reads the bucket anew.
    pub(crate) fn load(&self, backend: &Backend) -> Result<(), StateError> {
        let mut active = BTreeSet::new();
        let mut damaged = false;
        backend.scan(Bucket::Alarm, Bound::Unbounded, Bound::Unbounded, &mut |key, _| {
            let Ok(alarm) = AlarmMember::decode(key) else {
                damaged = true;
                return ControlFlow::Break(());
            };
            active.insert((alarm.alarm, alarm.member_id));
            ControlFlow::Continue(())
        })?;
        if damaged {
            return Err(StateError::Damaged("alarm row".to_owned()));
        }
        *self.active.write() = active;
        Ok(())
    }

    /// Why the active alarms forbid a request, if they do. Depends on the set of alarms only, not on
    /// the order they were raised in; data loss weighs more than lack of space.
    pub(crate) fn forbid(&self, request: &InternalRaftRequest) -> Option<ApiError> {
        if self.active.read().is_empty() {
            return None;
        }
        let growing =
            request.put.is_some() || request.lease_grant.is_some() || quota::cost(request) > 0;
        let touching = growing
            || request.range.is_some()
            || request.delete_range.is_some()
            || request.txn.is_some()
            || request.compaction.is_some()
            || request.lease_revoke.is_some();
        if touching && self.is_active(AlarmType::Corrupt) {
            return Some(ApiError::Corrupt);
        }
        (growing && self.is_active(AlarmType::Nospace)).then_some(ApiError::NoSpace)
    }

    pub(crate) fn apply(&self, request: &AlarmRequest, batch: &mut WriteBatch) -> AlarmResponse {
        let member = AlarmMember { member_id: request.member_id, alarm: request.alarm };
        let entry = (member.alarm, member.member_id);
        let kind = AlarmType::try_from(member.alarm);
        let row_key = || Bytes::from(member.encode_to_vec());
        let alarms = match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => kind.map(|kind| self.of_kind(kind)).unwrap_or_default(),
            // A kind we do not know would make a Go member panic; it has no effect here.
            Ok(AlarmAction::Activate) => match kind {
                Ok(AlarmType::None) | Err(_) => Vec::new(),
                Ok(AlarmType::Nospace | AlarmType::Corrupt) => {
                    if self.active.write().insert(entry) {
                        batch.put(Bucket::Alarm, row_key(), Bytes::new());
                    }
                    vec![member]
                }
            },
            Ok(AlarmAction::Deactivate) => {
                if self.active.write().remove(&entry) {
                    batch.delete(Bucket::Alarm, row_key());
                    vec![member]
                } else {
                    Vec::new()
                }
            }
            Err(_) => Vec::new(),
        };
        AlarmResponse { header: None, alarms }
    }
}

#[cfg(test)]
mod tests {
    use wire::etcdserverpb::{
        CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
        RangeRequest, RequestOp, TxnRequest, request_op,
    };

    use super::*;

    fn request(action: AlarmAction, member_id: u64, alarm: AlarmType) -> AlarmRequest {
        AlarmRequest { action: action.into(), member_id, alarm: alarm.into() }
    }

    fn raised(kinds: &[AlarmType]) -> Alarms {
        let (alarms, mut batch) = (Alarms::default(), WriteBatch::default());
        for kind in kinds {
            alarms.apply(&request(AlarmAction::Activate, 7, *kind), &mut batch);
        }
        alarms
    }

    #[test]
    fn raising_twice_and_disarming_by_member_and_kind() {
        let (alarms, mut batch) = (Alarms::default(), WriteBatch::default());
        let mut apply = |action, member, kind| {
            alarms.apply(&request(action, member, kind), &mut batch).alarms.len()
        };
        assert_eq!(apply(AlarmAction::Activate, 1, AlarmType::Nospace), 1);
        assert_eq!(apply(AlarmAction::Activate, 1, AlarmType::Nospace), 1);
        assert_eq!(apply(AlarmAction::Activate, 2, AlarmType::Corrupt), 1);
        assert_eq!(apply(AlarmAction::Activate, 2, AlarmType::None), 0);
        assert_eq!(apply(AlarmAction::Get, 0, AlarmType::None), 2);
        assert_eq!(apply(AlarmAction::Get, 0, AlarmType::Corrupt), 1);
        assert_eq!(apply(AlarmAction::Deactivate, 9, AlarmType::Nospace), 0);
        assert_eq!(apply(AlarmAction::Deactivate, 1, AlarmType::Nospace), 1);
        assert!(!alarms.is_active(AlarmType::Nospace) && alarms.is_active(AlarmType::Corrupt));
        assert_eq!(batch.len(), 3, "each alarm is written once and the disarmed one deleted");
    }

    #[test]
    fn no_space_blocks_what_grows_and_corrupt_blocks_what_touches_keys() {
        let put = PutRequest { key: "k".into(), ..Default::default() };
        let put_op = RequestOp { request: Some(request_op::Request::RequestPut(put.clone())) };
        let base = InternalRaftRequest::default;
        let growing = [
            InternalRaftRequest { put: Some(put), ..base() },
            InternalRaftRequest { lease_grant: Some(LeaseGrantRequest::default()), ..base() },
            InternalRaftRequest {
                txn: Some(TxnRequest { failure: vec![put_op], ..Default::default() }),
                ..base()
            },
        ];
        let touching = [
            InternalRaftRequest { range: Some(RangeRequest::default()), ..base() },
            InternalRaftRequest { delete_range: Some(DeleteRangeRequest::default()), ..base() },
            InternalRaftRequest { txn: Some(TxnRequest::default()), ..base() },
            InternalRaftRequest { compaction: Some(CompactionRequest::default()), ..base() },
            InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest::default()), ..base() },
        ];
        let free = InternalRaftRequest { alarm: Some(AlarmRequest::default()), ..base() };
        let both = raised(&[AlarmType::Corrupt, AlarmType::Nospace]);
        for request in &growing {
            assert_eq!(raised(&[]).forbid(request), None);
            assert_eq!(raised(&[AlarmType::Nospace]).forbid(request), Some(ApiError::NoSpace));
            assert_eq!(both.forbid(request), Some(ApiError::Corrupt));
        }
        for request in &touching {
            assert_eq!(raised(&[AlarmType::Nospace]).forbid(request), None);
            assert_eq!(both.forbid(request), Some(ApiError::Corrupt));
        }
        assert_eq!(both.forbid(&free), None);
    }
}
