//! An environment as text: for a shell, for systemd's EnvironmentFile, for programs.

use std::collections::BTreeMap;

/// `export NAME='value'`, one a line, for `eval` or `.` in any POSIX shell.
#[must_use]
pub fn shell(environment: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| {
        format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
    };
    environment.iter().map(line).collect()
}

/// `NAME="value"`, one a line, for `EnvironmentFile=`.
#[must_use]
pub fn systemd(environment: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| {
        let mut escaped = String::with_capacity(value.len());
        for letter in value.chars() {
            if ['"', '\\', '`', '$'].contains(&letter) {
                escaped.push('\\');
            }
            escaped.push(letter);
        }
        format!("{name}=\"{escaped}\"\n")
    };
    environment.iter().map(line).collect()
}

/// One JSON object.
#[must_use]
pub fn json(environment: &BTreeMap<String, String>) -> String {
    let text = serde_json::to_string_pretty(environment);
    text.expect("a map of strings is always JSON") + "\n"
}

/// A command line that a POSIX shell reads back as the same words.
#[must_use]
pub fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" \\\n  ") + "\n"
}
