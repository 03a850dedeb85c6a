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
use lineage::{Fence, HighWater, Identity, Reservation};
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

#[test]
fn a_record_that_was_in_use_is_not_made_anew() {
    let disk = SimDisk::new();
    let record = create(&disk, "/d").unwrap();
    let charter: Charter = record.read().unwrap().unwrap();
    record.write(&Charter { bootstrap: Latch::Formed, ..charter }).unwrap();
    // R2
    assert!(matches!(create(&disk, "/d"), Err(RecordError::Exists { .. })));
    assert!(matches!(create(&disk, "/other"), Err(RecordError::Exists { .. })));
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
