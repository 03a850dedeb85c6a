//! House rules that a machine can keep; each message says how to mend it. See docs/testing.md.
#![expect(clippy::tests_outside_test_module, reason = "a test program holds nothing else")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Which crate may import which (docs/architecture.md, "Who may import whom").
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("disk", &["base"]),
    ("tls", &["base", "disk"]),
    ("wire", &["base"]),
    ("wal", &["base", "disk", "wire"]),
    ("backend", &["base", "disk", "wire"]),
    ("bolt", &["base", "disk", "wire"]),
    ("state", &["base", "wire", "backend"]),
    ("consensus", &["base", "wire", "wal"]),
    ("lineage", &["base"]),
    ("records", &["base", "disk", "lineage"]),
    (
        "node",
        &[
            "base",
            "disk",
            "tls",
            "wire",
            "wal",
            "backend",
            "bolt",
            "state",
            "consensus",
            "lineage",
            "records",
        ],
    ),
    ("client", &["base", "tls", "wire"]),
    (
        "manager",
        &["base", "disk", "tls", "wire", "wal", "consensus", "lineage", "records", "client"],
    ),
];

/// Folders whose code decides and must not touch the world, and what must not appear there.
const PURE: &[(&str, &[&str])] = &[
    ("src/state", &["tokio::", "std::net", "SystemTime", "Instant", "rand::", "std::fs"]),
    (
        "src/lineage",
        &["tokio", "std::net", "SystemTime", "Instant", "rand::", "std::fs", "HashMap", "HashSet"],
    ),
    (
        "src/manager/plan",
        &["tokio", "client::", "std::net", "SystemTime", "Instant", "rand::", "std::fs", "HashMap"],
    ),
    (
        "src/manager/check",
        &["tokio", "client::", "std::net", "SystemTime", "Instant", "rand::", "std::fs", "HashMap"],
    ),
];

/// Code lines of a file, tests apart, above which it must be split.
const FILE_LINES_MAX: usize = 500;

