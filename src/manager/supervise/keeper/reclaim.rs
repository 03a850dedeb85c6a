//! A node that runs though no record names it: an earlier life of this agent started it, and lost its records since.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::Task;
use crate::{
    generate::Launch,
    supervise::{
        process::ProcessId,
        record::{RunRecord, ShimOrder, wall_ms},
        stamp::FileStamp,
        state::Phase,
    },
};

/// What tells a node of this cluster and lineage from any other process that holds its data dir.
const IDENTITY: [&str; 3] = ["ETCD_NAME", "ETCD_DATA_DIR", "ETCD_INITIAL_CLUSTER_TOKEN"];

/// A process that this order might have started.
pub(super) struct Stray {
    process: ProcessId,
    launch: Launch,
}

impl Stray {
    /// If the process with this pid has the identity that the order gives.
    pub(super) fn of(order: &ShimOrder, pid: i32) -> Option<Self> {
        let process = ProcessId::of(pid).ok()?;
        let environment = environment(&fs::read(format!("/proc/{pid}/environ")).ok()?);
        if !is_same_node(&environment, &order.launch.environment) {
            return None;
        }
        let binary = program(&order.launch.binary, &exe(pid))?;
        // The process must not have become another between the looks.
        let is_still = process.is_alive().unwrap_or(false);
        let user = order.launch.user.clone();
        is_still.then_some(Self { process, launch: Launch { binary, user, environment } })
    }
}

impl Task {
    /// Takes it over as this order's run: it runs on, under a new shim. An older one goes on writing its log.
    pub(super) async fn reclaim(
        &mut self,
        mut order: ShimOrder,
        stray: Stray,
    ) -> Result<(), String> {
        let Stray { process, launch } = stray;
        order.launch = launch;
        let run = RunRecord {
            run: order.run,
            // Nobody: a new shim takes its place.
            shim: ProcessId { start_ticks: 0, ..process.clone() },
            digest: order.launch.digest(),
            launch: order.launch.clone(),
            binary: FileStamp::of(&exe(process.pid)),
            data_dir: order.data_dir.clone(),
            wal_dir: order.wal_dir.clone(),
            started_at_ms: wall_ms(self.workshop.clock.wall()),
            process,
        };
        let disk = &*self.workshop.disk;
        let written = disk.create_dir_all(self.dir.root()).map_err(anyhow::Error::from);
        written
            .and_then(|()| self.dir.write_order(disk, &order))
            .and_then(|()| self.dir.write_run(disk, &run))
            .map_err(|error| format!("record pid {}: {error:#}", run.process.pid))?;
        self.event(format!("adopted pid {}, which no record named", run.process.pid));
        self.take_over(run).await;
        match &self.publish.borrow().phase {
            Phase::Running(_) => Ok(()),
            Phase::Unknown { reason } => Err(reason.clone()),
            _ => Err("it ended while it was adopted".to_owned()),
        }
    }
}

fn exe(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/exe"))
}

/// As the order names it, if it is that file; else where it was started from.
fn program(wanted: &Path, exe: &Path) -> Option<PathBuf> {
    let running = fs::read_link(exe).ok()?;
    if fs::canonicalize(wanted).is_ok_and(|wanted| wanted == running) {
        return Some(wanted.to_owned());
    }
    let text = running.to_string_lossy().into_owned();
    let was = PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text));
    Some(if was == wanted { wanted.to_owned() } else { was })
}

/// `NAME=VALUE`, each ended by a zero.
fn environment(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn is_same_node(running: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    IDENTITY
        .iter()
        .all(|name| running.get(*name).is_some() && running.get(*name) == wanted.get(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(token: &str) -> BTreeMap<String, String> {
        environment(
            format!("ETCD_NAME=n1\0ETCD_DATA_DIR=/d\0ETCD_INITIAL_CLUSTER_TOKEN={token}\0A=b=c\0")
                .as_bytes(),
        )
    }

    #[test]
    fn only_a_node_of_the_same_name_dir_and_lineage_is_taken_over() {
        assert_eq!(variables("t").get("A").map(String::as_str), Some("b=c"));
        assert!(is_same_node(&variables("t"), &variables("t")));
        assert!(!is_same_node(&variables("t"), &variables("t-2")), "R3: another lineage");
        assert!(!is_same_node(&BTreeMap::new(), &BTreeMap::new()), "it must say who it is");
    }

    #[test]
    fn a_program_is_named_as_the_order_names_it_if_it_is_that_file() {
        let own = exe(i32::try_from(std::process::id()).unwrap());
        let path = fs::read_link(&own).unwrap();
        assert_eq!(program(&path, &own), Some(path.clone()));
        assert_eq!(program(Path::new("/bin/other"), &own), Some(path));
    }
}
