//! Tests of the v2 store: indices, events, and the golden JSON of its snapshot.

use prost::Message;
use wire::v2pb;

use super::*;

fn store() -> Store {
    Store::default()
}

fn put(path: &str, value: &str) -> v2pb::Request {
    v2pb::Request {
        method: "PUT".to_owned(),
        path: path.to_owned(),
        val: value.to_owned(),
        ..Default::default()
    }
}

fn apply(store: &mut Store, request: &v2pb::Request) -> Result<Option<Event>, V2Error> {
    let request = Request::decode(&request.encode_to_vec().into()).expect("a request");
    store.apply(&request)
}

fn code(result: Result<Option<Event>, V2Error>) -> u16 {
    result.expect_err("refused").code
}

#[test]
fn every_successful_change_counts_one_and_failures_none() {
    let mut store = store();
    assert!(store.create("/0/members/1/raftAttributes", Some("x"), None).is_ok());
    assert_eq!(store.index(), 1);
    assert_eq!(store.create("/0/members/1/raftAttributes", Some("x"), None).unwrap_err().code, 105);
    assert!(store.set("/0/version", Some("3.5.0"), Ttl::default()).is_ok());
    assert!(store.update("/0/version", "3.5.1", Ttl::default()).is_ok());
    assert_eq!(store.update("/0/members", "", Ttl::default()).unwrap_err().code, 102);
    assert_eq!(store.delete("/0/members/1", Removal::File).unwrap_err().code, 102);
    assert_eq!(store.delete("/0/members/1", Removal::EmptyFolder).unwrap_err().code, 108);
    assert!(store.delete("/0/members/1", Removal::Tree).is_ok());
    assert!(store.get("/0", true).is_ok() && store.get("/9", true).is_err());
    assert_eq!(store.index(), 4);
    assert_eq!(store.value("/0/version"), Some("3.5.1"));
    assert_eq!(store.stats.create_fail, 1);
}

#[test]
fn the_name_spaces_themselves_are_read_only() {
    let mut store = store();
    for path in ["/", "/0", "/1", "/1/"] {
        assert_eq!(store.set(path, Some("x"), Ttl::default()).unwrap_err().code, 107, "{path}");
        assert_eq!(store.delete(path, Removal::Tree).unwrap_err().code, 107, "{path}");
    }
}

#[test]
fn logged_requests_of_go_peers_change_the_tree() {
    let mut store = store();
    assert!(apply(&mut store, &put("/1/a/b", "1")).is_ok());
    let exist = |path: &str, value: &str, exist| v2pb::Request {
        prev_exist: Some(exist),
        ..put(path, value)
    };
    assert_eq!(code(apply(&mut store, &exist("/1/a/b", "2", false))), 105);
    assert!(apply(&mut store, &exist("/1/a/b", "2", true)).is_ok());
    assert_eq!(code(apply(&mut store, &exist("/1/a/c", "2", true))), 100);
    let swap = v2pb::Request { prev_value: "9".to_owned(), ..put("/1/a/b", "3") };
    let refused = apply(&mut store, &swap).unwrap_err();
    assert_eq!((refused.code, refused.cause.as_str()), (101, "[9 != 2]"));
    let swap = v2pb::Request { prev_value: "2".to_owned(), prev_index: 2, ..put("/1/a/b", "3") };
    let event = apply(&mut store, &swap).unwrap().unwrap();
    assert_eq!((event.action, event.node.modified_index), (Action::CompareAndSwap, 3));
    let post = v2pb::Request { method: "POST".to_owned(), ..put("/1/q", "x") };
    let event = apply(&mut store, &post).unwrap().unwrap();
    assert_eq!(event.node.key, "/1/q/00000000000000000004");
    let get = v2pb::Request { method: "QGET".to_owned(), ..put("/1/a", "") };
    assert_eq!(apply(&mut store, &get).unwrap().unwrap().node.nodes.len(), 1);
    let delete = v2pb::Request { method: "DELETE".to_owned(), ..put("/1/a/b", "") };
    assert_eq!(code(apply(&mut store, &v2pb::Request { prev_index: 9, ..delete.clone() })), 101);
    assert!(apply(&mut store, &delete).is_ok());
    assert_eq!(store.index(), 5);
    assert_eq!(code(apply(&mut store, &put("/1/q/00000000000000000004/x", ""))), 104);
    assert_eq!(
        code(apply(&mut store, &put("/1/a", ""))),
        102,
        "a folder is not replaced by a file"
    );
}

