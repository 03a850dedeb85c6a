//! Parsers against captured texts, and the live /proc for what only it can show.

use std::net::TcpListener;

use super::*;

#[test]
fn a_command_name_with_brackets_does_not_shift_the_fields() {
    let text = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11";
    let stat = parse_stat(text).unwrap();
    assert_eq!((stat.state, stat.start_ticks), ('S', 987_654));
    assert!(parse_stat("nonsense").is_none());
}

#[test]
fn this_process_is_alive_and_an_earlier_one_of_its_pid_is_not() {
    let pid = i32::try_from(std::process::id()).unwrap();
    let me = ProcessId::of(pid).unwrap();
    assert!(me.is_alive().unwrap());
    assert!(me.uptime().is_some());
    let earlier = ProcessId { start_ticks: me.start_ticks - 1, ..me.clone() };
    assert!(!earlier.is_alive().unwrap());
    let before_boot = ProcessId { boot: "other".to_owned(), ..me };
    assert!(!before_boot.is_alive().unwrap());
}

#[test]
fn the_owner_of_a_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let owner = port_owner(port).unwrap();
    assert_eq!(owner.pid, i32::try_from(std::process::id()).unwrap());
    drop(listener);
    assert_eq!(port_owner(port), None);
}

#[test]
fn only_listening_sockets_own_a_port() {
    let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1 0 100 0 0 10 0\n\
        1: 0100007F:094B 0100007F:1234 01 00000000:00000000 00:00000000 00000000 0 0 222 1 0 20 4 30 10 -1\n";
    assert_eq!(listening_inodes(table, 0x094b), [111]);
    assert_eq!(listening_inodes(table, 0x1234), Vec::<u64>::new());
}

#[test]
fn locks_are_read_with_and_without_a_waiting_mark() {
    let table = "1: FLOCK  ADVISORY  WRITE 17113 fe:00:5406823 0 EOF\n\
        1: -> FLOCK  ADVISORY  WRITE 9 fe:00:77 0 EOF\n\
        2: OFDLCK ADVISORY  WRITE -1 fe:00:88 0 EOF\n\
        3: FLOCK  ADVISORY  READ 13745 fe:00:99 0 EOF\n";
    assert_eq!(locked_inodes(table), [5_406_823, 77, 88]);
}

#[test]
fn a_locked_data_dir_has_an_owner() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(data_dir_owner(dir.path()), None);
    let member = dir.path().join("member");
    fs::create_dir_all(&member).unwrap();
    let file = fs::File::create(member.join("lock")).unwrap();
    assert_eq!(data_dir_owner(dir.path()), None);
    file.lock().unwrap();
    let owner = data_dir_owner(dir.path()).unwrap();
    assert_eq!(owner.pid, i32::try_from(std::process::id()).unwrap());
}

#[test]
fn the_oom_count_is_found_in_both_kinds_of_cgroups() {
    let files = oom_count_files("4:memory:/a/b\n0::/c\n");
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(
        files,
        [
            "/sys/fs/cgroup/memory/a/b/memory.oom_control",
            "/sys/fs/cgroup/memory/memory.oom_control",
            "/sys/fs/cgroup/c/memory.events",
            "/proc/vmstat",
        ]
    );
    assert_eq!(oom_count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
    assert_eq!(oom_count("low 0\noom 1\noom_kill 2\noom_group_kill 0\n"), Some(2));
}

#[test]
fn loopback_is_local_and_a_documentation_address_is_not() {
    assert!(is_local_address("127.0.0.1".parse().unwrap()));
    assert!(is_local_address("::1".parse().unwrap()));
    assert!(!is_local_address("192.0.2.77".parse().unwrap()));
}
