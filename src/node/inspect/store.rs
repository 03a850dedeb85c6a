//! The backend of a stopped member, ours or a Go etcd's, read without changing it.

use std::{ops::ControlFlow, path::Path};

use backend::{Bucket, InspectError, Inspection};
use base::MemberId;
use bolt::BoltError;
use disk::Disk;
use prost::Message as _;
use wire::etcdserverpb::{AlarmMember, AlarmType};

use super::report::{Alarm, Integrity, Member, Membership, Store};

/// What the rows say.
#[derive(Debug, Default)]
pub(super) struct Facts {
    consistent_index: Option<u64>,
    term: Option<u64>,
    compacted: Option<i64>,
    revision: Option<i64>,
    key_rows: u64,
    alarms: Vec<Alarm>,
    members: Vec<Member>,
    removed: Vec<String>,
    version: Option<String>,
    /// Rows that make no sense.
    senseless: Vec<String>,
}

impl Facts {
    fn take(&mut self, bucket: Bucket, key: &[u8], value: &[u8]) {
        match bucket {
            Bucket::Meta => self.take_meta(key, value),
            Bucket::Key => self.take_key(key),
            Bucket::Alarm => match AlarmMember::decode(key) {
                Ok(alarm) => self.alarms.push(Alarm {
                    member_id: MemberId::new(alarm.member_id).to_string(),
                    kind: AlarmType::try_from(alarm.alarm)
                        .map_or("unknown", |kind| kind.as_str_name())
                        .to_owned(),
                }),
                Err(error) => self.senseless.push(format!("an alarm: {error}")),
            },
            Bucket::Members => match state::Member::from_json(value) {
                Ok(member) => self.members.push(super::member(member)),
                Err(error) => self.senseless.push(format!("a member: {error}")),
            },
            Bucket::MembersRemoved => self.removed.push(String::from_utf8_lossy(key).into_owned()),
            Bucket::Cluster if key == b"clusterVersion" => {
                self.version = Some(String::from_utf8_lossy(value).into_owned());
            }
            Bucket::Cluster
            | Bucket::Auth
            | Bucket::AuthRoles
            | Bucket::AuthUsers
            | Bucket::Lease => {}
        }
    }

    fn take_meta(&mut self, key: &[u8], value: &[u8]) {
        let number = || value.try_into().ok().map(u64::from_be_bytes);
        match key {
            b"consistent_index" => self.consistent_index = number(),
            b"term" => self.term = number(),
            b"finishedCompactRev" | b"scheduledCompactRev" => {
                self.compacted = self.compacted.max(main_revision(value));
            }
            _ => {}
        }
    }

    fn take_key(&mut self, key: &[u8]) {
        self.key_rows += 1;
        match main_revision(key) {
            Some(revision) => self.revision = self.revision.max(Some(revision)),
            None => self.senseless.push("a row key of the key space".to_owned()),
        }
    }

    /// The revision of an empty key space is 1; a compaction may have taken the newest rows.
    fn revision(&self) -> i64 {
        self.revision.max(self.compacted).unwrap_or_default().max(1)
    }

    pub(super) fn consistent_index(&self) -> Option<u64> {
        self.consistent_index
    }

    pub(super) fn membership(self) -> Membership {
        let Self { members, removed, version, .. } = self;
        Membership { source: "backend", cluster_version: version, members, removed }
    }
}

/// The first half of `MAIN_SUB`, both 8 bytes.
fn main_revision(key: &[u8]) -> Option<i64> {
    let (main, rest) = key.split_first_chunk()?;
    (matches!(rest.len(), 9 | 10) && rest[0] == b'_').then(|| i64::from_be_bytes(*main))
}

/// Our redb file.
pub(super) fn look_redb(disk: &dyn Disk, path: &Path) -> (Store, Option<Facts>) {
    let mut store = blank("redb", path);
    match read_redb(disk, path, &mut store) {
        Ok(facts) => finish(store, facts),
        Err(InspectError::Absent) => (store, None),
        Err(InspectError::Unreadable(error)) => {
            store.integrity = Integrity::unreadable(error.to_string());
            (store, None)
        }
        Err(InspectError::Corrupt(what)) => {
            store.integrity = Integrity::corrupt(path, what);
            (store, None)
        }
    }
}

fn read_redb(disk: &dyn Disk, path: &Path, store: &mut Store) -> Result<Facts, InspectError> {
    let inspection = Inspection::open(disk, path)?;
    store.bytes = Some(inspection.used_bytes);
    store.in_use_bytes = Some(inspection.in_use_bytes.min(inspection.used_bytes));
    store.needs_repair = Some(inspection.needs_repair);
    let mut facts = Facts::default();
    for bucket in
        [Bucket::Meta, Bucket::Members, Bucket::MembersRemoved, Bucket::Cluster, Bucket::Alarm]
    {
        inspection.scan(bucket, &mut |key, value| {
            facts.take(bucket, key, value);
            ControlFlow::Continue(())
        })?;
    }
    let (rows, last) = inspection.extent(Bucket::Key)?;
    facts.key_rows = rows;
    facts.revision = last.as_deref().and_then(main_revision);
    Ok(facts)
}

/// A Go etcd's bbolt file. It has no checksums over its pages: only their structure can be judged.
pub(super) fn look_bolt(disk: &dyn Disk, path: &Path) -> (Store, Option<Facts>) {
    let mut store = blank("bbolt", path);
    let mut facts = Facts::default();
    let mut in_use = 0_u64;
    let read = bolt::Reader::open(disk, path).and_then(|reader| {
        reader.scan_all(&mut |bucket, key, value| {
            let row = key.len().saturating_add(value.len());
            in_use = in_use.saturating_add(u64::try_from(row).unwrap_or(u64::MAX));
            if let Some(bucket) = Bucket::from_name(bucket) {
                facts.take(bucket, key, value);
            }
            ControlFlow::Continue(())
        })
    });
    let len = disk.open(path, disk::Open::Read).and_then(|file| file.len());
    store.bytes = len.ok();
    match read {
        Ok(()) => {
            store.in_use_bytes = Some(in_use);
            store.needs_repair = Some(false);
            finish(store, facts)
        }
        Err(BoltError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            (store, None)
        }
        Err(error @ BoltError::Read { .. }) => {
            store.integrity = Integrity::unreadable(base::ErrorChain(&error).to_string());
            (store, None)
        }
        Err(error) => {
            store.integrity = Integrity::corrupt(path, error.to_string());
            (store, None)
        }
    }
}

fn blank(engine: &'static str, path: &Path) -> Store {
    Store {
        integrity: Integrity::ABSENT,
        engine,
        path: path.display().to_string(),
        bytes: None,
        in_use_bytes: None,
        needs_repair: None,
        consistent_index: None,
        term: None,
        revision: None,
        compacted_revision: None,
        key_rows: None,
        alarms: Vec::new(),
    }
}

fn finish(store: Store, mut facts: Facts) -> (Store, Option<Facts>) {
    let integrity = match facts.senseless.first() {
        None => Integrity::INTACT,
        Some(first) => {
            Integrity::corrupt(Path::new(&store.path), format!("senseless row: {first}"))
        }
    };
    let store = Store {
        integrity,
        consistent_index: facts.consistent_index,
        term: facts.term,
        revision: Some(facts.revision()),
        compacted_revision: facts.compacted,
        key_rows: Some(facts.key_rows),
        alarms: std::mem::take(&mut facts.alarms),
        ..store
    };
    (store, Some(facts))
}
