//! Looking into a file finds what a start would find, sees damage, and changes nothing.

use std::{ops::ControlFlow, path::Path};

use disk::{Disk, Open, sim::SimDisk};
use proptest::prelude::*;

use super::{PATH, Rows, all_rows, empty_disk, open, patient, put, revision};
use crate::{Bucket, InspectError, Inspection};

fn inspected_rows(inspection: &Inspection) -> Rows {
    let mut rows = Rows::new();
    for bucket in Bucket::ALL {
        let visit = &mut |key: &[u8], value: &[u8]| {
            rows.insert((bucket, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        };
        inspection.scan(bucket, visit).unwrap();
    }
    rows
}

/// A file of some pages, and its rows.
fn filled(close: bool) -> (SimDisk, Rows) {
    let disk = empty_disk();
    let backend = open(&disk, patient()).unwrap();
    for n in 0..300_u64 {
        backend
            .write(put(Bucket::Key, &revision(n), &[u8::try_from(n % 251).unwrap(); 300]))
            .unwrap();
        if n % 50 == 0 {
            backend.flush().unwrap();
        }
    }
    backend.flush().unwrap();
    let rows = all_rows(&backend);
    if close {
        backend.close().unwrap();
    } else {
        // The process dies: its handle never gets to close the file.
        disk.crash(7);
    }
    (disk, rows)
}

fn content(disk: &SimDisk) -> Vec<u8> {
    disk::read(disk, Path::new(PATH)).unwrap()
}

#[test]
fn rows_are_found_as_they_are_after_a_close_and_after_a_crash() {
    for close in [true, false] {
        let (disk, rows) = filled(close);
        let (before, operations) = (content(&disk), disk.operations());
        let inspection = Inspection::open(&disk, Path::new(PATH)).unwrap();
        assert!(inspected_rows(&inspection) == rows, "closed: {close}");
        let (count, last) = inspection.extent(Bucket::Key).unwrap();
        assert_eq!((count, last), (300, Some(revision(299))));
        drop(inspection);
        assert_eq!(disk.operations(), operations, "something was written");
        assert!(content(&disk) == before);
    }
}

#[test]
fn nothing_and_no_backend_are_told_apart() {
    let disk = empty_disk();
    let look = || Inspection::open(&disk, Path::new(PATH));
    assert!(matches!(look(), Err(InspectError::Absent)));
    for content in [&b""[..], b"no database", &[0; 20_000]] {
        disk::replace(&disk, Path::new(PATH), content).unwrap();
        assert!(matches!(look(), Err(InspectError::Corrupt(_))), "{} bytes", content.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn damage_is_seen_or_is_where_nothing_is_kept(place in 0.0..1.0_f64, bit in 0..8_u32, close: bool) {
        let (disk, rows) = filled(close);
        let mut bytes = content(&disk);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any place will do")]
        let at = (bytes.len() as f64 * place) as usize;
        bytes[at] ^= 1 << bit;
        disk.open(Path::new(PATH), Open::Write).unwrap().write_at(&bytes, 0).unwrap();
        let operations = disk.operations();
        match Inspection::open(&disk, Path::new(PATH)) {
            Ok(inspection) => prop_assert!(inspected_rows(&inspection) == rows, "at {at}"),
            Err(InspectError::Corrupt(_)) => {}
            Err(error) => prop_assert!(false, "{error:?}"),
        }
        prop_assert_eq!(disk.operations(), operations);
    }
}
