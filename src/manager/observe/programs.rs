//! Which version a node's program is, by its own word, before it is ever started on data. A program is asked once for each file
//! at its path.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use parking_lot::Mutex;

use super::sights::HostFacts;
use crate::{
    plan::{Fact, Process},
    spec::{ClusterSpec, agent_file::Allow},
    supervise::{
        child::{self, Account},
        stamp::FileStamp,
    },
};

/// Longest wait for the answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// What etcd says in front of it.
const MARK: &str = "etcd Version:";

/// What the programs have said.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    known: Mutex<BTreeMap<PathBuf, (FileStamp, Fact<String>)>>,
}

impl Programs {
    /// Adds it for each node that does not run with what the spec wants. Only what this host allows is run, and as the node's user.
    pub(crate) async fn add(
        &self,
        facts: &mut HostFacts,
        spec: &ClusterSpec,
        allow: Option<&Allow>,
    ) {
        let manager = facts.manager.clone();
        for seen in &mut facts.nodes {
            let Some(node) = spec.node(&seen.name) else { continue };
            let binary = node.binary.resolve(&manager);
            if matches!(&seen.process, Fact::Known(Process::Running(run))
                if run.launch.binary == binary && !run.is_binary_replaced)
            {
                continue;
            }
            seen.program = match allow.map_or(Ok(()), |allow| allow.permits(spec, node)) {
                Ok(()) => self.ask(spec.user.as_deref(), binary).await,
                Err(reason) => Fact::Unknown(reason),
            };
        }
    }

    async fn ask(&self, user: Option<&str>, binary: PathBuf) -> Fact<String> {
        let Some(stamp) = FileStamp::of(&binary) else {
            return Fact::Unknown(format!("there is no program at {}", binary.display()));
        };
        if let Some((of, said)) = self.known.lock().get(&binary)
            && *of == stamp
        {
            return said.clone();
        }
        let said = match user.map(Account::find).transpose() {
            Ok(account) => child::version_text(&binary, account, ANSWER_MAX).await,
            Err(error) => Err(error),
        };
        let said = match said {
            Ok(text) => version_in(&text).map_or_else(
                || {
                    Fact::Unknown(format!(
                        "{} --version names no version of etcd",
                        binary.display()
                    ))
                },
                Fact::Known,
            ),
            Err(error) => Fact::Unknown(format!("{} --version: {error}", binary.display())),
        };
        self.known.lock().insert(binary, (stamp, said.clone()));
        said
    }
}

/// As real etcd writes it, and ours: `etcd Version: 3.5.1`.
fn version_in(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(MARK))?;
    Some(line.trim().to_owned())
        .filter(|version| version.starts_with(|it: char| it.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_follows_etcds_own_words() {
        let real = "etcd Version: 3.4.23\nGit SHA: Not provided\nGo Version: go1.19\n";
        assert_eq!(version_in(real).as_deref(), Some("3.4.23"));
        assert_eq!(version_in("etcdctl version: 3.5.1"), None);
        assert_eq!(version_in("etcd Version: unknown"), None);
    }
}
