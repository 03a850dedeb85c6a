//! Man pages and completions that packages ship: made by `etcd-pages`, compared with the `--help`
//! that the programs really print, and asked for words as a shell would ask.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Everything `etcd-pages` writes, in a folder that ends with the test.
struct Pages {
    folder: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
fn said_by(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{} {arguments:?}: {output:?}", program.display());
    Ok(String::from_utf8(output.stdout)?)
}

impl Pages {
    fn write() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_str().context("a path")?;
        said_by(Path::new(env!("CARGO_BIN_EXE_etcd-pages")), &[path])?;
        Ok(Self { folder })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn read(&self, file: &str) -> Result<String> {
        std::fs::read_to_string(self.path(file)).with_context(|| file.to_owned())
    }
}

/// `--words` in a text, of a help or of a man page.
fn options(text: &str) -> BTreeSet<String> {
    let plain = text.replace("\\-", "-").replace("\\fR", " ").replace("\\fB", " ");
    let words = plain.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

/// Names below `Commands:` in a help.
fn commands(help: &str) -> Vec<String> {
    let rows = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    rows.take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("    "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Compares the help of a command, and of all below it, with its page; returns how many there were.
fn compare(pages: &Pages, words: &[String]) -> Result<usize> {
    let manager = Path::new(env!("CARGO_BIN_EXE_etcd-manager"));
    let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = said_by(manager, &arguments)?;
    let name = [&["etcd-manager".to_owned()], words].concat().join("-");
    let page = pages.read(&format!("man1/{name}.1"))?;
    assert_eq!(options(&page), options(&help), "{name}");
    let mut pages_seen = 1;
    for below in commands(&help) {
        pages_seen += compare(pages, &[words, &[below]].concat())?;
    }
    Ok(pages_seen)
}

#[test]
fn the_managers_man_pages_name_the_options_of_its_help_and_no_others() -> Result<()> {
    let pages = Pages::write()?;
    let compared = compare(&pages, &[])?;
    let written = std::fs::read_dir(pages.path("man1"))?.count();
    assert_eq!(compared, written, "one page for each command of the help");
    ensure!(written > 10, "{written} pages");
    Ok(())
}

#[test]
fn the_nodes_man_page_names_the_flags_of_its_help_and_no_others() -> Result<()> {
    let pages = Pages::write()?;
    let help = said_by(Path::new(env!("CARGO_BIN_EXE_etcd-node")), &["--help"])?;
    let rows = help.lines().filter(|line| line.starts_with("  --"));
    let flags: BTreeSet<String> = rows.flat_map(options).collect();
    ensure!(flags.len() > 100, "{flags:?}");
    let page = pages.read("man8/etcd-node.8")?;
    let terms = page.lines().filter(|line| line.starts_with("\\fB\\-\\-"));
    let described: BTreeSet<String> = terms.flat_map(options).collect();
    assert_eq!(described, flags);
    let help = said_by(Path::new(env!("CARGO_BIN_EXE_etcd-node")), &["inspect", "--help"])?;
    let page = pages.read("man8/etcd-node-inspect.8")?;
    ensure!(options(&help).is_subset(&options(&page)), "{help}\n{page}");
    Ok(())
}

/// What bash would offer for the last word.
fn offered(script: &Path, words: &[&str]) -> Result<Vec<String>> {
    let last = words.len() - 1;
    let asked = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={last}; _{} {} {} {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words[0].replace('-', "__"),
        words[0],
        format_args!("'{}'", words[last]),
        format_args!("'{}'", words[last - 1]),
    );
    let said = said_by(Path::new("/bin/bash"), &["--norc", "-c", &asked])?;
    Ok(said.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_commands_options_and_values() -> Result<()> {
    let pages = Pages::write()?;
    let manager = pages.path("bash/etcd-manager");
    assert_eq!(offered(&manager, &["etcd-manager", "ap"])?, ["apply"]);
    let options = offered(&manager, &["etcd-manager", "apply", "--dr"])?;
    assert_eq!(options, ["--dry-run"]);
    assert_eq!(offered(&manager, &["etcd-manager", "apply", "--output", ""])?, ["text", "json"]);
    let node = pages.path("bash/etcd-node");
    assert_eq!(offered(&node, &["etcd-node", "--data"])?, ["--data-dir"]);
    let states = offered(&node, &["etcd-node", "--initial-cluster-state", ""])?;
    assert_eq!(states, ["new", "existing"]);
    Ok(())
}

/// zsh and fish only where they are installed: their scripts must at least be read without a fault.
#[test]
fn every_command_stands_in_every_shells_script() -> Result<()> {
    let pages = Pages::write()?;
    let help = said_by(Path::new(env!("CARGO_BIN_EXE_etcd-manager")), &["--help"])?;
    for (shell, program, file) in [
        ("bash", "/bin/bash", "bash/etcd-manager"),
        ("zsh", "/usr/bin/zsh", "zsh/_etcd-manager"),
        ("fish", "/usr/bin/fish", "fish/etcd-manager.fish"),
    ] {
        let script = pages.read(file)?;
        for command in commands(&help) {
            ensure!(script.contains(&command), "{file} lacks {command}");
        }
        if Path::new(program).exists() {
            for name in [file.to_owned(), file.replace("manager", "node")] {
                let path = pages.path(&name);
                said_by(Path::new(program), &["-n", path.to_str().context("a path")?])
                    .with_context(|| format!("{shell} cannot read {name}"))?;
            }
        }
    }
    Ok(())
}
