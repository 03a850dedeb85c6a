//! A torn tail is repaired; every other damage is an error that names the file and the place.

use std::sync::Arc;

use disk::{Disk, Open, sim::SimDisk};
use proptest::prelude::{ProptestConfig, any, proptest};

use super::{config, dir, entries, entry, mark, names, new_wal, open, state};
use crate::{
    Wal, WalError,
    frames::{Frame, Frames},
    scan,
};

const SEGMENT_BYTES: u64 = 16 * 1024;
const FIRST: &str = "0000000000000000-0000000000000000.wal";

fn read(disk: &dyn Disk, name: &str) -> Vec<u8> {
    disk::read(disk, &dir().join(name)).unwrap()
}

fn overwrite(disk: &dyn Disk, name: &str, offset: usize, bytes: &[u8]) {
    let file = disk.open(&dir().join(name), Open::Write).unwrap();
    file.write_at(bytes, offset as u64).unwrap();
    file.sync().unwrap();
}

/// A log of several batches, and where each batch ends.
fn log_of_batches(payload: &[u8]) -> (SimDisk, Vec<usize>) {
    let (disk, mut wal) = new_wal(SEGMENT_BYTES);
    let mut ends = Vec::new();
    for index in 1..=4 {
        wal.append(&[entry(index, 1, payload)], Some(&state(1, index)), true).unwrap();
        let bytes = read(&disk, FIRST);
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        ends.push(end.next_multiple_of(8));
    }
    (disk, ends)
}

fn corrupt_at(disk: &SimDisk) -> (String, u64, String) {
    match open(disk, &mark(0, 0), SEGMENT_BYTES) {
        Err(WalError::Corrupt { path, offset, what }) => {
            (path.file_name().unwrap().to_string_lossy().into_owned(), offset, what)
        }
        other => panic!("{:?}", other.map(|(_, replay)| replay)),
    }
}

#[test]
fn a_torn_last_record_is_cut_off_and_a_copy_kept() {
    let (disk, ends) = log_of_batches(&[1; 1500]);
    // A sector in the middle of the last batch did not arrive.
    let hole = (ends[2] + 700) / 512 * 512;
    overwrite(&disk, FIRST, hole, &[0; 512]);
    let torn = read(&disk, FIRST);
    assert!(scan(&disk, dir()).unwrap().torn);
    assert!(read(&disk, FIRST) == torn, "a scan changes nothing");

    let (mut wal, replay) = open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap();
    assert!(replay.repaired);
    assert_eq!((replay.entries.len(), replay.hard_state), (3, state(1, 3)));
    assert!(read(&disk, &format!("{FIRST}.broken")) == torn);
    assert_eq!(read(&disk, FIRST).len(), ends[2]);
    wal.append(&[entry(4, 2, b"again")], Some(&state(2, 4)), true).unwrap();
    drop(wal);
    let (_, replay) = open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap();
    assert!(!replay.repaired);
    assert_eq!(replay.entries[3], entry(4, 2, b"again"));
}

#[test]
fn a_file_that_ends_inside_a_record_is_torn() {
    let (whole, ends) = log_of_batches(&[1; 1500]);
    let bytes = read(&whole, FIRST);
    for len in (ends[2] + 1)..ends[3] - 40 {
        let disk = SimDisk::new();
        disk.create_dir_all(dir()).unwrap();
        disk::replace(&disk, &dir().join(FIRST), &bytes[..len]).unwrap();
        let (_, replay) = open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap();
        assert_eq!((replay.repaired, replay.entries.len()), (true, 3), "{len}");
    }
}

#[test]
fn remains_behind_a_lost_beginning_are_cleared_before_appending() {
    let (disk, ends) = log_of_batches(&[1; 1500]);
    // The first sectors of the last batch did not arrive, later ones did.
    let from = ends[2];
    overwrite(&disk, FIRST, from, &vec![0; 1024 + 512 - from % 512]);
    let (wal, replay) = open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap();
    assert_eq!((replay.repaired, replay.entries.len()), (false, 3));
    drop(wal);
    assert_eq!(read(&disk, FIRST).len(), from);
}

#[test]
fn damage_that_is_no_torn_write_is_an_error_with_file_and_place() {
    let (disk, ends) = log_of_batches(&[1; 1500]);
    overwrite(&disk, FIRST, ends[2] + 300, &[2]);
    let (file, offset, what) = corrupt_at(&disk);
    assert_eq!((file.as_str(), offset), (FIRST, ends[2] as u64));
    assert_eq!(what, "its checksum does not match");
    assert_eq!(names(&disk), [FIRST], "nothing was changed");
    assert!(matches!(scan(&disk, dir()), Err(WalError::Corrupt { .. })));
}

#[test]
fn a_damaged_length_is_not_taken_for_a_torn_write() {
    let (disk, ends) = log_of_batches(&[1; 1500]);
    // Each of these makes the record reach into the zeroes behind, or beyond the file.
    for (byte, flipped) in [(1, 0x20), (2, 1), (3, 1), (6, 1), (7, 0x81), (7, 0x40)] {
        let good = read(&disk, FIRST)[ends[1] + byte];
        overwrite(&disk, FIRST, ends[1] + byte, &[good ^ flipped]);
        let (_, offset, _) = corrupt_at(&disk);
        assert_eq!(offset, ends[1] as u64, "byte {byte}");
        overwrite(&disk, FIRST, ends[1] + byte, &[good]);
    }
    open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap();
}

