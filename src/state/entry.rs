//! Tells the two formats of normal entries apart and decodes them. Facts: surface E.2.

use base::Index;
use bytes::Bytes;
use prost::{Message, encoding::decode_varint};
use wire::{etcdserverpb::InternalRaftRequest, raftpb::Entry};

use crate::{error::StateError, v2};

/// What a normal entry asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// A new leader's first entry, or one that replaced a refused configuration change.
    Empty,
    /// An API v2 request, membership attributes and cluster version included.
    V2(v2::Request),
    /// Anything else.
    V3(Box<InternalRaftRequest>),
}

impl Command {
    pub(crate) fn decode(entry: &Entry) -> Result<Self, StateError> {
        let index = Index::new(entry.index);
        let Some(payload) = entry.data.as_ref().filter(|payload| !payload.is_empty()) else {
            return Ok(Self::Empty);
        };
        if is_v2(payload) {
            return v2_request(payload, index);
        }
        let request = InternalRaftRequest::decode(payload.clone())
            .map_err(|error| StateError::Entry { index, reason: error.to_string() })?;
        if !request.v2.is_empty() {
            return v2_request(&request.v2, index);
        }
        Ok(Self::V3(Box::new(request)))
    }
}

fn v2_request(payload: &Bytes, index: Index) -> Result<Command, StateError> {
    let request = v2::Request::decode(payload).ok_or_else(|| StateError::Entry {
        index,
        reason: "neither an internal request nor a v2 request".to_owned(),
    })?;
    if request.is_too_deep() {
        return Err(StateError::Unsupported { index, kind: "v2 request with a very deep path" });
    }
    Ok(Command::V2(request))
}

/// Whether a payload is a v2 request: field 1 is the id, and field 2 is one of the method names. In
/// an internal request field 2 is a whole message, which none of these names can be.
fn is_v2(payload: &[u8]) -> bool {
    let mut rest = payload;
    if rest.first() != Some(&0x08) {
        return false;
    }
    rest = &rest[1..];
    if decode_varint(&mut rest).is_err() {
        return false;
    }
    let [0x12, length, method @ ..] = rest else { return false };
    let method = method.get(..usize::from(*length));
    v2::METHODS.iter().any(|name| method == Some(name.as_bytes()))
}

/// The id under which the proposer waits for the outcome.
pub(crate) fn request_id(request: &InternalRaftRequest) -> u64 {
    match (request.id, &request.header) {
        (0, Some(header)) => header.id,
        (id, _) => id,
    }
}

/// Requests whose only effect is an answer: skipped where nobody waits for it.
pub(crate) fn only_reads(request: &InternalRaftRequest) -> bool {
    request.range.is_some()
        || request.auth_status.is_some()
        || request.auth_user_get.is_some()
        || request.auth_user_list.is_some()
        || request.auth_role_get.is_some()
        || request.auth_role_list.is_some()
}

/// The name of a request that this build cannot apply.
pub(crate) fn unsupported_kind(request: &InternalRaftRequest) -> &'static str {
    let kinds = [
        (request.auth_enable.is_some(), "auth_enable"),
        (request.auth_disable.is_some(), "auth_disable"),
        (request.authenticate.is_some(), "authenticate"),
        (request.auth_user_add.is_some(), "auth_user_add"),
        (request.auth_user_delete.is_some(), "auth_user_delete"),
        (request.auth_user_change_password.is_some(), "auth_user_change_password"),
        (request.auth_user_grant_role.is_some(), "auth_user_grant_role"),
        (request.auth_user_revoke_role.is_some(), "auth_user_revoke_role"),
        (request.auth_role_add.is_some(), "auth_role_add"),
        (request.auth_role_delete.is_some(), "auth_role_delete"),
        (request.auth_role_grant_permission.is_some(), "auth_role_grant_permission"),
        (request.auth_role_revoke_permission.is_some(), "auth_role_revoke_permission"),
    ];
    kinds.iter().find(|(is_it, _)| *is_it).map_or("unknown", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use wire::{
        etcdserverpb::{PutRequest, RequestHeader},
        v2pb,
    };

    use super::*;

    fn entry(payload: Vec<u8>) -> Entry {
        Entry { index: 5, term: 2, data: Some(payload.into()), ..Default::default() }
    }

    fn v2(method: &str, id: u64) -> Vec<u8> {
        v2pb::Request {
            id,
            method: method.to_owned(),
            path: "/1/x".to_owned(),
            ..Default::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn the_five_methods_are_v2_and_nothing_else_is() {
        for method in v2::METHODS {
            for id in [0, 1, u64::MAX] {
                let command = Command::decode(&entry(v2(method, id))).unwrap();
                assert!(matches!(command, Command::V2(request) if request.id == id), "{method}");
            }
        }
        assert!(Command::decode(&entry(v2("PATCH", 1))).is_err());
        let put = PutRequest { key: "PUT".into(), ..Default::default() };
        let request = InternalRaftRequest { id: 9, put: Some(put), ..Default::default() };
        let command = Command::decode(&entry(request.encode_to_vec())).unwrap();
        assert!(matches!(command, Command::V3(decoded) if *decoded == request));
    }

    #[test]
    fn a_v2_request_may_come_inside_an_internal_one() {
        let request =
            InternalRaftRequest { id: 3, v2: v2("DELETE", 4).into(), ..Default::default() };
        let command = Command::decode(&entry(request.encode_to_vec())).unwrap();
        assert!(matches!(command, Command::V2(inner) if inner.id == 4 && inner.method == "DELETE"));
    }

    #[test]
    fn an_entry_without_payload_is_empty_and_rubbish_is_an_error() {
        assert!(matches!(Command::decode(&Entry::default()).unwrap(), Command::Empty));
        assert!(matches!(Command::decode(&entry(vec![])).unwrap(), Command::Empty));
        let error = Command::decode(&entry(vec![0xff, 0xff])).unwrap_err();
        assert!(matches!(error, StateError::Entry { index, .. } if index == Index::new(5)));
    }

    #[test]
    fn the_header_s_id_counts_where_there_is_no_other() {
        let header = Some(RequestHeader { id: 7, ..Default::default() });
        let request = InternalRaftRequest { header, ..Default::default() };
        assert_eq!(request_id(&request), 7);
        assert_eq!(request_id(&InternalRaftRequest { id: 8, ..request }), 8);
    }
}
