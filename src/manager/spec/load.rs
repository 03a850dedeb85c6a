//! From a file to a spec: read, parse, check, and all mistakes of the file at once.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    build,
    diagnostic::{Code, Diagnostic, Report, SpecErrors, unreadable},
    raw,
    types::ClusterSpec,
};

/// A spec is written by hand: more than this is some other file.
const SPEC_BYTES_MAX: u64 = 1024 * 1024;

/// A spec as loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub spec: ClusterSpec,
    /// Mistakes that do not keep it from being used.
    pub warnings: Vec<Diagnostic>,
    /// The file's content.
    pub text: String,
    /// Hexadecimal SHA-256 of the content.
    pub digest: String,
}

/// Reads a spec file.
///
/// # Errors
/// Everything that is wrong with it. Correct the file and try again.
pub fn load(path: &Path) -> Result<Loaded, SpecErrors> {
    let (source, text) = read(path)?;
    parse_as(path, &source, &text)
}

/// The agent's state dir that a spec file names, even if the rest of it is wrong: a mistake in the file must not hide a
/// running cluster.
///
/// # Errors
/// If the file cannot be read, or not even so much can be made out.
pub fn state_dir(path: &Path) -> Result<PathBuf, SpecErrors> {
    despite_mistakes(path).map(|spec| spec.agent.state_dir)
}

/// What can be made out of a spec file, only to find its agents.
///
/// # Errors
/// As [`state_dir`].
pub fn despite_mistakes(path: &Path) -> Result<ClusterSpec, SpecErrors> {
    let (source, text) = read(path)?;
    let mut report = Report::new(path, &text);
    let raw = raw::read(&text, &mut report);
    match build::build(&raw, &source, &mut report) {
        Some(spec) if !raw.broken => Ok(spec),
        _ => Err(SpecErrors { diagnostics: report.finish() }),
    }
}

fn read(path: &Path) -> Result<(PathBuf, String), SpecErrors> {
    read_file(path, "name a readable cluster.toml; config/ holds examples")
}

/// A file's whole path and its text.
pub(super) fn read_file(path: &Path, remedy: &str) -> Result<(PathBuf, String), SpecErrors> {
    let refuse = |reason: String| unreadable(path, reason, remedy.to_owned());
    let source = std::path::absolute(path)
        .and_then(|path| with_real_folder(&path))
        .map_err(|error| refuse(error.to_string()))?;
    let mut bytes = Vec::new();
    std::fs::File::open(&source)
        .and_then(|file| file.take(SPEC_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(error.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SPEC_BYTES_MAX {
        return Err(refuse(format!("more than {SPEC_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refuse(format!("not UTF-8 text: byte {at} is none"))
    })?;
    Ok((source, text))
}

/// Reads the text of a spec that lies, or would lie, at `source`; its relative paths are against that file's folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(source: &Path, text: &str) -> Result<Loaded, SpecErrors> {
    parse_as(source, source, text)
}

fn parse_as(shown: &Path, source: &Path, text: &str) -> Result<Loaded, SpecErrors> {
    let mut report = Report::new(shown, text);
    let raw = raw::read(text, &mut report);
    let spec = build::build(&raw, source, &mut report);
    match spec {
        Some(spec) if !report.has_errors() => Ok(Loaded {
            spec,
            warnings: report.finish(),
            text: text.to_owned(),
            digest: digest(text),
        }),
        _ => {
            assert!(report.has_errors(), "a spec is refused for a reason ({})", Code::Syntax);
            Err(SpecErrors { diagnostics: report.finish() })
        }
    }
}

/// The file by its folder's real path, so that a relative path means the same from wherever it is named.
fn with_real_folder(path: &Path) -> std::io::Result<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::Error::other("it is no file"));
    };
    folder.canonicalize().map(|folder| folder.join(name))
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