#[test]
fn expiry_happens_at_sync_only_and_in_order() {
    let mut store = store();
    let at = |nanos: i64| 1_700_000_000_000_000_000 + nanos;
    for (path, nanos) in [("/1/late", 2), ("/1/b", 1), ("/1/a", 1)] {
        let request = v2pb::Request { expiration: at(nanos), ..put(path, "v") };
        assert!(apply(&mut store, &request).is_ok());
    }
    assert!(apply(&mut store, &v2pb::Request { expiration: 5, ..put("/1/old", "v") }).is_ok());
    let sync = |time| v2pb::Request { method: "SYNC".to_owned(), time, ..Default::default() };
    assert_eq!(apply(&mut store, &sync(at(1))), Ok(None));
    assert_eq!(store.list("/1"), ["late", "old"], "a time before 2000 is none");
    assert_eq!((store.index(), store.stats.expire_count), (6, 2));
    let mut recovered = Store::recover(&store.save().unwrap()).unwrap();
    assert_eq!(apply(&mut recovered, &sync(at(5))), Ok(None));
    assert_eq!(recovered.list("/1"), ["old"]);
}

#[test]
fn requests_that_are_not_utf8_are_taken_as_go_saves_them() {
    let mut bytes = v2pb::Request { id: 7, ..put("/1/k", "ab") }.encode_to_vec();
    let position = bytes.windows(2).position(|pair| pair == b"ab").unwrap();
    bytes[position] = 0xff;
    let request = Request::decode(&bytes.into()).unwrap();
    assert_eq!((request.id, request.value.as_str()), (7, "\u{fffd}b"));
    assert!(Request::decode(&bytes::Bytes::from_static(b"\x08\x01\x12\x03FOO")).is_none());
}

#[test]
fn the_snapshot_is_go_s_json_to_the_letter() {
    let mut store = store();
    let attributes = r#"{"peerURLs":["http://127.0.0.1:1"]}"#;
    assert!(store.create("/0/members/ab/raftAttributes", Some(attributes), None).is_ok());
    let ttl = Ttl { expires: Some(1_700_000_000_500_000_000), refresh: false };
    assert!(store.set("/1/k", Some("<v>"), ttl).is_ok());
    let text = String::from_utf8(store.save().unwrap()).unwrap();
    let nulls = ",null".repeat(998);
    let never = "0001-01-01T00:00:00Z";
    let value = r#"{\"peerURLs\":[\"http://127.0.0.1:1\"]}"#;
    let expected = [
        r#"{"Root":{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"NEVER","Value":"","Children":{"#,
        r#""0":{"Path":"/0","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"NEVER","Value":"","Children":{"#,
        r#""members":{"Path":"/0/members","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"NEVER","Value":"","Children":{"#,
        r#""ab":{"Path":"/0/members/ab","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"NEVER","Value":"","Children":{"#,
        r#""raftAttributes":{"Path":"/0/members/ab/raftAttributes","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"NEVER","Value":"ATTR","Children":null}}}}}}},"#,
        r#""1":{"Path":"/1","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"NEVER","Value":"","Children":{"#,
        r#""k":{"Path":"/1/k","CreatedIndex":2,"ModifiedIndex":2,"ExpireTime":"2023-11-14T22:13:20.5Z","Value":"\u003cv\u003e","Children":null}}}}},"#,
        r#""WatcherHub":{"EventHistory":{"Queue":{"Events":["#,
        r#"{"action":"create","node":{"key":"/0/members/ab/raftAttributes","value":"ATTR","modifiedIndex":1,"createdIndex":1}},"#,
        r#"{"action":"set","node":{"key":"/1/k","value":"\u003cv\u003e","expiration":"2023-11-14T22:13:20.5Z","modifiedIndex":2,"createdIndex":2}}NULLS],"#,
        r#""Size":2,"Front":0,"Back":2,"Capacity":1000},"StartIndex":1,"LastIndex":2}},"CurrentIndex":2,"#,
        r#""Stats":{"getsSuccess":0,"getsFail":0,"setsSuccess":1,"setsFail":0,"deleteSuccess":0,"deleteFail":0,"updateSuccess":0,"updateFail":0,"createSuccess":1,"createFail":0,"compareAndSwapSuccess":0,"compareAndSwapFail":0,"compareAndDeleteSuccess":0,"compareAndDeleteFail":0,"expireCount":0,"watchers":0},"CurrentVersion":2}"#,
    ]
    .concat()
    .replace("NEVER", never)
    .replace("ATTR", value)
    .replace("NULLS", &nulls);
    assert_eq!(text, expected);
    assert_eq!(Store::recover(text.as_bytes()).unwrap().save().unwrap(), text.as_bytes());
}

