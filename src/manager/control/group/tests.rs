//! The group on the simulated disk: what was committed survives, what is damaged is never "fresh".

use std::path::PathBuf;

use base::SystemClock;
use disk::{RealDisk, sim::SimDisk};

use super::*;
use crate::control::entry::Goal;

fn dir() -> PathBuf {
    PathBuf::from("/state/control")
}

async fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Control, ControlError> {
    Control::open(disk.clone(), Arc::new(SystemClock), dir).await
}

fn wanted(node: &str) -> Entry {
    Entry::Wanted { node: node.to_owned(), run: true }
}

/// Ends the group and waits until its log is free again.
async fn close(control: Control, disk: &Arc<dyn Disk>, dir: &Path) {
    drop(control);
    let patience = Duration::from_secs(20);
    let free = async {
        while matches!(Control::read(disk, dir), Err(ControlError::Log(_))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, free).await.expect("the log is free");
}

/// R13
#[tokio::test]
async fn what_was_committed_survives_a_power_cut() {
    for seed in 0..20 {
        println!("seed {seed}");
        let sim = SimDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let control = open(&disk, &dir()).await.unwrap();
        for number in 0..=seed {
            control.commit(wanted(&format!("n{number}"))).await.unwrap();
        }
        let before = control.state();
        close(control, &disk, &dir()).await;
        sim.crash(seed);
        let again = open(&disk, &dir()).await.unwrap();
        assert_eq!(again.state().nodes, before.nodes, "seed {seed}");
        close(again, &disk, &dir()).await;
    }
}

#[tokio::test]
async fn entries_are_folded_in_order_and_rejections_reach_their_proposer() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let control = open(&disk, &dir()).await.unwrap();
    control.commit(Entry::Goal(Goal::Converge(Default::default()))).await.unwrap();
    assert_eq!(control.state().goal, Some(Goal::Converge(Default::default())));
    let refused = control.commit(Entry::LineageFormed).await.unwrap_err();
    assert!(matches!(refused, ControlError::Rejected(Rejected::NotPrepared)), "{refused:?}");
    close(control, &disk, &dir()).await;
}

#[tokio::test]
async fn a_snapshot_takes_the_place_of_old_entries() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("control");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let control = open(&disk, &dir).await.unwrap();
    for number in 0..1100 {
        control.commit(wanted(&format!("n{}", number % 7))).await.unwrap();
    }
    let before = control.state();
    close(control, &disk, &dir).await;
    let snaps = std::fs::read_dir(dir.join("snap")).unwrap().count();
    assert_eq!(snaps, 1);
    assert_eq!(Control::read(&disk, &dir).unwrap(), *before);
    let again = open(&disk, &dir).await.unwrap();
    assert_eq!(again.state().nodes, before.nodes);
    close(again, &disk, &dir).await;
}

/// R13: never fresh.
#[tokio::test]
async fn a_lost_log_or_identity_is_not_a_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("control");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let control = open(&disk, &dir).await.unwrap();
    close(control, &disk, &dir).await;
    let wal = dir.join("wal");
    disk.rename(&wal, &folder.path().join("elsewhere")).unwrap();
    let lost = open(&disk, &dir).await.unwrap_err();
    assert!(matches!(lost, ControlError::Lost { .. }), "{lost:?}");
    disk.remove_file(&dir.join("identity")).unwrap();
    disk.create_dir_all(&folder.path().join("nodes/n1")).unwrap();
    let lost = open(&disk, &dir).await.unwrap_err();
    assert!(matches!(lost, ControlError::Lost { .. }), "{lost:?}");
}

/// R13
#[tokio::test]
async fn a_damaged_identity_is_unreadable_not_absent() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("control");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let control = open(&disk, &dir).await.unwrap();
    close(control, &disk, &dir).await;
    disk::replace(&*disk, &dir.join("identity"), b"checked-1 0 0\nx").unwrap();
    let damaged = open(&disk, &dir).await.unwrap_err();
    assert!(matches!(damaged, ControlError::Unreadable(_)), "{damaged:?}");
    assert!(matches!(Control::read(&disk, &dir), Err(ControlError::Unreadable(_))));
}

#[tokio::test]
async fn nothing_at_all_is_fresh_and_reading_it_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("control");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    assert_eq!(Control::read(&disk, &dir).unwrap(), ControlState::default());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_disk_that_fails_breaks_the_group_and_nothing_is_acknowledged() {
    let sim = SimDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let control = open(&disk, &dir()).await.unwrap();
    sim.fail_sync(1, disk::sim::Fault::Eio);
    let failed = control.commit(wanted("n1")).await.unwrap_err();
    assert!(matches!(failed, ControlError::Broken(_)), "{failed:?}");
    assert!(control.state().nodes.is_empty());
    let failed = control.commit(wanted("n2")).await.unwrap_err();
    assert!(matches!(failed, ControlError::Broken(_)), "{failed:?}");
}

/// R13: wherever the power goes, also in the very first start, the next start works and has every
/// acknowledged entry.
#[tokio::test]
async fn no_acknowledged_entry_is_lost_wherever_the_power_goes() {
    for operations in 1..90 {
        println!("power off after {operations} operations");
        let sim = SimDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        sim.power_off_after(operations);
        let mut acknowledged = Vec::new();
        if let Ok(control) = open(&disk, &dir()).await {
            for number in 0..20 {
                let name = format!("n{number}");
                match control.commit(wanted(&name)).await {
                    Ok(_) => acknowledged.push(name),
                    Err(_) => break,
                }
            }
        }
        sim.crash(operations);
        let again = open(&disk, &dir()).await.unwrap();
        let state = again.state();
        for name in acknowledged {
            assert!(state.is_wanted(&name), "{name} is lost");
        }
    }
}
