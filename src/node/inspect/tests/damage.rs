//! Damage is found in the part that has it, and named.

use disk::Open;
use proptest::prelude::*;

use super::*;

const STORE: &str = "/data/member/kv/state.redb";
const SNAP: &str = "/data/member/snap/0000000000000002-0000000000000005.snap";

async fn stopped() -> SimDisk {
    let (disk, started) = member_with_a_pending_change().await;
    end(started);
    disk
}

fn change(disk: &SimDisk, path: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    let path = Path::new(path);
    let mut bytes = disk::read(disk, path).unwrap();
    edit(&mut bytes);
    let file = disk.open(path, Open::Write).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_at(&bytes, 0).unwrap();
    file.sync().unwrap();
}

#[tokio::test]
async fn a_torn_tail_is_told_with_what_would_be_cut() {
    let (disk, mut started) = member_with_a_pending_change().await;
    let entry = raftpb::Entry {
        term: 3,
        index: 7,
        data: Some(vec![0xaa; 3000].into()),
        ..raftpb::Entry::default()
    };
    started.parts.durable.wal.append(&[entry], None, true).unwrap();
    end(started);
    let whole = look(&disk).wal.segments[0].used_bytes;
    change(&disk, FIRST_SEGMENT, |bytes| {
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        // The sectors at the end of the last write did not arrive.
        bytes[(last - 1500) / 512 * 512..].fill(0);
    });
    let report = look(&disk);
    assert_eq!(report.verdict, Verdict::Torn, "{:?}", report.wal.integrity);
    assert_eq!((report.wal.integrity.state, report.last.unwrap().index), ("torn", 6));
    let used = report.wal.segments[0].used_bytes;
    assert_eq!(report.wal.integrity.offset, Some(used));
    let cut = report.wal.integrity.cut_bytes.unwrap();
    assert!(cut > 500 && cut < whole - used, "{cut} of {}", whole - used);
    assert!(table(&report).contains(&format!("{cut} bytes would be cut")), "{}", table(&report));
    // And that is what a start makes of it.
    end(start_on(&disk, &[]).await.unwrap());
    assert_eq!(look(&disk).verdict, Verdict::Intact);
}

#[tokio::test]
async fn a_flipped_bit_within_the_log_is_damage_with_its_place() {
    let disk = stopped().await;
    change(&disk, FIRST_SEGMENT, |bytes| bytes[200] ^= 4);
    let report = look(&disk);
    assert_eq!((report.wal.integrity.state, report.verdict), ("corrupt", Verdict::Damaged));
    assert_eq!(report.wal.integrity.path.as_deref(), Some(FIRST_SEGMENT));
    assert!(report.wal.integrity.offset.is_some_and(|offset| offset <= 200), "{report:?}");
    assert!(report.member_id.is_some(), "whose log it is can still be read");
    assert_eq!(report.backend.integrity.state, "intact", "judged apart");
}

#[test]
fn a_missing_segment_is_damage() {
    let disk = SimDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let config =
        wal::WalConfig { segment_bytes: 16 * 1024, background: false, ..wal::WalConfig::default() };
    let metadata = wire::walpb::Metadata { node_id: 1, cluster_id: 2 };
    let dir = Path::new("/data/member/wal");
    let mut wal = wal::Wal::create(shared, dir, metadata, config).unwrap();
    for index in 1..=17 {
        let payload = Some(vec![1; 2_000].into());
        let entry = raftpb::Entry { term: 2, index, data: payload, ..raftpb::Entry::default() };
        let state = HardState { term: 2, vote: 0, commit: index };
        wal.append(&[entry], Some(&state), true).unwrap();
    }
    drop(wal);
    let whole = look(&disk).wal;
    assert_eq!((whole.segments.len(), whole.integrity.state), (3, "intact"), "{whole:?}");
    let path = |position: usize| format!("/data/member/wal/{}", whole.segments[position].name);
    let middle = disk::read(&disk, Path::new(&path(1))).unwrap();
    disk.remove_file(Path::new(&path(1))).unwrap();
    let report = look(&disk);
    assert_eq!(report.wal.integrity.state, "corrupt");
    assert!(report.wal.integrity.what.unwrap().contains("a segment is missing"));
    write(&disk, &path(1), &middle);
    disk.remove_file(Path::new(&path(0))).unwrap();
    let report = look(&disk);
    assert_eq!(report.wal.integrity.state, "corrupt", "{:?}", report.wal);
    assert!(report.wal.integrity.what.unwrap().contains("a segment is missing"));
}

#[tokio::test]
async fn snapshots_and_backend_are_judged_apart() {
    let disk = stopped().await;
    change(&disk, SNAP, |bytes| bytes[30] ^= 1);
    let report = look(&disk);
    assert_eq!(report.snapshots.integrity.state, "corrupt");
    assert_eq!(report.snapshots.files[0].integrity.state, "corrupt");
    assert_eq!((report.wal.integrity.state, report.start), ("intact", None));
    assert_eq!(report.verdict, Verdict::Damaged);

    let disk = stopped().await;
    // Every page but redb's head.
    change(&disk, STORE, |bytes| bytes[8192..].iter_mut().for_each(|byte| *byte ^= 0x55));
    let report = look(&disk);
    assert_eq!((report.backend.integrity.state, report.wal.integrity.state), ("corrupt", "intact"));
    assert_eq!((report.applied, report.verdict), (None, Verdict::Damaged));
    assert_eq!(report.membership.unwrap().source, "log");

    disk.remove_file(Path::new(STORE)).unwrap();
    let report = look(&disk);
    assert_eq!((report.backend.integrity.state, report.verdict), ("absent", Verdict::Damaged));
    assert!(report.findings[0].contains("the backend is missing"), "{:?}", report.findings);
}

#[tokio::test]
async fn a_log_that_lost_what_was_applied_is_named() {
    let (disk, started) = member_with_a_pending_change().await;
    crate::startup::tests::set_consistent(&started, 9);
    end(started);
    let report = look(&disk);
    // R17
    assert_eq!(report.verdict, Verdict::Damaged);
    assert!(report.findings[0].contains("acknowledged entries are missing"), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_damage_ends_the_look_or_is_mended_by_it(
        which in 0..3_usize,
        place in 0..40_000_usize,
        bit in 0..8_u32,
        cut in proptest::option::of(0..40_000_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let disk = runtime.block_on(stopped());
        let sound = look(&disk);
        let path = [FIRST_SEGMENT, SNAP, STORE][which];
        change(&disk, path, |bytes| {
            if let Some(cut) = cut {
                bytes.truncate(cut % bytes.len());
            }
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(place % (end + 1)) {
                *byte ^= 1 << bit;
            }
        });
        let report = look(&disk);
        // What passes its check says what it said before.
        if report.wal.integrity.state == "intact" {
            prop_assert_eq!(&report.last, &sound.last);
            prop_assert_eq!(&report.hard_state, &sound.hard_state);
        }
        if report.backend.integrity.state == "intact" {
            prop_assert_eq!(&report.applied, &sound.applied);
            prop_assert_eq!(&report.backend.revision, &sound.backend.revision);
        }
    }
}
