//! `etcd-pages DIR`: writes man pages and shell completions of both programs, from the definitions
//! that their `--help` is made of. Part of making a package (`scripts/package/build`), in none.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap_complete::{Shell, generate};
use clap_mangen::Man;
use disk::RealDisk;

/// Names and sections of the two programs, and the end of their pages.
struct Program {
    command: clap::Command,
    section: &'static str,
    ending: String,
}

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        complain("etcd-pages: into which folder?");
        return ExitCode::from(2);
    };
    match programs().into_iter().try_for_each(|program| write_all(program, &PathBuf::from(&dir))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("etcd-pages: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn programs() -> [Program; 2] {
    [
        Program {
            command: manager::cli::command(),
            section: "1",
            ending: exit_status() + MANAGER_ENDING,
        },
        Program { command: node::config::command(), section: "8", ending: NODE_ENDING.to_owned() },
    ]
}

/// `man1/`, `man8/`, `bash/`, `zsh/`, `fish/` below the folder.
fn write_all(mut program: Program, dir: &Path) -> io::Result<()> {
    program.command.build();
    let name = program.command.get_name().to_owned();
    for (shell, file) in [
        (Shell::Bash, format!("bash/{name}")),
        (Shell::Zsh, format!("zsh/_{name}")),
        (Shell::Fish, format!("fish/{name}.fish")),
    ] {
        let mut script = Vec::new();
        generate(shell, &mut program.command, &name, &mut script);
        // clap_complete 4.6.11 takes the dash of a program's name for a subcommand in half the places.
        let script = String::from_utf8_lossy(&script)
            .replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
        store(&dir.join(file), script.as_bytes())?;
    }
    let folder = dir.join(format!("man{}", program.section));
    write_pages(&program, program.command.clone().disable_help_subcommand(true), &folder)
}

/// The page of a command and those of its subcommands.
fn write_pages(program: &Program, command: clap::Command, folder: &Path) -> io::Result<()> {
    let below = command.get_subcommands();
    for below in below.filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        write_pages(program, below.clone(), folder)?;
    }
    let name = program.command.get_name();
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.mut_args(with_aliases))
        .section(program.section)
        .source(format!("etcd-manager {version}"))
        .manual(format!("{name} manual"));
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend_from_slice(program.ending.as_bytes());
    store(&folder.join(man.get_filename()), &page)
}

/// clap_mangen leaves out what `--help` says of them.
fn with_aliases(argument: clap::Arg) -> clap::Arg {
    let aliases = argument.get_visible_aliases().unwrap_or_default().join(", --");
    if aliases.is_empty() {
        return argument;
    }
    let text = argument.get_long_help().or_else(|| argument.get_help());
    let text = format!("{} [alias: --{aliases}]", text.cloned().unwrap_or_default());
    argument.help(text.clone()).long_help(text)
}

fn store(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).create(folder)?;
    }
    disk::replace(&RealDisk, path, text)
}

fn exit_status() -> String {
    let mut text = ".SH \"EXIT STATUS\"\n".to_owned();
    for (code, meaning) in manager::cli::exit_codes() {
        write!(text, ".TP\n{code}\n{meaning}\n").expect("a string takes all");
    }
    text
}

const MANAGER_ENDING: &str = ".SH FILES
.TP
\\fI/etc/etcd\\-manager/cluster.toml\\fR
The spec: nodes, flags, limits.
.TP
\\fI/etc/etcd\\-manager/agent.toml\\fR
Who this host's agent is, where nodes are on several hosts.
.TP
\\fI/etc/default/etcd\\fR, \\fI/etc/sysconfig/etcd\\fR
Options of the agent that the init system starts.
.TP
\\fI/usr/share/doc/etcd\\-manager\\fR
What stopping, restarting and removing the service do; examples of specs.
.SH \"SEE ALSO\"
.BR etcd\\-manager (1),
.BR etcd\\-node (8)
";

const NODE_ENDING: &str = ".SH \"EXIT STATUS\"
As etcd: 0 after its removal from the cluster, 1 when it failed or cannot start, 2 for a command line that cannot be
read, and the signal that ended it. On a data dir that a manager owns also 8 (the dir is fenced, or of an older
lineage), 9 (its record cannot be relied on) and 10 (the data disk does not hold what was acknowledged).
.PP
.B inspect
ends with 0 for a sound dir, 1 where it cannot be read, 2 for a wrong command line, 3 where a node runs on it,
and 4 where something is damaged.
.SH \"SEE ALSO\"
.BR etcd\\-manager (1),
.BR etcd\\-node (8)
";

/// Without standard error there is nobody to tell.
fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
