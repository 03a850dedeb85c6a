//! Init systems: the sysvinit script in a throw-away root, under several shells and with each
//! family of functions files; and what the agent tells systemd, at a socket of the test's own.

use std::{
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::harness::{manager::Managed, oracle, wait};

const SOON: Duration = Duration::from_secs(40);

#[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
fn walk(shell: &str, style: &str) -> Result<()> {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = oracle::manager().parent().context("folder of the programs")?.to_owned();
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--net", "--kill-child", "sh"])
        .arg(repo.join("tests/it/init/verbs.sh"))
        .args([repo.as_os_str(), programs.as_os_str()])
        .args([shell, style])
        .output()
        .context("run unshare (needs root)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.contains(&format!("walked: {shell} {style}")),
        "{said}\n{errors}"
    );
    Ok(())
}

#[test]
fn the_script_keeps_its_word_under_dash_without_any_functions() -> Result<()> {
    walk("dash", "plain")
}

#[test]
fn the_script_keeps_its_word_under_dash_with_lsb_functions() -> Result<()> {
    walk("dash", "lsb")
}

#[test]
fn the_script_keeps_its_word_under_bash_with_red_hats_functions() -> Result<()> {
    walk("bash", "redhat")
}

/// shellcheck and checkbashisms only where they are installed; both shells always.
#[test]
#[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
fn the_scripts_are_plain_sh_and_clean_to_the_checkers() -> Result<()> {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = ["deb", "rpm"].map(|kind| repo.join("scripts/package").join(kind));
    let mut scripts = vec![repo.join("sysvinit/etcd")];
    for folder in packages {
        for script in std::fs::read_dir(folder)? {
            scripts.push(script?.path());
        }
    }
    ensure!(scripts.len() == 7, "{scripts:?}");
    for checker in ["dash -n", "bash -n", "shellcheck -s sh", "checkbashisms -f"] {
        let mut words = checker.split(' ');
        let program = words.next().context("a program")?;
        if program.contains("check") && !Path::new("/usr/bin").join(program).exists() {
            continue;
        }
        let options: Vec<&str> = words.collect();
        for script in &scripts {
            let output = Command::new(program).args(&options).arg(script).output()?;
            ensure!(output.status.success(), "{checker} {}: {output:?}", script.display());
        }
    }
    Ok(())
}

/// An agent that systemd would have started; it ends with the test.
struct Notified {
    child: Child,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Notified {
    #[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
    fn start(managed: &Managed) -> Result<Self> {
        let path = managed.root().join("notify");
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let child = Command::new(oracle::manager())
            .args(["agent", "--file", "cluster.toml"])
            .current_dir(managed.root())
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, socket, heard: Vec::new() })
    }

    /// Waits for the next message that holds a text.
    fn hear(&mut self, wanted: &str) -> Result<String> {
        let (socket, heard) = (&self.socket, &mut self.heard);
        wait::until_blocking(SOON, wanted, || {
            let mut buffer = [0; 4096];
            let length = socket.recv(&mut buffer)?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            heard.push(text.clone());
            ensure!(text.contains(wanted), "heard {text:?}");
            Ok::<_, anyhow::Error>(text)
        })
        .with_context(|| format!("heard so far: {:?}", self.heard))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn systemd_is_told_of_readiness_nodes_life_and_the_end() -> Result<()> {
    let managed = Managed::new(1, "")?;
    let mut agent = Notified::start(&managed)?;
    agent.hear("READY=1")?;
    agent.hear("WATCHDOG=1")?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "apply: {said:?}");
    agent.hear("n1 runs (pid ")?;
    agent.hear("WATCHDOG=1")?;
    agent.signal(Signal::SIGTERM)?;
    agent.hear("STOPPING=1")?;
    ensure!(agent.child.wait()?.success(), "a clean end");
    let nodes = managed.processes()?;
    ensure!(
        nodes.iter().any(|(_, line)| line.contains("etcd-node")),
        "the node runs on: {nodes:?}"
    );

    // The next one adopts it, and stops it when its host's service is stopped.
    let mut agent = Notified::start(&managed)?;
    agent.hear("READY=1")?;
    agent.hear("n1 runs (pid ")?;
    agent.signal(Signal::SIGUSR1)?;
    agent.hear("STOPPING=1")?;
    ensure!(agent.child.wait()?.success(), "a clean end");
    let left = managed.processes()?;
    ensure!(!left.iter().any(|(_, line)| line.contains("etcd-node")), "the node ended: {left:?}");
    Ok(())
}
