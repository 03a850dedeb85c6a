//! Standard output and standard error. A reader that went away is no error of ours.

use std::io::{self, IsTerminal, Write};

/// Where a command prints.
#[derive(Debug)]
pub(super) struct Screen {
    out: io::Stdout,
    err: io::Stderr,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { out: io::stdout(), err: io::stderr() }
    }

    /// Whether somebody sits in front of standard output.
    pub(super) fn is_terminal(&self) -> bool {
        self.out.is_terminal()
    }

    /// A line on standard output.
    pub(super) fn line(&mut self, text: &str) {
        self.print(&format!("{text}\n"));
    }

    /// Text on standard output, as it is.
    pub(super) fn print(&mut self, text: &str) {
        drop(self.out.write_all(text.as_bytes()));
        drop(self.out.flush());
    }

    /// Bytes on standard output; false if nobody reads them any more.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> bool {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).is_ok()
    }

    /// Asks a question on standard error; yes is `yes`, typed at a terminal.
    pub(super) fn confirm(&mut self, question: &str) -> io::Result<bool> {
        if !io::stdin().is_terminal() {
            return Ok(false);
        }
        self.err.write_all(format!("{question} Type yes: ").as_bytes())?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(answer.trim() == "yes")
    }

    /// A line on standard error.
    pub(super) fn error(&mut self, text: &str) {
        drop(writeln!(self.err, "{}", text.trim_end()));
    }
}
