//! What a record forbids, and what stands in it at each moment that power may go.

use std::path::PathBuf;

use base::Epoch;
use disk::sim::{Fault, SimDisk};
use lineage::{Attempt, FenceOrder, Hold, Identity, Reservation};
use records::NewCharter;
use uuid::Uuid;
use wire::raftpb::ConfState;

use super::*;
use crate::startup::{
    StartupError,
    tests::{end, grow, start_on},
};

const DATA: &str = "/data";

fn identity() -> Identity {
    let token = "etcd-cluster".to_owned();
    Identity { cluster: Uuid::from_u128(5), epoch: Epoch::new(1), token, cluster_id: None }
}

/// Makes the dir managed; the record is on a disk of its own in effect, but not in the simulation.
fn manage(disk: &SimDisk) -> Record {
    let new =
        NewCharter { identity: identity(), node: "a".to_owned(), data_dir: PathBuf::from(DATA) };
    Record::create(Arc::new(disk.clone()), Path::new("/records"), &new).unwrap()
}

async fn refused(disk: &SimDisk) -> Forbidden {
    let operations = disk.operations();
    match start_on(disk, &[]).await {
        Err(StartupError::Forbidden(forbidden)) => {
            let only_looked = !matches!(forbidden, Forbidden::Stale(_) | Forbidden::Foreign { .. });
            assert!(!only_looked || disk.operations() == operations, "something was written");
            forbidden
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_fenced_dir_is_not_run_r3() {
    let disk = SimDisk::new();
    let record = manage(&disk);
    end(start_on(&disk, &[]).await.unwrap());
    let fence: Fence = record.read().unwrap().unwrap();
    let attempt = Attempt { epoch: Epoch::new(2), by: Uuid::from_u128(1) };
    let order = FenceOrder { cluster: identity().cluster, replaces: Epoch::new(1), attempt };
    let promised = fence.promise(&order).unwrap();
    record.write(&promised).unwrap();
    let forbidden = refused(&disk).await;
    assert!(matches!(forbidden, Forbidden::Fenced(Refusal::Fenced { .. })), "{forbidden}");
    assert_eq!((forbidden.exit(), forbidden.code()), (8, "E-NODE-02"));
    // A newer lineage was opened: the old dir never runs again.
    record.write(&Fence { lineage: Epoch::new(2), hold: Hold::Free, ..promised.clone() }).unwrap();
    let forbidden = refused(&disk).await;
    assert!(matches!(forbidden, Forbidden::Fenced(Refusal::OtherLineage { .. })), "{forbidden}");
    // Given up: it may run as before.
    record.write(&promised.abort(attempt)).unwrap();
    end(start_on(&disk, &[]).await.unwrap());
}

#[tokio::test]
async fn what_the_record_does_not_say_is_unknown_r13() {
    let disk = SimDisk::new();
    let record = manage(&disk);
    end(start_on(&disk, &[]).await.unwrap());
    disk::replace(&disk, &record.dir().join("fence"), b"nonsense").unwrap();
    assert_eq!(refused(&disk).await.exit(), 9);
    disk.remove_file(&record.dir().join("fence")).unwrap();
    assert!(matches!(refused(&disk).await, Forbidden::NoFence(_)));
    disk.remove_file(&record.dir().join("charter")).unwrap();
    assert!(matches!(refused(&disk).await, Forbidden::Record(RecordError::Missing { .. })));
    disk::replace(&disk, &Marker::path(Path::new(DATA)), b"nonsense").unwrap();
    assert!(matches!(refused(&disk).await, Forbidden::Record(RecordError::Unreadable(_))));
}

#[tokio::test]
async fn an_emptied_dir_is_a_lost_one_and_begins_nothing_r2() {
    let disk = SimDisk::new();
    let _record = manage(&disk);
    end(start_on(&disk, &[]).await.unwrap());
    let wal = Path::new("/data/member/wal");
    for item in disk.list(wal).unwrap() {
        disk.remove_file(&item.path).unwrap();
    }
    assert!(matches!(refused(&disk).await, Forbidden::LostLog(_)));
}

#[tokio::test]
async fn a_log_older_than_its_marks_is_not_run_r17() {
    let disk = SimDisk::new();
    let record = manage(&disk);
    let mut started = start_on(&disk, &[]).await.unwrap();
    grow(&mut started, 5, false);
    end(started);
    let mark = |term, commit| HighWater {
        term: Term::new(term),
        acknowledged: Index::new(commit),
        commit: Index::new(commit),
        ..HighWater::default()
    };
    record.write(&mark(2, 5)).unwrap();
    end(start_on(&disk, &[]).await.unwrap());
    for stale in [mark(2, 6), mark(3, 5)] {
        record.write(&stale).unwrap();
        let forbidden = refused(&disk).await;
        assert!(matches!(forbidden, Forbidden::Stale(_)), "{forbidden}");
    }
    record.write(&mark(2, 5)).unwrap();
    let charter: Charter = record.read().unwrap().unwrap();
    let identity = Identity { cluster_id: Some(ClusterId::new(1)), ..identity() };
    record.write(&Charter { identity, ..charter }).unwrap();
    assert!(matches!(refused(&disk).await, Forbidden::Foreign { .. }));
}

#[tokio::test]
async fn a_copy_of_a_running_dir_is_not_run() {
    let disk = SimDisk::new();
    let _record = manage(&disk);
    let started = start_on(&disk, &[]).await.unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let copy = Managed::open(&shared, Path::new(DATA)).unwrap_err();
    assert!(matches!(copy, Forbidden::Record(RecordError::InUse { .. })), "{copy}");
    end(started);
}

fn configured(index: u64, voters: &[u64]) -> Configured {
    let members = ConfState { voters: voters.to_vec(), ..ConfState::default() };
    Configured { term: Term::new(1), index: Index::new(index), members }
}

/// What raft was told is noted is there after power went at any operation. (That raft acknowledges nothing before it was
/// told, the tests of `consensus` show.)
#[test]
fn what_was_noted_survives_the_loss_of_power_at_any_operation() {
    let note = |keeper: &mut Keeper, step: u64| -> Result<(), WitnessError> {
        let voters: Vec<u64> = (1..=step).collect();
        keeper.configurations(&[configured(step, &voters)])?;
        keeper.reserve(Term::new(step), Index::new(step * 100))
    };
    for cut in 0..60 {
        let disk = SimDisk::new();
        let record = Arc::new(manage(&disk));
        let reserver = Reserver::start(Arc::clone(&record), 50, false).unwrap();
        let mut keeper = Keeper { record: Arc::clone(&record), reserver };
        disk.power_off_after(cut);
        let acknowledged = (1..=8).take_while(|step| note(&mut keeper, *step).is_ok()).count();
        drop(keeper);
        disk.crash(cut);
        let step = u64::try_from(acknowledged).unwrap();
        if step == 0 {
            continue;
        }
        let reserved: Reservation = record.read().unwrap().unwrap();
        assert!(reserved.term.get() >= step && reserved.index.get() >= step * 100, "cut at {cut}");
        let all: Vec<Configuration> = record.read().unwrap().unwrap();
        let newest = all.last().unwrap().index.get();
        assert!(newest == step || newest == step + 1, "cut at {cut}: {newest} of {step}");
    }
}

#[test]
fn a_record_that_cannot_be_written_ends_the_acknowledging() {
    let disk = SimDisk::new();
    let record = Arc::new(manage(&disk));
    let reserver = Reserver::start(Arc::clone(&record), 50, false).unwrap();
    let mut keeper = Keeper { record, reserver };
    disk.fail_sync(1, Fault::Enospc);
    assert!(keeper.configurations(&[configured(1, &[1])]).is_err());
}
