//! Hosts as network namespaces 10.0.34.N on a bridge that lives in a namespace of its own: no address
//! and no route of the machine's. Needs root and `ip`.

use std::{
    fs::File,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

static MADE: AtomicU32 = AtomicU32::new(0);

/// The namespaces of one test; gone with it.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: String,
    hosts: Vec<u8>,
}

impl Network {
    /// A switch and these hosts: N is 10.0.34.N.
    ///
    /// # Errors
    /// If the system gives none: not root, or no `ip`.
    pub(crate) fn new(hosts: &[u8]) -> Result<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("em{}-{number}", std::process::id());
        let network = Self { prefix, hosts: hosts.to_vec() };
        let switch = network.switch();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "br0", "up"])?;
        for host in hosts {
            let (name, port) = (network.name(*host), format!("v{host}"));
            ip(&["netns", "add", &name])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&[
                "-n", &name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns",
                &switch,
            ])?;
            let address = format!("{}/24", address(*host));
            ip(&["-n", &name, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &name, "link", "set", "eth0", "up"])?;
            ip(&["-n", &switch, "link", "set", &port, "master", "br0", "up"])?;
        }
        Ok(network)
    }

    /// Name of a host's namespace.
    pub(crate) fn name(&self, host: u8) -> String {
        format!("{}-{host}", self.prefix)
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }

    /// Pulls a host's cable.
    ///
    /// # Errors
    /// If `ip` fails.
    pub(crate) fn cut(&self, host: u8) -> Result<()> {
        ip(&["-n", &self.switch(), "link", "set", &format!("v{host}"), "down"])
    }

    /// Puts it back.
    ///
    /// # Errors
    /// If `ip` fails.
    pub(crate) fn heal(&self, host: u8) -> Result<()> {
        ip(&["-n", &self.switch(), "link", "set", &format!("v{host}"), "up"])
    }

    /// Runs something on a thread of its own inside a host; what it starts is there too.
    ///
    /// # Errors
    /// As `work`.
    pub(crate) fn on<T: Send + 'static>(
        &self,
        host: u8,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> thread::JoinHandle<Result<T>> {
        let path = format!("/run/netns/{}", self.name(host));
        thread::spawn(move || {
            let file = File::open(&path).with_context(|| path.clone())?;
            setns(file, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            drop(ip(&["netns", "del", &self.name(*host)]));
        }
        drop(ip(&["netns", "del", &self.switch()]));
    }
}

/// Address of a host.
pub(crate) fn address(host: u8) -> String {
    format!("10.0.34.{host}")
}

#[expect(clippy::disallowed_methods, reason = "the tests set up their own network")]
fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()
        .context("run ip (package iproute2)")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ip {arguments:?}: {said} (these tests need root)");
    Ok(())
}
