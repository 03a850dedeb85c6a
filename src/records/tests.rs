//! Records through crashes, damage, copies and moves of data dirs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Epoch, Index, Term};
use disk::{
    Disk, Open,
    sim::{Fault, SimDisk},
};
use lineage::{Attempt, Fence, HighWater, Identity, Reservation};
use uuid::Uuid;

use crate::*;

const ROOT: &str = "/records";

fn new(data_dir: &str) -> NewCharter {
    let identity = Identity {
        cluster: Uuid::from_u128(7),
        epoch: Epoch::new(1),
        token: "t".to_owned(),
        cluster_id: None,
    };
    NewCharter { identity, node: "n1".to_owned(), data_dir: PathBuf::from(data_dir) }
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn create(disk: &SimDisk, data_dir: &str) -> Result<Record, RecordError> {
    Record::create(shared(disk), Path::new(ROOT), &new(data_dir))
}

fn hold(disk: &SimDisk, data_dir: &str) -> Result<(Record, Charter), RecordError> {
    let marker = Marker::read(disk, Path::new(data_dir))?.expect("a marker");
    Record::hold(shared(disk), &marker)
}

#[test]
fn a_dir_is_managed_by_its_marker_alone() {
    let disk = SimDisk::new();
    assert_eq!(Marker::read(&disk, Path::new("/d")).unwrap(), None);
    let record = create(&disk, "/d").unwrap();
    assert_eq!(record.dir(), Path::new("/records/00000000-0000-0000-0000-000000000007/n1"));
    let (record, charter) = hold(&disk, "/d").unwrap();
    let fence: Fence = record.read().unwrap().unwrap();
    assert_eq!(fence.permits(&charter.identity), Ok(()));
    assert_eq!(record.read::<HighWater>().unwrap(), None);
    assert!(record_dir(Path::new(ROOT), Uuid::nil(), "../x").is_err());
    assert!(record_dir(Path::new(ROOT), Uuid::nil(), "").is_err());
}

#[test]
fn making_a_record_may_lose_power_at_any_moment_and_be_repeated() {
    let counted = SimDisk::new();
    drop(create(&counted, "/d").unwrap());
    for cut in 0..counted.operations() {
        let disk = SimDisk::new();
        disk.power_off_after(cut);
        drop(create(&disk, "/d"));
        disk.crash(cut);
        // Never a marker without its record.
        if Marker::read(&disk, Path::new("/d")).unwrap().is_some() {
            drop(hold(&disk, "/d").unwrap());
        }
        drop(create(&disk, "/d").unwrap());
        drop(hold(&disk, "/d").unwrap());
    }
}

#[test]
fn a_damaged_part_is_unknown_and_never_absent_r13() {
    let disk = SimDisk::new();
    let record = create(&disk, "/d").unwrap();
    let fence = record.dir().join("fence");
    let file = disk.open(&fence, Open::Write).unwrap();
    file.write_at(b"x", file.len().unwrap() - 3).unwrap();
    assert!(matches!(record.read::<Fence>(), Err(RecordError::Unreadable(_))));
    disk::replace_checked(&disk, &fence, b"{}").unwrap();
    assert!(matches!(record.read::<Fence>(), Err(RecordError::Format { .. })));
}

#[test]
fn a_record_belongs_to_one_dir_and_one_process() {
    let disk = SimDisk::new();
    drop(create(&disk, "/d").unwrap());
    let held = hold(&disk, "/d").unwrap();
    // A copy of the dir has the same claim: it may not run beside it.
    let marker = Marker::read(&disk, Path::new("/d")).unwrap().unwrap();
    marker.write(&disk, Path::new("/copy")).unwrap();
    assert!(matches!(hold(&disk, "/copy"), Err(RecordError::InUse { .. })));
    drop(held);
    // A moved dir is known by its claim.
    drop(hold(&disk, "/copy").unwrap());
    // Another dir that names the record is refused.
    Marker { claim: Uuid::from_u128(9), ..marker.clone() }
        .write(&disk, Path::new("/other"))
        .unwrap();
    assert!(matches!(hold(&disk, "/other"), Err(RecordError::Claimed { .. })));
    Marker { record: PathBuf::from("/gone"), ..marker }.write(&disk, Path::new("/lost")).unwrap();
    assert!(matches!(hold(&disk, "/lost"), Err(RecordError::Missing { .. })));
}

fn form(record: &Record) -> Charter {
    let charter: Charter = record.read().unwrap().unwrap();
    let formed = Charter { bootstrap: Latch::Formed, ..charter };
    record.write(&formed).unwrap();
    formed
}

#[test]
fn a_record_that_was_in_use_is_not_made_anew() {
    let disk = SimDisk::new();
    let record = create(&disk, "/d").unwrap();
    let formed = form(&record);
    drop(create(&disk, "/d").unwrap());
    assert_eq!(record.read::<Charter>().unwrap().unwrap(), formed, "its own dir: nothing changes");
    // R2, R17: a dir without the marker is not the one that held the log.
    assert!(matches!(create(&disk, "/other"), Err(RecordError::Exists { .. })));
    let marker = Marker::read(&disk, Path::new("/d")).unwrap().unwrap();
    Marker { claim: Uuid::from_u128(9), ..marker }.write(&disk, Path::new("/d")).unwrap();
    assert!(matches!(create(&disk, "/d"), Err(RecordError::Claimed { .. })));
}

fn create_in(disk: &SimDisk, epoch: u64) -> Result<Record, RecordError> {
    let mut new = new("/d");
    new.identity.epoch = Epoch::new(epoch);
    new.identity.token = format!("t-{epoch}");
    Record::create(shared(disk), Path::new(ROOT), &new)
}

#[test]
fn a_bootstrap_that_was_given_up_gives_way_and_never_comes_back_r3() {
    let counted = SimDisk::new();
    drop(create_in(&counted, 1).unwrap());
    let first = counted.operations();
    drop(create_in(&counted, 2).unwrap());
    for cut in first..=counted.operations() {
        let disk = SimDisk::new();
        drop(create_in(&disk, 1).unwrap());
        disk.power_off_after(cut - first);
        drop(create_in(&disk, 2));
        disk.crash(cut);
        let record = create_in(&disk, 2).unwrap();
        let marker = Marker::read(&disk, Path::new("/d")).unwrap().unwrap();
        let fence: Fence = record.read().unwrap().unwrap();
        assert_eq!(fence.permits(&marker.identity), Ok(()), "cut {cut}");
        assert!(matches!(create_in(&disk, 1), Err(RecordError::Refused(_))), "cut {cut}");
        form(&record);
        assert!(matches!(create_in(&disk, 3), Err(RecordError::Exists { .. })), "it had a log");
    }
}

#[test]
fn a_member_that_left_takes_its_record_along_and_the_promise_stays() {
    let full = SimDisk::new();
    let retire = |disk: &SimDisk| {
        let cluster = Uuid::from_u128(7);
        Record::retire(disk, Path::new(ROOT), (cluster, "n1"), "n1-a")
    };
    let prepare = |disk: &SimDisk| {
        let record = create(disk, "/d").unwrap();
        form(&record);
        record.write(&HighWater { commit: Index::new(9), ..HighWater::default() }).unwrap();
        let attempt = Attempt { epoch: Epoch::new(4), by: Uuid::from_u128(1) };
        let fence: Fence = record.read().unwrap().unwrap();
        let promised = Fence { promised: attempt, ..fence };
        record.write(&promised).unwrap();
        promised
    };
    prepare(&full);
    let first = full.operations();
    let place = retire(&full).unwrap().expect("a copy");
    let copy = Record::look(shared(&full), &place);
    assert_eq!(copy.read::<Charter>().unwrap().unwrap().bootstrap, Latch::Formed);
    assert_eq!(copy.read::<HighWater>().unwrap().unwrap().commit, Index::new(9));
    assert_eq!(retire(&full).unwrap(), None, "told twice");
    for cut in 0..=full.operations() - first {
        let disk = SimDisk::new();
        let promised = prepare(&disk);
        disk.power_off_after(cut);
        drop(retire(&disk));
        disk.crash(cut);
        drop(retire(&disk).unwrap());
        let next = create(&disk, "/next").unwrap();
        assert_eq!(next.read::<HighWater>().unwrap(), None, "cut {cut}: another member's mark");
        assert_eq!(next.read::<Fence>().unwrap(), Some(promised), "R3, cut {cut}");
        drop(hold(&disk, "/next").unwrap());
        assert!(matches!(hold(&disk, "/d"), Err(RecordError::Claimed { .. })), "never again");
    }
}

#[test]
fn a_record_that_a_node_uses_is_not_retired_and_one_without_its_fence_is_not_mended() {
    let disk = SimDisk::new();
    drop(create(&disk, "/d").unwrap());
    let held = hold(&disk, "/d").unwrap();
    let cluster = Uuid::from_u128(7);
    let retired = Record::retire(&disk, Path::new(ROOT), (cluster, "n1"), "x");
    assert!(matches!(retired, Err(RecordError::InUse { .. })));
    let fence = held.0.dir().join("fence");
    drop(held);
    disk.remove_file(&fence).unwrap();
    assert!(matches!(create(&disk, "/d"), Err(RecordError::NoFence { .. })), "R13");
}

#[test]
fn nothing_is_covered_that_is_not_durable_r17() {
    for in_background in [false, true] {
        let disk = SimDisk::new();
        let record = Arc::new(create(&disk, "/d").unwrap());
        let reserver = Reserver::start(Arc::clone(&record), 100, in_background).unwrap();
        for index in (1..2000_u64).step_by(7) {
            let term = Term::new(1 + index / 500);
            reserver.reserve(term, Index::new(index)).unwrap();
            let durable: Reservation = record.read().unwrap().unwrap();
            assert!(durable.term >= term && durable.index.get() >= index, "{index}: {durable:?}");
            assert!(durable.index.get() <= index + 200, "the bound stays near: {durable:?}");
        }
        drop(reserver);
        let again = Reserver::start(record, 100, in_background).unwrap();
        assert!(again.reserved().index.get() >= 1996);
    }
}

#[test]
fn a_reservation_that_cannot_be_written_covers_nothing_more() {
    for in_background in [false, true] {
        let disk = SimDisk::new();
        let record = Arc::new(create(&disk, "/d").unwrap());
        let reserver = Reserver::start(record, 100, in_background).unwrap();
        reserver.reserve(Term::new(1), Index::new(1)).unwrap();
        disk.fail_sync(1, Fault::Eio);
        assert!(reserver.reserve(Term::new(1), Index::new(1000)).is_err());
        assert!(reserver.reserve(Term::new(1), Index::new(2)).is_err(), "it stays so");
    }
}
