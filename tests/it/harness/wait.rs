//! Bounded waits on a predicate; never a bare sleep.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok`, for `limit` at most.
///
/// # Errors
/// The last answer, with what was waited for.
#[expect(clippy::disallowed_methods, reason = "system tests live in real time")]
pub(crate) async fn until<T, E, F, Fut>(limit: Duration, what: &str, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Debug,
{
    let start = Instant::now();
    loop {
        let last = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain until {what}; last: {last:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same for a blocking question.
///
/// # Errors
/// The last answer, with what was waited for.
#[expect(clippy::disallowed_methods, reason = "system tests live in real time")]
pub(crate) fn until_blocking<T, E: Debug>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<T, E>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain until {what}; last: {last:?}");
        }
        std::thread::sleep(PAUSE);
    }
}
