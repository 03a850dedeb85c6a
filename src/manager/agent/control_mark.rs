//! Notes about once a second how far the control member has come, outside the state dir (R17).

use std::time::Duration;

use crate::control::{Control, mark::Marks};

const PACE: Duration = Duration::from_secs(1);

/// Runs until its agent ends. A mark that cannot be written is an old one: it shows less, and never something wrong.
pub(crate) async fn run(control: Control, marks: Marks) {
    // It was read when the group was opened.
    let mut written = marks.read().ok().flatten();
    let mut is_told = false;
    loop {
        tokio::time::sleep(PACE).await;
        let mark = control.mark().map(|mark| mark.after(written.as_ref()));
        let Some(mark) = mark.filter(|mark| Some(*mark) != written) else { continue };
        let place = marks.clone();
        let done = tokio::task::spawn_blocking(move || place.write(&mark)).await;
        match done {
            Ok(Ok(())) => written = Some(mark),
            Ok(Err(error)) if !is_told => {
                is_told = true;
                tracing::warn!("the mark of the control state cannot be written: {error}");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
