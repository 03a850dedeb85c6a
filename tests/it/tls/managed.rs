//! The manager with `[tls] mode = "files"`: its nodes speak TLS alone, and it reaches them.

use anyhow::ensure;
use base::{Clock, SystemClock};

use super::{
    pki::{Pki, put},
    *,
};
use crate::harness::{ctl, manager::Managed, oracle::Version};

#[test]
fn a_spec_with_tls_becomes_a_cluster_that_the_manager_reaches() -> Result<()> {
    let mut pki = Pki::new("cluster")?;
    let member = pki.member("member")?;
    let managed = Managed::new(
        3,
        &format!(
            "[tls]\nmode = \"files\"\ncert-file = {:?}\nkey-file = {:?}\ntrusted-ca-file = {:?}\n",
            member.certificate,
            member.key,
            pki.bundle()
        ),
    )?;
    let said = managed.run(&["apply"])?;
    ensure!(said.code == 0, "{said:?}");
    let status = managed.run(&["status"])?;
    ensure!(status.code == 0, "{status:?}");
    let endpoints = managed.endpoints().replace("http://", "https://");
    let user = pki.client("user")?;
    let arguments = [
        format!("--cacert={}", pki.bundle().display()),
        format!("--cert={}", user.certificate.display()),
        format!("--key={}", user.key.display()),
    ];
    let with = |more: &[&'static str]| -> Vec<String> {
        arguments.iter().cloned().chain(more.iter().map(|&word| word.to_owned())).collect()
    };
    let run = |more: &[&'static str]| {
        let all = with(more);
        ctl::ok(Version::V35, &endpoints, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run(&["put", "k", "v"])?;
    // One of them leads: leadership is moved over TLS, and each is seen healthy before the next.
    for node in ["n1", "n2", "n3"] {
        let said = managed.run(&["restart", node])?;
        ensure!(said.code == 0, "{said:?}");
    }
    ensure!(run(&["get", "k"])?.contains('v'), "the key is gone");
    // The manager, too, takes a new authority without a restart of anything.
    let before = managed.status()?;
    pki.authority = pki.authority.succeed("next", SystemClock.wall())?;
    put(&pki.bundle(), &pki.authority.bundle())?;
    pki.member("member")?;
    let after = managed.status()?;
    assert_eq!(after["converged"], true, "{after}");
    assert_eq!(before["members"][0]["pid"], after["members"][0]["pid"]);
    Ok(())
}
