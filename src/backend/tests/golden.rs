//! Files of every format ever released stay readable.

use std::path::Path;

use super::{PATH, all_rows, empty_disk, open, patient, put};
use crate::Bucket;

#[test]
fn a_file_of_format_1_is_read_and_written() {
    let disk = empty_disk();
    let content = include_bytes!("../testdata/format-1.redb");
    disk::replace(&disk, Path::new(PATH), content).unwrap();
    let backend = open(&disk, patient()).unwrap();
    let rows = all_rows(&backend);
    assert_eq!(rows.len(), 200);
    for bucket in Bucket::ALL {
        for row in 0..20u8 {
            let value = rows.get(&(bucket, format!("{} {row:02}", bucket.name()).into_bytes()));
            let expected = vec![row; usize::from(row) * 10];
            if (bucket, row) == (Bucket::Meta, 7) {
                assert_eq!(value, None);
            } else {
                assert_eq!(value, Some(&expected));
            }
        }
    }
    assert_eq!(rows[&(Bucket::Key, b"large".to_vec())], vec![b'L'; 10_000]);
    assert!(backend.sizes().in_use_bytes > 10_000);
    backend.write(put(Bucket::Key, b"large", b"no more")).unwrap();
    backend.close().unwrap();
    assert_eq!(all_rows(&open(&disk, patient()).unwrap()).len(), 200);
}
