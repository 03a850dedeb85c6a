//! Paths of a spec: made whole, and kept out of each other's way.

use std::path::{Component, Path, PathBuf};

use super::{
    diagnostic::{Code, Mistake, Report, Severity},
    raw::Spot,
};

/// Longest path of a unix socket, without its final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// A path of the spec against the folder of its file, without `.` and `..`.
pub(super) fn resolve(base: &Path, path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(whole.components().next_back(), Some(Component::Normal(_))) =>
            {
                whole.pop();
            }
            Component::ParentDir if whole.has_root() => {}
            part => whole.push(part),
        }
    }
    whole
}

/// A folder that something of the cluster has for itself.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: Spot<PathBuf>,
    /// For people: `data dir of node n1`.
    pub(super) owner: String,
    /// The machine it is on; none if it is on every machine.
    pub(super) machine: Option<String>,
    /// Folders of one node may lie in each other.
    pub(super) node: Option<usize>,
}

/// Reports folders that are equal to, or inside of, another of the same machine.
pub(super) fn check_folders(folders: &[Folder], report: &mut Report<'_>) {
    for (at, later) in folders.iter().enumerate() {
        let clash = folders.iter().take(at).find(|earlier| overlap(earlier, later));
        if let Some(earlier) = clash {
            let Folder { path, owner, .. } = later;
            let how = if path.value == earlier.path.value {
                "is also"
            } else if path.value.starts_with(&earlier.path.value) {
                "lies inside"
            } else {
                "encloses"
            };
            report.push(
                Severity::Error,
                Mistake {
                    code: Code::FoldersOverlap,
                    span: path.span.clone(),
                    reason: format!(
                        "the {owner}, {}, {how} the {}, {}",
                        path.value.display(),
                        earlier.owner,
                        earlier.path.value.display()
                    ),
                    remedy: "give each a folder of its own, none inside another".to_owned(),
                    also: Some((earlier.path.span.clone(), earlier.owner.clone())),
                },
            );
        }
    }
}

fn overlap(a: &Folder, b: &Folder) -> bool {
    let same_machine = match (&a.machine, &b.machine) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let nested = a.path.value.starts_with(&b.path.value) || b.path.value.starts_with(&a.path.value);
    let one_node = a.node.is_some() && a.node == b.node && a.path.value != b.path.value;
    same_machine && nested && !one_node
}

/// Reports a state dir whose socket the system could not bind.
pub(super) fn check_socket(state_dir: &Spot<PathBuf>, report: &mut Report<'_>) {
    let socket = state_dir.value.join("agent.sock");
    let length = socket.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        let reason =
            format!("the agent's socket would have a path of {length} bytes: {}", socket.display());
        let remedy = format!(
            "set `state-dir` under [agent] so that its path and `/agent.sock` are at most {SOCKET_PATH_MAX} bytes"
        );
        report.error(Code::PathTooLong, &state_dir.span, reason, remedy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_against_the_folder_and_come_out_clean() {
        let base = Path::new("/etc/etcd/config");
        for (path, whole) in [
            ("../.local", "/etc/etcd/.local"),
            ("./a/./b/../c", "/etc/etcd/config/a/c"),
            ("/data/x", "/data/x"),
            ("../../../../../x", "/x"),
        ] {
            assert_eq!(resolve(base, path), Path::new(whole), "{path}");
        }
        assert_eq!(resolve(Path::new("config"), "../../x"), Path::new("../x"));
    }
}
