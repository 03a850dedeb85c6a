//! What a plan has to say besides its steps: drift, waits, obstacles and refusals.

use std::fmt;

use serde::Serialize;

/// A safety rule of docs/invariants.md, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rule(pub u8);

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}", self.0)
    }
}

/// What a note means for the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// Nothing of the plan is carried out until the spec or the cluster is put right.
    Refused,
    /// This node cannot become what the spec says until a human helps; the other steps go on.
    Blocked,
    /// Not now: look again later.
    Wait,
    /// Differs from the spec and is only reported.
    Drift,
}

/// One such note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it means.
    pub kind: NoteKind,
    /// The safety rule behind it, if one is.
    pub rule: Option<Rule>,
    /// The node it concerns, if one.
    pub node: Option<String>,
    /// What was found: one sentence.
    pub text: String,
    /// What to do: one sentence; empty for a wait that ends by itself.
    pub remedy: String,
}
