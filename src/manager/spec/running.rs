//! `[maintenance]`, `[apply]` and `[hooks]`: how changes are carried out, apart from what they lead to.

use std::{net::SocketAddr, path::Path, time::Duration};

use super::{
    build::path,
    diagnostic::{Code, Report},
    keys::Table,
    raw::{RawSpec, Section},
    types::{HookSpec, Running},
};

/// What a hook may take, unless it is told.
const HOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads them.
pub(super) fn read(raw: &RawSpec, base: &Path, report: &mut Report<'_>) -> Running {
    let mut windows = Vec::new();
    let given = raw.section(Table::Maintenance).urls("windows");
    for window in given.iter().flat_map(|given| given.value) {
        match window.value.parse() {
            Ok(window) => windows.push(window),
            Err(reason) => {
                let reason = format!("{:?} is no maintenance window: {reason}", window.value);
                let remedy = "write it as \"Sat 02:00-04:00 UTC\", \"Mon-Fri 01:00-02:30 UTC\", \
                    \"Sat,Sun 22:00-02:00 UTC\" or \"daily 03:00-04:00 UTC\"";
                report.error(Code::OutOfRange, &window.span, reason, remedy);
            }
        }
    }
    let deadline = raw.section(Table::Apply).duration("deadline").map(|given| *given.value);
    let hooks = raw.section(Table::Hooks);
    let hook = |program: &str, timeout: &str| {
        let timeout = hooks.duration(timeout).map_or(HOOK_TIMEOUT, |given| *given.value);
        path(hooks, program, base).map(|program| HookSpec { program: program.value, timeout })
    };
    let (before, after) = (hook("before", "before-timeout"), hook("after", "after-timeout"));
    let metrics = metrics(raw.section(Table::Agent), report);
    Running { windows, deadline, metrics, before, after }
}

/// Where metrics are served.
pub(super) fn metrics(section: &Section, report: &mut Report<'_>) -> Option<SocketAddr> {
    let given = section.text("metrics")?;
    if let Ok(address) = given.value.parse() {
        return Some(address);
    }
    let reason = format!("{:?} is no IP address with a port", given.value);
    report.error(
        Code::IllegalUrl,
        &given.span,
        reason,
        "write it as `127.0.0.1:2377` or `[::1]:2377`",
    );
    None
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use crate::spec::Code;

    const SPEC: &str = "[cluster]\nname = \"c\"\n[[node]]\nname = \"n1\"\nhost = \"127.0.0.1\"\n";

    #[test]
    fn windows_and_a_deadline_are_read() {
        let text = format!(
            "{SPEC}[maintenance]\nwindows = [\"Sat 02:00-04:00 UTC\", \"daily 12:00-12:30 UTC\"]\n\
             [apply]\ndeadline = \"10m\"\n"
        );
        let spec = parse("/c/cluster.toml".as_ref(), &text).unwrap().spec;
        assert_eq!(spec.running.windows.len(), 2);
        assert_eq!(spec.running.deadline, Some(std::time::Duration::from_secs(600)));
        let plain = parse("/c/cluster.toml".as_ref(), SPEC).unwrap().spec;
        assert!(plain.running.windows.is_empty() && plain.running.deadline.is_none());
    }

    #[test]
    fn hooks_are_paths_with_a_time_each() {
        let text = format!(
            "{SPEC}[hooks]\nbefore = \"hooks/b\"\nbefore-timeout = \"5s\"\nafter = \"/h/a\"\n"
        );
        let running = parse("/c/cluster.toml".as_ref(), &text).unwrap().spec.running;
        let before = running.before.unwrap();
        assert_eq!(before.program, std::path::Path::new("/c/hooks/b"));
        assert_eq!(before.timeout, std::time::Duration::from_secs(5));
        let after = running.after.unwrap();
        assert_eq!((after.program.to_str(), after.timeout), (Some("/h/a"), super::HOOK_TIMEOUT));
    }

    #[test]
    fn a_window_that_is_none_is_named_with_its_place() {
        let text = format!("{SPEC}[maintenance]\nwindows = \"weekends\"\n");
        let errors = parse("/c/cluster.toml".as_ref(), &text).unwrap_err();
        let found = &errors.diagnostics[0];
        assert_eq!((found.code, found.line), (Code::OutOfRange, 7), "{errors}");
        assert!(errors.to_string().contains("DAYS HH:MM-HH:MM UTC"), "{errors}");
    }
}
