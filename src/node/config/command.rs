//! The command line as clap would describe it, for man page and completions only: the real one is
//! read as Go reads it (`arguments.rs`). Made of the flag table, as `--help` is.

use base::flags::{self, Flag, Kind};
use clap::{Arg, ArgAction, ValueHint, builder::PossibleValuesParser};

use super::disposition::{self, Disposition};

const INSPECT: &str = "Say what a stopped member's data dir knows and how whole it is";

/// All flags by section, and `inspect`.
#[must_use]
pub fn command() -> clap::Command {
    clap::Command::new("etcd-node")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A member of an etcd cluster")
        .long_about(
            "A member of an etcd cluster, with the flags, ports and files of etcd 3.5.\n\n\
             Each flag has an environment variable: --data-dir is ETCD_DATA_DIR; a flag that is given \
             wins. With --config-file all settings are taken from that YAML file, and from nowhere else.",
        )
        .override_usage(
            "etcd-node [flags]\netcd-node --config-file FILE\netcd-node inspect [--json] [--wal-dir DIR] DATA-DIR",
        )
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .subcommand(inspect())
        .args(flags::ALL.iter().map(argument))
}

fn inspect() -> clap::Command {
    clap::Command::new("inspect")
        .about(INSPECT)
        .long_about(format!("{INSPECT}. Changes nothing."))
        .arg(switch("json", "One JSON object instead of a table"))
        .arg(
            Arg::new("wal-dir")
                .long("wal-dir")
                .value_name("DIR")
                .value_hint(ValueHint::DirPath)
                .help("Where the log is, if not in DATA-DIR/member/wal"),
        )
        .arg(
            Arg::new("data-dir")
                .value_name("DATA-DIR")
                .required(true)
                .value_hint(ValueHint::DirPath)
                .help("Data dir of a stopped member"),
        )
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn argument(flag: &'static Flag) -> Arg {
    let remark = match disposition::of(flag.name) {
        Disposition::Served => String::new(),
        Disposition::NoEffect(reason) => format!(" (no effect: {reason})"),
        Disposition::Refused(reason) => format!(" (refused: {reason})"),
    };
    let mut argument = Arg::new(flag.name)
        .long(flag.name)
        .help_heading(flag.section.title())
        .help(format!("{}{remark}", flag.help));
    if !flag.default.is_empty() {
        argument = argument.default_value(flag.default);
    }
    match flag.kind {
        Kind::Bool => argument
            .num_args(0..=1)
            .require_equals(true)
            .value_name("true|false")
            .default_missing_value("true")
            .hide_possible_values(true)
            .value_parser(PossibleValuesParser::new(["true", "false"])),
        Kind::OneOf(words) => {
            argument.value_name("WORD").value_parser(PossibleValuesParser::new(words))
        }
        Kind::Path => argument.value_name("PATH").value_hint(ValueHint::AnyPath),
        Kind::Integer { .. } => argument.value_name("NUMBER"),
        Kind::Duration => argument.value_name("TIME"),
        Kind::Text => argument.value_name("TEXT"),
        Kind::Urls => argument.value_name("URLS"),
        Kind::Members => argument.value_name("NAME=URL,..."),
        Kind::List => argument.value_name("LIST"),
        Kind::Retention => argument.value_name("NUMBER|TIME"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_describes_every_flag_of_the_table_and_no_other() {
        let command = command();
        command.clone().debug_assert();
        let described: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
        let table: Vec<&str> = flags::ALL.iter().map(|flag| flag.name).collect();
        assert_eq!(described, table);
    }
}
