//! Exit codes that a script relies on (docs/exit-codes.md): what was asked cannot be, and nothing was touched.

use anyhow::{Result, ensure};

use super::{apply, member_pids};
use crate::harness::manager::Managed;

#[test]
fn a_wrong_command_line_or_node_is_2_and_touches_nothing() -> Result<()> {
    let managed = Managed::new(1, "")?;
    for wrong in [&["frobnicate"][..], &["apply", "--no-such-option"], &["restart"]] {
        let said = managed.run(wrong)?;
        assert_eq!(said.code, 2, "{wrong:?}: {said:?}");
        ensure!(said.out.is_empty() && !said.err.is_empty(), "{said:?}");
    }
    apply(&managed)?;
    let before = member_pids(&managed.status()?);
    for verb in ["restart", "stop", "start"] {
        let said = managed.run(&[verb, "nobody"])?;
        assert_eq!(said.code, 2, "{verb}: {said:?}");
        ensure!(said.err.contains("nobody"), "it names what is not there: {said:?}");
    }
    assert_eq!(member_pids(&managed.status()?), before);
    Ok(())
}

/// R6: a spec that keeps no voter is more likely the wrong file than a wish.
#[test]
fn a_spec_that_replaces_most_voters_at_once_is_5_and_touches_nothing() -> Result<()> {
    let mut managed = Managed::new(3, "")?;
    apply(&managed)?;
    let before = managed.status()?;
    for _ in 0..3 {
        managed
            .ports
            .push((crate::harness::ports::Port::take()?, crate::harness::ports::Port::take()?));
    }
    managed.write_spec_of(&[3, 4, 5], "")?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    assert_eq!(said.code, 5, "{said:?}");
    ensure!(said.err.contains("replaces 3 of 3 voters at once"), "{said:?}");
    managed.write_spec_of(&[0, 1, 2], "")?;
    apply(&managed)?;
    assert_eq!(member_pids(&managed.status()?), member_pids(&before), "nothing was restarted");
    Ok(())
}
