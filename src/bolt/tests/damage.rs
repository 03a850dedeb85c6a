//! Damaged and hostile files: an error or true rows, never a panic, never an endless walk.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::{disk_with, golden, large, open, read_all, write_all};
use crate::{
    BoltError,
    format::{FLAG_BRANCH, FLAG_LEAF, Meta, PAGE_BYTES, header},
};

/// Reads as much as can be read; counts rows.
fn read_freely(content: &[u8]) -> Result<usize, BoltError> {
    let reader = open(&disk_with(content))?;
    let mut rows = 0;
    reader.scan_all(&mut |_, _, _| {
        rows += 1;
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// A file of these pages (from page 2 on), with root 2.
fn file(pages: &[Vec<u8>]) -> Vec<u8> {
    let high_water = 2 + u64::try_from(pages.len()).unwrap();
    let metas = [0, 1].map(|transaction| {
        let meta = Meta { page_bytes: PAGE_BYTES, root: 2, freelist: 3, high_water, transaction };
        meta.encode_page()
    });
    let mut content = metas.concat();
    for page in pages {
        let mut page = page.clone();
        page.resize(PAGE_BYTES, 0);
        content.extend_from_slice(&page);
    }
    content
}

/// A branch page with these children.
fn branch(page: u64, children: &[(&[u8], u64)]) -> Vec<u8> {
    let mut bytes = header(page, FLAG_BRANCH, u16::try_from(children.len()).unwrap(), 0);
    let mut place = children.len() * 16;
    for (position, (key, child)) in children.iter().enumerate() {
        bytes.extend_from_slice(&u32::try_from(place - position * 16).unwrap().to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(key.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&child.to_le_bytes());
        place += key.len();
    }
    for (key, _) in children {
        bytes.extend_from_slice(key);
    }
    bytes
}

fn complaint(content: &[u8]) -> String {
    match read_freely(content) {
        Err(BoltError::Damaged { what, .. }) => what,
        other => panic!("{other:?} instead of a complaint"),
    }
}

#[test]
fn the_newer_valid_meta_counts() {
    let mut content = write_all(&large());
    let whole = read_freely(&content).unwrap();
    // The second meta (transaction 1) is the newer one.
    content[PAGE_BYTES + 30] ^= 1;
    assert_eq!(read_freely(&content).unwrap(), whole);
    content[PAGE_BYTES + 30] ^= 1;
    content[30] ^= 1;
    assert_eq!(read_freely(&content).unwrap(), whole);
    content[PAGE_BYTES + 30] ^= 1;
    assert!(complaint(&content).contains("neither"));
    let empty = file(&[header(2, FLAG_LEAF, 0, 0)]);
    let mut mixed = write_all(&large());
    let newer =
        Meta { page_bytes: PAGE_BYTES, root: 2, freelist: 3, high_water: 3, transaction: 9 };
    mixed[PAGE_BYTES..2 * PAGE_BYTES].copy_from_slice(&newer.encode_page());
    mixed[2 * PAGE_BYTES..3 * PAGE_BYTES].copy_from_slice(&empty[2 * PAGE_BYTES..]);
    assert_eq!(read_freely(&mixed).unwrap(), 0);
}

#[test]
fn another_page_size_is_read() {
    for page_bytes in [1024, 16384, 65536] {
        let meta = Meta { page_bytes, root: 2, freelist: 3, high_water: 3, transaction: 1 };
        let mut content = vec![0xAA; page_bytes];
        content.extend_from_slice(&meta.encode_page());
        let mut leaf = header(2, FLAG_LEAF, 0, 0);
        leaf.resize(page_bytes, 0);
        content.extend_from_slice(&leaf);
        assert_eq!(read_freely(&content).unwrap(), 0);
    }
}

#[test]
fn a_file_cut_short_is_refused_at_open() {
    let content = write_all(&large());
    for length in [0, 1, 100, 4096, 8192, content.len() / 2, content.len() - 1] {
        assert!(open(&disk_with(&content[..length])).is_err(), "cut to {length}");
    }
    let mut longer = content;
    longer.extend_from_slice(&[7; 32]);
    assert!(open(&disk_with(&longer)).is_ok(), "a checksum may follow");
}

#[test]
fn walks_end_on_pages_that_point_at_each_other() {
    let own = branch(2, &[(b"a", 2)]);
    assert!(complaint(&file(&[own])).contains("deeper"));
    let twice: Vec<_> =
        (2..30).map(|page| branch(page, &[(b"a", page + 1), (b"b", page + 1)])).collect();
    let mut pages = twice;
    pages.push(header(30, FLAG_LEAF, 0, 0));
    assert!(complaint(&file(&pages)).contains("empty"), "and not after 2^28 visits");
    assert!(
        complaint(&file(&[branch(2, &[(b"b", 3), (b"a", 3)]), branch(3, &[])])).contains("empty")
    );
}

#[test]
fn numbers_that_lie_are_refused_before_memory_is_taken() {
    let overflow = header(2, FLAG_LEAF, 0, u32::MAX);
    assert!(complaint(&file(&[overflow])).contains("beyond"));
    let crowded = header(2, FLAG_LEAF, u16::MAX, 0);
    assert!(complaint(&file(&[crowded])).contains("more elements"));
    let mut far = header(2, FLAG_LEAF, 1, 0);
    far.extend_from_slice(&[
        1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0,
    ]);
    assert!(complaint(&file(&[far])).contains("outside"));
    assert!(complaint(&file(&[header(7, FLAG_LEAF, 0, 0)])).contains("number"));
    assert!(complaint(&file(&[header(2, 4, 0, 0)])).contains("neither"));
    assert!(complaint(&file(&[branch(2, &[(b"a", 99)])])).contains("outside"));
    assert!(complaint(&file(&[branch(2, &[(b"a", 0)])])).contains("outside"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic_the_reader(
        changes in prop::collection::vec((8192..65536usize, any::<u8>()), 1..40),
    ) {
        let mut content = golden::ETCD_3_5_1.to_vec();
        for (at, byte) in changes {
            content[at] = byte;
        }
        let reader = open(&disk_with(&content)).unwrap();
        let _outcome = read_all(&reader);
    }

    #[test]
    fn changed_headers_and_elements_never_panic_the_reader(
        changes in prop::collection::vec((2..19usize, 0..96usize, any::<u8>()), 1..8),
    ) {
        let mut content = golden::ETCD_3_4_23.to_vec();
        for (page, at, byte) in changes {
            content[page * PAGE_BYTES + at] = byte;
        }
        let reader = open(&disk_with(&content)).unwrap();
        let _outcome = read_all(&reader);
    }

    #[test]
    fn swapped_pages_never_panic_the_reader(
        (from, to) in (2..19usize, 2..19usize),
        keep_number: bool,
    ) {
        let mut content = golden::ETCD_3_4_23.to_vec();
        let skip = if keep_number { 8 } else { 0 };
        let source = content[from * PAGE_BYTES + skip..(from + 1) * PAGE_BYTES].to_vec();
        content[to * PAGE_BYTES + skip..(to + 1) * PAGE_BYTES].copy_from_slice(&source);
        let reader = open(&disk_with(&content)).unwrap();
        let _outcome = read_all(&reader);
    }

    #[test]
    fn changed_metas_are_refused_or_not_used(at in 0..80usize, byte in 1..=255u8) {
        let whole = read_freely(golden::ETCD_3_5_1).unwrap();
        let newer = usize::from(golden::ETCD_3_5_1[16 + 48] < golden::ETCD_3_5_1[PAGE_BYTES + 64]);
        let mut content = golden::ETCD_3_5_1.to_vec();
        // The older one does not count at all; of the newer one only the checksummed part does.
        content[(1 - newer) * PAGE_BYTES + at] ^= byte;
        prop_assert_eq!(read_freely(&content).unwrap(), whole);
        content[newer * PAGE_BYTES + at] ^= byte;
        match read_freely(&content) {
            Ok(rows) => prop_assert!(at < 16 && rows == whole),
            Err(error) => assert!(matches!(error, BoltError::Damaged { .. })),
        }
    }
}
