//! Hosts whose agents serve with mutual TLS, and people with certificates.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use super::{AgentsHave, Hosts};

impl Hosts {
    /// The same as [`Hosts::new`] with certificates of `etcd-manager pki` for all, nodes included; `ann` is an operator,
    /// whose certificate is shown from now on, and `bob` a reader.
    ///
    /// # Errors
    /// As [`Hosts::new`].
    pub(crate) fn with_tls(count: u8, extra: &str) -> Result<Self> {
        let mut hosts = Self::without_agents(count, 0)?;
        hosts.agents_have = AgentsHave::Tls;
        let managed = format!("[tls]\nmode = \"managed\"\ndir = \"{}\"\n", hosts.pki().display());
        hosts.write_spec(&(managed + extra))?;
        hosts.certify(&["init", "--spec", "cluster.toml"])?;
        hosts.certify(&["issue", "ann", "--for", "operator"])?;
        hosts.certify(&["issue", "bob", "--for", "reader"])?;
        hosts.shows = Some(hosts.person("ann"));
        for number in hosts.all.clone() {
            hosts.start_agent(number)?;
        }
        Ok(hosts)
    }

    /// The folder of all certificates; the hosts of the test share their disk.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.path().join("pki")
    }

    /// The folder of one person.
    pub(crate) fn person(&self, name: &str) -> PathBuf {
        self.pki().join("people").join(name)
    }

    /// `etcd-manager pki …`, which must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn certify(&self, arguments: &[&str]) -> Result<()> {
        let dir = self.pki().display().to_string();
        let said = self.run(&[&["pki"], arguments, &["--dir", &dir]].concat())?;
        ensure!(said.code == 0, "pki {arguments:?}: {said:?}");
        Ok(())
    }

    /// Starts a host's agent, which must end by itself. Returns what it said.
    ///
    /// # Errors
    /// If it goes on.
    pub(crate) fn agent_dies(&mut self, number: u8) -> Result<String> {
        let before = self.log_of(number).len();
        if self.start_agent(number).is_ok() {
            bail!("it serves");
        }
        ensure!(self.is_dead(number), "it does not end");
        Ok(self.log_of(number).split_off(before))
    }

    /// The options that show a certificate.
    pub(super) fn shown(&self) -> Vec<String> {
        let Some(folder) = &self.shows else { return Vec::new() };
        let file = |name: &str| folder.join(name).display().to_string();
        let words = [("--cert", "client.pem"), ("--key", "client-key.pem"), ("--cacert", "ca.pem")];
        words.iter().flat_map(|(option, name)| [(*option).to_owned(), file(name)]).collect()
    }
}