const TOP_LEVEL: &[&str] = &[
    ".cache",
    ".ci",
    ".config",
    ".git",
    ".gitignore",
    ".local",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clippy.toml",
    "config",
    "docs",
    "fuzz",
    "rustfmt.toml",
    "scripts",
    "src",
    "systemd",
    "sysvinit",
    "target",
    "tests",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file of the repository can be read")
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(items) = fs::read_dir(&folder) else { continue };
        for item in items {
            let path = item.expect("folder entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<PathBuf> {
    ["src", "tests", "benches"].iter().flat_map(|folder| files(folder, ".rs")).collect()
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Code of a file without its test module.
fn code(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod").and_then(|at| text.get(..at)).unwrap_or(text)
}

#[test]
fn every_file_says_what_it_does_in_its_first_line() {
    let faults: Vec<String> = rust_files()
        .iter()
        .filter(|path| !read(path).starts_with("//! "))
        .map(|path| format!("{}: begin with `//! what this file does`", short(path)))
        .collect();
    none(&faults);
}

#[test]
fn no_crate_imports_upwards() {
    let mut faults = Vec::new();
    for (name, allowed) in LAYERS {
        let manifest = read(&root().join(format!("src/{name}/Cargo.toml")));
        let manifest: toml::Table = manifest.parse().expect("a manifest");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        for dependency in dependencies.into_iter().flat_map(toml::Table::keys) {
            let ours = LAYERS.iter().any(|(layer, _)| layer == dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                faults.push(format!("src/{name}/Cargo.toml: {name} may not import {dependency}"));
            }
        }
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) {
            faults.push(format!("src/{name}/Cargo.toml: say `[lints] workspace = true`"));
        }
    }
    none(&faults);
}

#[test]
fn deciding_code_does_not_touch_the_world() {
    let mut faults = Vec::new();
    for (folder, banned) in PURE {
        for path in files(folder, ".rs").into_iter().chain([root().join(format!("{folder}.rs"))]) {
            if !path.exists() || path.ends_with("tests.rs") {
                continue;
            }
            let text = read(&path);
            for (at, line) in code(&text).lines().enumerate() {
                let line = line.split("//").next().unwrap_or_default();
                for word in banned.iter().filter(|word| line.contains(*word)) {
                    faults.push(format!("{}:{}: `{word}` in a pure folder", short(&path), at + 1));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for path in files("src", ".rs") {
        let text = read(&path);
        let lines = code(&text).lines().count();
        if lines > FILE_LINES_MAX && !path.ends_with("tests.rs") {
            faults.push(format!("{}: {lines} lines of code; split it by role", short(&path)));
        }
    }
    none(&faults);
}

#[test]
fn no_unfinished_marks_and_no_mod_files() {
    let marks =
        [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X"), concat!("dbg", "!(")];
    let mut faults = Vec::new();
    for path in rust_files() {
        if path.ends_with("mod.rs") {
            faults.push(format!("{}: name it after its folder, beside it", short(&path)));
        }
        let text = read(&path);
        for mark in marks.iter().filter(|mark| text.contains(*mark)) {
            faults.push(format!("{}: {mark}: finish it, or file an issue", short(&path)));
        }
        let ignored = concat!("#[ig", "nore");
        if text.contains(ignored) {
            faults.push(format!("{}: no test is ignored", short(&path)));
        }
    }
    none(&faults);
}

/// `R4` and the like, where they stand as words in comments or test names.
fn rules_in(text: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        for word in comment.split(|letter: char| !letter.is_ascii_alphanumeric()) {
            let number = word.strip_prefix('R').and_then(|digits| digits.parse().ok());
            found.extend(number.filter(|number| (1..=18_u32).contains(number)));
        }
    }
    found
}

#[test]
fn rules_named_in_the_code_stand_in_the_invariants_with_code_and_test() {
    let invariants = read(&root().join("docs/invariants.md"));
    let mut faults = Vec::new();
    for path in files("src", ".rs") {
        for rule in rules_in(&read(&path)) {
            let row = invariants.lines().find(|line| line.starts_with(&format!("| R{rule} |")));
            let named = row.is_some_and(|row| row.contains("src/"));
            if !named {
                faults.push(format!(
                    "{} keeps R{rule}: docs/invariants.md must say where (`src/…`) in its row",
                    short(&path)
                ));
            }
        }
    }
    for rule in 1..=18 {
        if !invariants.contains(&format!("| R{rule} |")) {
            faults.push(format!("docs/invariants.md: R{rule} has no row"));
        }
    }
    none(&faults);
}

#[test]
fn paths_in_the_documents_exist() {
    let mut faults = Vec::new();
    for document in [
        "README.md",
        "docs/architecture.md",
        "docs/invariants.md",
        "docs/testing.md",
        "docs/on-disk.md",
    ] {
        let text = read(&root().join(document));
        for word in text.split(|letter: char| letter.is_whitespace() || "`()|,;\"".contains(letter))
        {
            let word = word.trim_end_matches(['.', ':']);
            let ours = ["src/", "tests/", "docs/", "benches/", "config/", "scripts/"];
            let checked = ours.iter().any(|folder| word.starts_with(folder))
                && !word.contains(['*', '<', '…', '{', 'N']);
            if checked && !root().join(word).exists() {
                faults.push(format!("{document}: there is no {word}"));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_error_code_has_a_page_and_back() {
    let mut codes: BTreeMap<String, String> = BTreeMap::new();
    for path in files("src", ".rs") {
        let text = read(&path);
        for (at, _) in text.match_indices("\"E-") {
            let rest = text.get(at + 1..).unwrap_or_default();
            let code: String = rest
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '-')
                .collect();
            if code.chars().any(|c| c.is_ascii_digit()) {
                codes.insert(code, short(&path));
            }
        }
    }
    let mut faults = Vec::new();
    for (code, path) in &codes {
        if !root().join(format!("docs/errors/{code}.md")).exists() {
            faults.push(format!("{path}: {code} needs a page docs/errors/{code}.md"));
        }
    }
    for page in files("docs/errors", ".md") {
        let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("E-") && !codes.contains_key(&name) {
            faults.push(format!("{}: no code gives {name}", short(&page)));
        }
    }
    none(&faults);
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    let items = fs::read_dir(root()).expect("the root folder");
    let faults: Vec<String> = items
        .filter_map(|item| item.ok()?.file_name().into_string().ok())
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| format!("{name}: does not belong at the top level"))
        .collect();
    none(&faults);
}
