//! Tests only: text compared with a kept file, which `UPDATE_EXPECT=1` rewrites for review.

use std::path::Path;

/// Demands that `found` is what the file (relative to this crate) holds.
///
/// # Panics
/// If it is not, naming the first line that differs.
#[expect(clippy::disallowed_methods, reason = "a kept file of the source tree needs no sync")]
pub(crate) fn same_as_kept(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("create the folder");
        std::fs::write(&path, found).expect("write the kept file");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != found {
        let pairs = kept.lines().zip(found.lines());
        let line = pairs.take_while(|(kept, found)| kept == found).count();
        panic!(
            "{}: differs from line {} on; see it with UPDATE_EXPECT=1 and git diff\nkept:  {:?}\nfound: {:?}",
            path.display(),
            line + 1,
            kept.lines().nth(line),
            found.lines().nth(line),
        );
    }
}
