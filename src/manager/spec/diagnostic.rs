//! Mistakes in a spec, each with its code, place, reason and remedy, rendered with the line they stand on.

use std::{fmt, ops::Range, path::Path};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};

/// A file with more mistakes than this is no spec.
const MISTAKES_MAX: usize = 200;

macro_rules! codes {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// Stable code of a kind of mistake; docs/errors has a page for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $text] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it is printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

codes! {
    Unreadable = "E-SPEC-01",
    Syntax = "E-SPEC-02",
    UnknownKey = "E-SPEC-03",
    WrongType = "E-SPEC-04",
    MissingKey = "E-SPEC-05",
    IllegalName = "E-SPEC-06",
    IllegalHost = "E-SPEC-07",
    IllegalUrl = "E-SPEC-08",
    DuplicateName = "E-SPEC-09",
    AddressTaken = "E-SPEC-10",
    FoldersOverlap = "E-SPEC-11",
    UnknownFlag = "E-SPEC-12",
    FlagValue = "E-SPEC-13",
    FlagNotYours = "E-SPEC-14",
    NoNodes = "E-SPEC-15",
    MemberCount = "E-SPEC-16",
    IllegalUser = "E-SPEC-17",
    OutOfRange = "E-SPEC-18",
    IllegalVariable = "E-SPEC-19",
    KeysConflict = "E-SPEC-20",
    PathTooLong = "E-SPEC-21",
    FlagsDiffer = "E-SPEC-22",
    NoTls = "E-SPEC-23",
    RiskyFlag = "E-SPEC-24",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a mistake keeps the spec from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// The spec is used as it is.
    Warning,
}

/// One mistake, ready to be shown. Its `Display` is the whole rendered text, without colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub code: Code,
    /// Whether it keeps the spec from being used.
    pub severity: Severity,
    /// Line from 1; 0 if the file could not be read.
    pub line: usize,
    /// Column in characters from 1; 0 if the file could not be read.
    pub column: usize,
    /// What is wrong: one sentence.
    pub reason: String,
    /// What to do: one sentence.
    pub remedy: String,
    rendered: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

/// All mistakes of a file, in the order of their places, the warnings among them too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SpecErrors {
    /// At least one of them is an error.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.diagnostics.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

/// A mistake as it is found: bytes instead of lines.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) code: Code,
    pub(super) span: Range<usize>,
    pub(super) reason: String,
    pub(super) remedy: String,
    /// Another place that it has to do with.
    pub(super) also: Option<(Range<usize>, String)>,
}

/// Collects the mistakes of one file.
#[derive(Debug)]
pub(super) struct Report<'a> {
    file: String,
    text: &'a str,
    found: Vec<(Severity, Mistake)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &Path, text: &'a str) -> Self {
        Self { file: file.display().to_string(), text, found: Vec::new() }
    }

    pub(super) fn error(
        &mut self,
        code: Code,
        span: &Range<usize>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (reason, remedy) = (reason.into(), remedy.into());
        self.push(
            Severity::Error,
            Mistake { code, span: span.clone(), reason, remedy, also: None },
        );
    }

    pub(super) fn warning(
        &mut self,
        code: Code,
        span: &Range<usize>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (reason, remedy) = (reason.into(), remedy.into());
        self.push(
            Severity::Warning,
            Mistake { code, span: span.clone(), reason, remedy, also: None },
        );
    }

    /// A mistake under [defaults] may be found once for each node: it is reported once.
    pub(super) fn push(&mut self, severity: Severity, mistake: Mistake) {
        let known = self.found.iter().any(|(_, known)| {
            known.code == mistake.code
                && known.span == mistake.span
                && known.reason == mistake.reason
        });
        if known || self.found.len() >= MISTAKES_MAX {
            return;
        }
        self.found.push((severity, mistake));
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|(severity, _)| *severity == Severity::Error)
    }

    /// All of them, by place.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(_, mistake)| (mistake.span.start, mistake.span.end));
        let Self { file, text, found } = self;
        found
            .into_iter()
            .map(|(severity, mistake)| render(&file, text, severity, mistake))
            .collect()
    }
}

/// A file that could not be read at all.
pub(super) fn unreadable(file: &Path, reason: String, remedy: String) -> SpecErrors {
    let code = Code::Unreadable;
    let level =
        Level::ERROR.primary_title(format!("{}: {reason}", file.display())).id(code.as_str());
    let groups = [Group::with_title(level).element(Level::HELP.message(remedy.clone()))];
    let rendered = renderer().render(&groups);
    let severity = Severity::Error;
    let diagnostic = Diagnostic { code, severity, line: 0, column: 0, reason, remedy, rendered };
    SpecErrors { diagnostics: vec![diagnostic] }
}

fn render(file: &str, text: &str, severity: Severity, mistake: Mistake) -> Diagnostic {
    let Mistake { code, span, reason, remedy, also } = mistake;
    let (line, column) = place(text, span.start);
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut snippet = Snippet::source(text)
        .path(file)
        .annotation(AnnotationKind::Primary.span(first_line(text, &span)));
    if let Some((span, label)) = also {
        let place = first_line(text, &span);
        snippet = snippet.annotation(AnnotationKind::Context.span(place).label(label));
    }
    let title = level.primary_title(reason.clone()).id(code.as_str());
    let groups = [title.element(snippet).element(Level::HELP.message(remedy.clone()))];
    let rendered = renderer().render(&groups);
    Diagnostic { code, severity, line, column, reason, remedy, rendered }
}

/// Wide enough never to cut a line of a sane file.
const fn renderer() -> Renderer {
    Renderer::plain().decor_style(DecorStyle::Ascii).term_width(200)
}

/// The part of a span on its first line, so that a whole table is shown by its header.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line = text.get(start..end).unwrap_or_default();
    start..start + line.find(['\n', '\r']).unwrap_or(line.len())
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
