//! Shows how a request goes: a live line on a terminal, plain lines elsewhere, or JSON lines.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tonic::Streaming;
use wire::agentpb::{
    Progress,
    progress::{Kind, Outcome as Verdict},
};

use super::{
    arguments::Output,
    outcome::{Failure, Outcome},
    screen::Screen,
};

/// Pace of the live line.
const SPIN: Duration = Duration::from_millis(100);

/// A line of `--output json`.
#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    elapsed_ms: u64,
}

/// Follows a request to its end, or to Ctrl-C.
pub(super) async fn follow(
    mut lines: Streaming<Progress>,
    output: Output,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let mut view = View::new(output, screen);
    // One listener for the whole time: with one a turn, a Ctrl-C between two turns would be lost.
    let mut interrupts = signal(SignalKind::interrupt())?;
    loop {
        let next = tokio::select! {
            next = lines.message() => next,
            _ = interrupts.recv() => {
                // The agent notices that nobody listens any more.
                drop(lines);
                let text = "interrupted: the running step is finished, then the agent holds; \
                    the next apply goes on";
                view.end(Verdict::Held, text, 0);
                return Ok(Outcome::Verdict(Verdict::Held));
            }
        };
        match next {
            Ok(Some(progress)) if progress.kind() == Kind::End => {
                view.end(progress.outcome(), &progress.text, progress.elapsed_ms);
                return Ok(Outcome::Verdict(progress.outcome()));
            }
            Ok(Some(progress)) => view.show(&progress),
            Ok(None) => return Err(lost("it hung up")),
            Err(status) => return Err(lost(status.message())),
        }
    }
}

fn lost(why: &str) -> Failure {
    Failure::failed(format!(
        "lost the agent ({why}); nodes run on, and the next agent goes on with what was begun"
    ))
}

enum View<'a> {
    Live { bar: ProgressBar, screen: &'a mut Screen },
    Plain(&'a mut Screen),
    Json(&'a mut Screen),
}

impl<'a> View<'a> {
    fn new(output: Output, screen: &'a mut Screen) -> Self {
        if output == Output::Json {
            return Self::Json(screen);
        }
        if !screen.is_terminal() {
            return Self::Plain(screen);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(SPIN);
        Self::Live { bar, screen }
    }

    fn show(&mut self, progress: &Progress) {
        let Progress { text, elapsed_ms, .. } = progress;
        match (self, progress.kind()) {
            (Self::Json(screen), kind) => {
                json_line(screen, kind_word(kind), text, None, *elapsed_ms);
            }
            (Self::Live { bar, .. }, Kind::Step | Kind::Waiting) => bar.set_message(text.clone()),
            (Self::Live { bar, .. }, _) => bar.println(stamped(text, *elapsed_ms)),
            // Plain lines tell what was done, not each breath in between.
            (Self::Plain(_), Kind::Waiting) => {}
            (Self::Plain(screen), Kind::Step) => {
                screen.line(&stamped(&format!("{text} ..."), *elapsed_ms));
            }
            (Self::Plain(screen), _) => screen.line(&stamped(text, *elapsed_ms)),
        }
    }

    fn end(&mut self, verdict: Verdict, text: &str, elapsed_ms: u64) {
        let screen = match self {
            Self::Json(screen) => {
                json_line(
                    screen,
                    kind_word(Kind::End),
                    text,
                    Some(verdict_word(verdict)),
                    elapsed_ms,
                );
                return;
            }
            Self::Live { bar, screen } => {
                bar.finish_and_clear();
                screen
            }
            Self::Plain(screen) => screen,
        };
        if verdict == Verdict::Converged {
            screen.line(&stamped(text, elapsed_ms));
        } else {
            screen.error(&format!("{}: {text}", verdict_word(verdict)));
        }
    }
}

fn json_line(
    screen: &mut Screen,
    kind: &'static str,
    text: &str,
    outcome: Option<&'static str>,
    elapsed_ms: u64,
) {
    let line = serde_json::to_string(&JsonLine { kind, text, outcome, elapsed_ms });
    screen.line(&line.unwrap_or_default());
}

fn stamped(text: &str, elapsed_ms: u64) -> String {
    format!("{:>4}.{} s  {text}", elapsed_ms / 1000, elapsed_ms % 1000 / 100)
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Note => "note",
        Kind::Step => "step",
        Kind::Waiting => "waiting",
        Kind::StepDone => "step-done",
        Kind::End => "end",
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Converged => "converged",
        Verdict::Failed => "failed",
        Verdict::BadSpec => "bad-spec",
        Verdict::Refused => "refused",
        Verdict::Held => "held",
        Verdict::NoQuorum => "no-quorum",
    }
}
