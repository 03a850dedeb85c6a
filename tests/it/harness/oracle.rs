//! The real etcd, side by side with ours.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Which program a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The in-tree node.
    Ours,
    /// Debian's etcd 3.4.23.
    Real34,
    /// PyPI's etcd 3.5.1.
    Real35,
}

/// A version of the real tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.4.23
    V34,
    /// 3.5.1
    V35,
}

impl Version {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V34, Self::V35];

    fn folder(self) -> &'static str {
        match self {
            Self::V34 => "3.4.23",
            Self::V35 => "3.5.1",
        }
    }
}

/// The server program of a kind.
///
/// # Errors
/// If the oracle was not fetched.
pub(crate) fn server(kind: Kind) -> Result<PathBuf> {
    match kind {
        Kind::Ours => Ok(PathBuf::from(env!("CARGO_BIN_EXE_etcd-node"))),
        Kind::Real34 => tool(Version::V34, "etcd"),
        Kind::Real35 => tool(Version::V35, "etcd"),
    }
}

/// The manager.
pub(crate) fn manager() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_etcd-manager"))
}

/// A tool of the real etcd: `etcd`, `etcdctl`, and `etcdutl` (3.5 only).
///
/// # Errors
/// If the oracle was not fetched.
pub(crate) fn tool(version: Version, name: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".cache/oracle")
        .join(version.folder())
        .join(name);
    ensure!(path.exists(), "{} is missing: run scripts/oracle", path.display());
    Ok(path)
}
