//! The texts of `--help` and `--version`, made of the flag table.

use std::fmt::Write as _;

use base::flags::{self, Section};

use super::disposition::{self, Disposition};

/// What `--help` prints: every flag that may be given, and why some are not served.
#[must_use]
pub fn help() -> String {
    let mut text = "Usage:\n\n  etcd-node [flags]\n    Start an etcd server.\n\n  etcd-node --version\n    Show the version.\n\n  etcd-node -h | --help\n    Show this text.\n\n  etcd-node inspect [--json] [--wal-dir DIR] DATA-DIR\n    Say what a stopped member's data dir knows and how whole it is; changes nothing.\n\n  etcd-node --config-file FILE\n    Take all settings from a YAML file, and no other flags nor environment.\n\nEach flag has an environment variable: --data-dir is ETCD_DATA_DIR.\n".to_owned();
    let mut section: Option<Section> = None;
    for flag in flags::ALL {
        if section != Some(flag.section) {
            section = Some(flag.section);
            write!(text, "\n{}:\n", flag.section.title()).expect("a string takes all");
        }
        let remark = match disposition::of(flag.name) {
            Disposition::Served => String::new(),
            Disposition::NoEffect(reason) => format!("\n    (no effect: {reason})"),
            Disposition::Refused(reason) => format!("\n    (refused: {reason})"),
        };
        writeln!(text, "  --{} '{}'\n    {}{remark}", flag.name, flag.default, flag.help)
            .expect("a string takes all");
    }
    text
}

/// What `--version` prints: etcd's first line, then what this program really is.
#[must_use]
pub fn version() -> String {
    format!(
        "etcd Version: {}\netcd-node Version: {}\nImplementation: Rust, of the etcd-manager project; the first line is the compatibility level\nOS/Arch: {}/{}\n",
        crate::VERSION,
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_flag_once() {
        let text = help();
        for flag in flags::ALL {
            let line = format!("\n  --{} '", flag.name);
            assert_eq!(text.matches(&line).count(), 1, "{}", flag.name);
        }
    }

    #[test]
    fn the_version_begins_like_etcd_s() {
        assert!(version().starts_with("etcd Version: 3.5.21\n"));
    }
}