/// etcd would cut all this off in silence: acknowledged entries would be gone.
#[test]
fn lost_records_before_synced_ones_are_not_taken_for_a_torn_tail() {
    // A payload of zeroes makes any damaged record look torn.
    for payload in [&[0; 1500][..], &[1; 1500]] {
        let (disk, ends) = log_of_batches(payload);
        let hole = (ends[0] + 700) / 512 * 512;
        overwrite(&disk, FIRST, hole, &[9; 100]);
        overwrite(&disk, FIRST, hole + 512, &[0; 512]);
        let (_, offset, what) = corrupt_at(&disk);
        assert_eq!(offset, ends[0] as u64);
        assert!(what.starts_with("records are lost here: the one at "), "{what}");
    }
    // So does a whole sector of zeroes that holds the beginning of a record.
    let (disk, ends) = log_of_batches(&[1; 1500]);
    overwrite(&disk, FIRST, ends[0], &vec![0; 512 - ends[0] % 512]);
    let (_, offset, what) = corrupt_at(&disk);
    assert_eq!(offset, ends[0] as u64);
    assert!(what.starts_with("records are lost here"), "{what}");
}

#[test]
fn without_syncs_the_order_of_records_proves_nothing() {
    let (disk, ends) = log_of_batches(&[1; 1500]);
    overwrite(&disk, FIRST, ends[0], &vec![0; 512 - ends[0] % 512]);
    let unsynced = crate::WalConfig { sync: false, ..config(SEGMENT_BYTES) };
    let (_, replay) = Wal::open(Arc::new(disk), dir(), &mark(0, 0), unsynced).unwrap();
    assert_eq!(replay.entries.len(), 1);
}

/// Three segments or more.
fn log_of_segments() -> (SimDisk, Vec<String>) {
    let (disk, mut wal) = new_wal(2000);
    for index in 1..=8 {
        wal.append(&[entry(index, 1, &[1; 900])], Some(&state(1, index)), true).unwrap();
    }
    drop(wal);
    let mut segments = names(&disk);
    segments.retain(|name| name.ends_with(".wal"));
    assert!(segments.len() >= 3, "{segments:?}");
    (disk, segments)
}

#[test]
fn only_the_last_segment_may_be_torn() {
    let (disk, segments) = log_of_segments();
    overwrite(&disk, &segments[1], 512, &[0; 512]);
    assert_eq!(corrupt_at(&disk).0, segments[1]);
}

#[test]
fn records_missing_at_the_end_of_a_segment_break_the_chain() {
    let (disk, segments) = log_of_segments();
    let path = dir().join(&segments[0]);
    let mut frames = Frames::open(&disk, &path).unwrap();
    while let Frame::Record(_) = frames.next().unwrap() {}
    // The last record goes, whole: the segment by itself looks fine.
    disk.open(&path, Open::Write).unwrap().set_len(frames.previous()).unwrap();
    let (file, offset, what) = corrupt_at(&disk);
    assert_eq!((file, offset), (segments[1].clone(), 0));
    assert_eq!(what, "its checksum does not continue that of the segment before");
}

#[test]
fn a_missing_segment_is_an_error() {
    let (disk, segments) = log_of_segments();
    disk.remove_file(&dir().join(&segments[1])).unwrap();
    let (file, _, what) = corrupt_at(&disk);
    assert_eq!(file, segments[2]);
    assert!(what.contains("a segment is missing"), "{what}");
    assert!(scan(&disk, dir()).is_err());
}

#[test]
fn a_segment_of_another_member_is_an_error() {
    let (disk, segments) = log_of_segments();
    let (other, mut wal) = {
        let other = SimDisk::new();
        let foreign = wire::walpb::Metadata { node_id: 1, cluster_id: 2 };
        let wal = Wal::create(Arc::new(other.clone()), dir(), foreign, config(2000)).unwrap();
        (other, wal)
    };
    wal.append(&entries(1..=3), None, true).unwrap();
    disk::replace(&disk, &dir().join(&segments[1]), &read(&other, FIRST)).unwrap();
    assert_eq!(corrupt_at(&disk).0, segments[1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    /// Whatever a flipped bit does, it never adds or changes entries, and never panics.
    #[test]
    fn a_flipped_bit_invents_nothing(position in 0_usize..7000, bit in 0_u8..8, zeroes in any::<bool>()) {
        let (disk, _) = log_of_batches(if zeroes { &[0; 1500] } else { &[1; 1500] });
        let before = open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap().1;
        let bytes = read(&disk, FIRST);
        overwrite(&disk, FIRST, position, &[bytes[position] ^ (1 << bit)]);
        if let Ok((_, after)) = open(&disk, &mark(0, 0), SEGMENT_BYTES) {
            let count = after.entries.len();
            assert!(count <= before.entries.len());
            assert_eq!(after.entries, before.entries[..count]);
        }
    }
}
