//! The JSON against its page.

use super::*;

fn fields(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                into.push(name.clone());
                fields(value, into);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, into)),
        _ => {}
    }
}

#[tokio::test]
async fn every_field_is_documented() {
    let (disk, started) = member_with_a_pending_change().await;
    let raised = |batch: &mut backend::WriteBatch| {
        batch.put(backend::Bucket::Alarm, &b"\x08\x07\x10\x01"[..], &b""[..]);
        let json = r#"{"id":7,"peerURLs":["http://127.0.0.1:7"],"name":"n7"}"#;
        batch.put(backend::Bucket::Members, &b"7"[..], json);
    };
    let mut batch = backend::WriteBatch::default();
    raised(&mut batch);
    started.parts.backend.write(batch).unwrap();
    started.parts.backend.flush().unwrap();
    end(started);
    write(&disk, "/data/member/wal/x.wal.broken", b"x");
    let identity = lineage::Identity {
        cluster: uuid::Uuid::from_u128(5),
        epoch: base::Epoch::new(3),
        token: "t".to_owned(),
        cluster_id: None,
    };
    let new = records::NewCharter { identity, node: "a".to_owned(), data_dir: PathBuf::from(DATA) };
    drop(records::Record::create(Arc::new(disk.clone()), Path::new("/r"), &new).unwrap());
    let report = look(&disk);
    let filled = [
        report.configurations.is_empty(),
        report.pending.is_empty(),
        report.wal.segments.is_empty(),
        report.wal.other_files.is_empty(),
        report.wal.marks.is_empty(),
        report.snapshots.files.is_empty(),
        report.backend.alarms.is_empty(),
        report.membership.as_ref().is_none_or(|known| known.members.is_empty()),
        report.hard_state.is_none(),
        report.start.is_none(),
        report.managed.as_ref().is_none_or(|managed| managed.epoch != 3),
    ];
    assert_eq!(filled, [false; 11], "every list has an element: {report:?}");
    let page = include_str!("../../../../docs/inspect-json.md");
    let mut names = Vec::new();
    fields(&serde_json::to_value(report).unwrap(), &mut names);
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/inspect-json.md lacks `{name}`");
    }
}

#[test]
fn every_word_is_documented() {
    let page = include_str!("../../../../docs/inspect-json.md");
    let kinds = [
        Kind::Absent,
        Kind::Empty,
        Kind::EtcdNode,
        Kind::GoEtcd,
        Kind::Proxy,
        Kind::Tombstone,
        Kind::Unknown,
    ];
    let verdicts = [Verdict::Intact, Verdict::Torn, Verdict::Damaged];
    let words = kinds.iter().map(|kind| serde_json::to_value(kind).unwrap());
    for word in words.chain(verdicts.iter().map(|word| serde_json::to_value(word).unwrap())) {
        let word = word.as_str().unwrap().to_owned();
        assert!(page.contains(&format!("`{word}`")), "docs/inspect-json.md lacks `{word}`");
    }
}

#[tokio::test]
async fn a_marker_that_cannot_be_read_is_damage_r13() {
    let (disk, started) = member_with_a_pending_change().await;
    end(started);
    write(&disk, "/data/member/managed", b"nonsense");
    let report = look(&disk);
    assert_eq!((report.verdict, report.managed), (Verdict::Damaged, None));
    assert!(report.findings[0].contains("marker"), "{:?}", report.findings);
}