#[test]
fn the_history_is_a_ring_of_a_thousand() {
    let mut store = store();
    for round in 0..1003 {
        assert!(store.set("/1/k", Some(&round.to_string()), Ttl::default()).is_ok());
    }
    let history = &store.history;
    assert_eq!((history.size, history.front, history.back), (1000, 3, 3));
    assert_eq!((history.start_index, history.last_index), (4, 1003));
    let saved = store.save().unwrap();
    assert_eq!(Store::recover(&saved).unwrap().save().unwrap(), saved);
}

#[test]
fn unreadable_snapshots_are_errors() {
    for json in [
        "",
        "{}",
        "null",
        r#"{"Root":{"CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Children":null},"CurrentIndex":0}"#,
    ] {
        assert!(Store::recover(json.as_bytes()).is_err(), "{json}");
    }
    let deep = "[".repeat(5000);
    assert!(Store::recover(deep.as_bytes()).is_err());
}

/// What etcd 3.4.23 (with `--enable-v2`) wrote as the content of its first `.snap` file.
const GOLDEN: &str = include_str!("golden-3.4.23.json");

#[test]
fn a_go_member_s_snapshot_survives_unchanged() {
    let store = Store::recover(GOLDEN.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(store.save().unwrap()).unwrap(), GOLDEN);
}

#[test]
fn the_requests_behind_a_go_member_s_snapshot_lead_to_the_same_one() {
    let mut store = store();
    let member = "/0/members/d655e907c5ed73b4";
    let raft = r#"{"peerURLs":["http://127.0.0.1:30314"]}"#;
    store.create(&format!("{member}/raftAttributes"), Some(raft), None).unwrap();
    let attributes = r#"{"name":"n","clientURLs":["http://127.0.0.1:30313"]}"#;
    store.set(&format!("{member}/attributes"), Some(attributes), Ttl::default()).unwrap();
    store.set("/0/version", Some("3.4.0"), Ttl::default()).unwrap();
    let expiration = 1_795_412_687_161_563_696;
    let post = v2pb::Request { method: "POST".to_owned(), ..put("/1/queue", "q") };
    for request in [
        put("/1/dir/a", "<one> "),
        v2pb::Request { expiration, ..put("/1/dir/b", "x") },
        post,
        v2pb::Request { prev_value: "<one> ".to_owned(), ..put("/1/dir/a", "2") },
        put("/1/_hidden", "h"),
        v2pb::Request { dir: true, ..put("/1/empty", "") },
    ] {
        apply(&mut store, &request).unwrap();
    }
    let text = String::from_utf8(store.save().unwrap()).unwrap();
    // Go counts its own look-ups and notes the seconds left by its clock.
    let expected = GOLDEN.replace(r#","ttl":5000"#, "");
    let expected =
        expected.replace(r#""getsSuccess":1,"getsFail":7"#, r#""getsSuccess":0,"getsFail":0"#);
    assert_eq!(text, expected);
}
