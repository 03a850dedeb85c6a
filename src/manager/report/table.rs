//! The status document as a table for people.

use std::fmt::Write;

use super::{MemberReport, StatusReport};

const COLUMNS: [&str; 12] = [
    "MEMBER", "ID", "STATE", "ROLE", "HEALTH", "TERM", "INDEX", "LAG", "DB SIZE", "VERSION", "PID",
    "UPTIME",
];

/// One line per member, with a heading, and below it what is to be known besides.
#[must_use]
pub fn table(report: &StatusReport) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(heading(report));
    if let Some(pause) = &report.paused {
        line(format!("{}: nothing is changed before etcd-manager resume", pause.text));
    }
    line(String::new());
    let mut rows: Vec<Vec<String>> =
        vec![COLUMNS.iter().chain(&["RESTARTS"]).map(|&name| name.to_owned()).collect()];
    rows.extend(report.members.iter().map(row));
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        line(cells.collect::<Vec<_>>().join("  "));
    }
    for member in report.members.iter().filter(|member| member.health != "healthy") {
        let reason = member.reason.as_deref().unwrap_or("no reason known");
        line(format!("\n{}: {reason}", member.name));
        if let Some(end) = &member.last_exit {
            line(format!("  last run: {} ({})", end.text, end.remedy));
        }
    }
    let mut gap = "\n";
    for member in &report.members {
        let warning = member.certificate.as_ref().and_then(|it| it.warning.as_ref());
        if let Some(warning) = warning {
            line(format!("{gap}warning: {}: {warning}", member.name));
            gap = "";
        }
    }
    for host in report.hosts.iter().filter(|host| !host.answers) {
        let reason = host.reason.as_deref().unwrap_or("no reason known");
        line(format!("\nthe agent of {} does not answer: {reason}", host.host));
    }
    if let Some(leader) = report.hosts.iter().find(|host| host.role == "leader") {
        let (all, there) =
            (report.hosts.len(), report.hosts.iter().filter(|it| it.answers).count());
        line(format!("\n{there} of {all} agents answer; {} leads them", leader.host));
    }
    if !report.notes.is_empty() {
        line("\nNot as the spec says:".to_owned());
    }
    for note in &report.notes {
        line(format!("  {note}"));
    }
    text
}

fn heading(report: &StatusReport) -> String {
    if report.cluster.is_empty() {
        return "no cluster yet: etcd-manager apply cluster.toml".to_owned();
    }
    let mut heading = format!("cluster {}", report.cluster);
    if let Some(id) = &report.cluster_id {
        write!(heading, " ({id})").unwrap_or_default();
    }
    let quorum = report.quorum;
    let survives = match quorum.tolerance {
        ..0 => "NO QUORUM".to_owned(),
        0 => "survives no further failure".to_owned(),
        1 => "survives 1 failure".to_owned(),
        more => format!("survives {more} failures"),
    };
    let converged = match (&report.goal, report.converged) {
        (Some(goal), _) => format!("{goal} under way"),
        (None, true) => "converged".to_owned(),
        (None, false) => "not converged".to_owned(),
    };
    let (healthy, voters) = (quorum.healthy, quorum.voters);
    format!(
        "{heading}: {healthy} of {voters} voters healthy, {survives}; spec revision {}, {converged}",
        report.spec_revision
    )
}

fn row(member: &MemberReport) -> Vec<String> {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        member.name.clone(),
        text(&member.id),
        member.state.clone(),
        text(&member.role),
        member.health.clone(),
        number(member.term),
        number(member.index),
        number(member.lag),
        member.db_bytes.map_or_else(|| "-".to_owned(), bytes),
        text(&member.version),
        member.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        member.uptime_s.map_or_else(|| "-".to_owned(), duration),
        member.restarts.to_string(),
    ]
}

/// `20.5 MiB`
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `3d 4h`, `4h 5m`, `5m 6s`, `6s`
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(20_480), "20.0 KiB");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        assert_eq!(duration(59), "59s");
        assert_eq!(duration(61), "1m 1s");
        assert_eq!(duration(7_260), "2h 1m");
        assert_eq!(duration(90_000), "1d 1h");
    }
}
