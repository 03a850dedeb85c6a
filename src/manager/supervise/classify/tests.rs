//! Every row of the table, by an example, and the order where two rows could match.

use super::{Cause, ExitFacts, TABLE, Verdict, classify, exit_text};

fn exited(code: i32, tail: &[&str]) -> ExitFacts {
    let tail = tail.iter().map(|&line| line.to_owned()).collect();
    ExitFacts { code: Some(code), tail, ..ExitFacts::default() }
}

fn killed(signal: i32) -> ExitFacts {
    ExitFacts { signal: Some(signal), ..ExitFacts::default() }
}

fn examples() -> Vec<(ExitFacts, Cause, Verdict)> {
    let removed = [
        r#"{"level":"warn","msg":"server error","error":"the member has been permanently removed from the cluster"}"#,
        r#"{"level":"warn","msg":"data-dir used by this member must be removed"}"#,
    ];
    let listen =
        r#"{"level":"fatal","error":"listen tcp 127.0.0.1:2380: bind: address already in use"}"#;
    vec![
        (exited(0, &removed), Cause::Removed, Verdict::Hold),
        (ExitFacts { stop_asked: true, ..killed(15) }, Cause::Stopped, Verdict::Hold),
        (ExitFacts { stop_asked: true, ..killed(9) }, Cause::Stopped, Verdict::Hold),
        (
            ExitFacts { spawn_error: Some("/no/etcd: not found".into()), ..ExitFacts::default() },
            Cause::CannotStart,
            Verdict::Strike,
        ),
        (exited(1, &["write wal: no space left on device"]), Cause::DiskFull, Verdict::Wait),
        (ExitFacts { free_bytes: Some(100), ..exited(1, &[]) }, Cause::DiskFull, Verdict::Wait),
        (exited(1, &[listen]), Cause::PortInUse, Verdict::Wait),
        (exited(1, &["wal: file already locked"]), Cause::DataDirInUse, Verdict::Wait),
        (exited(2, &["panic: walpb: crc mismatch"]), Cause::DataDirDamaged, Verdict::Hold),
        (
            exited(2, &["panic: tocommit(9) is out of range [lastIndex(4)]", "goroutine 1"]),
            Cause::DataDirDamaged,
            Verdict::Hold,
        ),
        (
            exited(1, &["x/member/wal/0-0.wal is corrupt at offset 4096: a checksum"]),
            Cause::DataDirDamaged,
            Verdict::Hold,
        ),
        (exited(8, &["E-NODE-02"]), Cause::Fenced, Verdict::Hold),
        (exited(9, &["E-NODE-03: crc mismatch"]), Cause::RecordUnusable, Verdict::Hold),
        (exited(10, &["E-NODE-04"]), Cause::DataLost, Verdict::Hold),
        (exited(1, &["the record cannot be written: i/o"]), Cause::RecordUnwritable, Verdict::Hold),
        (
            exited(1, &["the record cannot be written: No space left on device"]),
            Cause::DiskFull,
            Verdict::Wait,
        ),
        (exited(1, &["open wal: permission denied"]), Cause::DataDirRefused, Verdict::Strike),
        (
            exited(2, &["flag provided but not defined: -nonsense"]),
            Cause::BadConfiguration,
            Verdict::Hold,
        ),
        (ExitFacts { oom_counter_rose: true, ..killed(9) }, Cause::OutOfMemory, Verdict::Wait),
        (exited(101, &["thread 'main' panicked at x.rs"]), Cause::Panicked, Verdict::Strike),
        (killed(6), Cause::Panicked, Verdict::Strike),
        (killed(9), Cause::Killed, Verdict::Strike),
        (exited(143, &[]), Cause::Killed, Verdict::Strike),
        (exited(0, &["closing"]), Cause::LeftQuietly, Verdict::Strike),
        (exited(1, &["something else"]), Cause::Failed, Verdict::Strike),
        (ExitFacts::default(), Cause::Unknown, Verdict::Strike),
    ]
}

#[test]
fn every_row_of_the_exit_table_is_reached_by_its_example() {
    for (facts, cause, verdict) in examples() {
        let row = classify(&facts);
        assert_eq!((row.cause, row.verdict), (cause, verdict), "{facts:?}");
    }
    for row in &TABLE {
        let covered = examples().iter().any(|(_, cause, _)| *cause == row.cause);
        assert!(covered, "no example for {:?}", row.cause);
        assert!(!row.remedy.is_empty());
    }
}

#[test]
fn a_cause_has_one_row() {
    for (at, row) in TABLE.iter().enumerate() {
        assert!(TABLE[..at].iter().all(|earlier| earlier.cause != row.cause), "{:?}", row.cause);
    }
}

#[test]
fn a_removed_node_is_held_even_if_we_were_stopping_it() {
    let tail = vec!["the member has been permanently removed from the cluster".to_owned()];
    let facts = ExitFacts { code: Some(0), stop_asked: true, tail, ..ExitFacts::default() };
    assert_eq!(classify(&facts).cause, Cause::Removed);
}

#[test]
fn a_removed_node_is_known_by_what_it_said_before_it_tidied_up() {
    let mut tail = vec!["the member has been permanently removed from the cluster".to_owned()];
    tail.extend((0..25).map(|n| format!("closing {n}")));
    let left = ExitFacts { code: Some(0), tail: tail.clone(), ..ExitFacts::default() };
    assert_eq!(classify(&left).cause, Cause::Removed);
    let killed = ExitFacts { signal: Some(9), tail, ..ExitFacts::default() };
    assert_eq!(classify(&killed).cause, Cause::Killed);
}

#[test]
fn old_words_do_not_explain_a_new_end() {
    let mut tail = vec!["bind: address already in use".to_owned()];
    tail.extend((0..20).map(|n| format!("line {n}")));
    let facts = ExitFacts { signal: Some(9), tail, ..ExitFacts::default() };
    assert_eq!(classify(&facts).cause, Cause::Killed);
}

#[test]
fn the_refused_port_is_read_from_go_and_from_our_words() {
    let go = exited(1, &["listen tcp 127.0.0.1:2380: bind: address already in use"]);
    assert_eq!(go.port_refused(), Some(2380));
    let ours =
        exited(1, &["listen on http://127.0.0.1:22379: Address already in use (os error 98)"]);
    assert_eq!(ours.port_refused(), Some(22379));
    assert_eq!(exited(1, &["address already in use"]).port_refused(), None);
}

#[test]
fn signals_are_named() {
    assert_eq!(exit_text(&killed(9)), "signal 9 (SIGKILL)");
    assert_eq!(exit_text(&exited(3, &[])), "exit code 3");
}

#[test]
fn last_words_are_the_message_and_the_error() {
    let line =
        r#"{"level":"fatal","msg":"discovery failed","error":"no such host","stacktrace":"x"}"#;
    assert_eq!(exited(1, &["a", line]).last_words().unwrap(), "discovery failed: no such host");
    assert_eq!(exited(1, &["plain words"]).last_words().unwrap(), "plain words");
    assert_eq!(exited(1, &[&"x".repeat(999)]).last_words().unwrap().len(), 200);
    assert_eq!(exited(1, &[]).last_words(), None);
}
