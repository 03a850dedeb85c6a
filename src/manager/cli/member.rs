//! `member add|remove|replace|move`: edits the spec file, with its comments kept, and applies it. Nothing is written
//! that the loader or the planner refuses.

mod wish;

use std::{io::ErrorKind, path::Path};

use similar::TextDiff;

use super::{
    Environment,
    arguments::{
        Output,
        member::{HowToEdit, Member, MemberVerb},
    },
    outcome::{Failure, Outcome, REFUSED, USAGE},
    requests::{self, HowToApply},
    screen::Screen,
};
use crate::spec::{
    self, Loaded,
    edit::{self, Edit, EditError},
};

pub(super) async fn member(
    member: &Member,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let how = match &member.verb {
        MemberVerb::Add(add) => &add.how,
        MemberVerb::Remove(remove) => &remove.how,
        MemberVerb::Replace(replace) => &replace.how,
        MemberVerb::Move(change) => &change.how,
    };
    let file = &how.spec.file;
    let before = spec::load(file)?;
    let edit = match &member.verb {
        MemberVerb::Add(add) => wish::add(add)?,
        MemberVerb::Remove(remove) => wish::remove(remove, &before)?,
        MemberVerb::Replace(replace) => wish::replace(replace, &before)?,
        MemberVerb::Move(change) => wish::relocate(change, &before)?,
    };
    let after = edited(&before, &edit)?;
    for warning in &after.warnings {
        screen.error(&warning.to_string());
    }
    let diff = diff(file, &before.text, &after.text);
    if how.dry_run {
        return dry_run(&diff, &after, how, environment, screen).await;
    }
    if !how.no_apply {
        let plan = requests::plan_of(&after, &how.reach, environment).await?;
        if plan.refused {
            let text = format!("{}\nnothing was written", plan.text.trim_end());
            return Err(Failure::new(REFUSED, text));
        }
    }
    show(&diff, how.output, screen);
    write(file, &before.text, &after.text)?;
    if how.no_apply {
        return Ok(Outcome::Done);
    }
    let how = HowToApply {
        timeout: how.timeout,
        output: how.output,
        reach: &how.reach,
        expect: None,
        deadline: None,
        now: how.now,
    };
    requests::apply_loaded(after, how, environment, screen).await
}

fn edited(before: &Loaded, change: &Edit) -> Result<Loaded, Failure> {
    edit::edit(&before.spec.source, &before.text, change).map_err(|error| match error {
        EditError::Spec(errors) => {
            let failure = Failure::from(errors);
            Failure::new(failure.code, format!("{}\n\nnothing was written", failure.text))
        }
        EditError::Name(text) => Failure::new(USAGE, text),
        EditError::ByHand(_) => Failure::new(REFUSED, error.to_string()),
    })
}

async fn dry_run(
    diff: &str,
    after: &Loaded,
    how: &HowToEdit,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let plan = requests::plan_of(after, &how.reach, environment).await?;
    match how.output {
        Output::Text => {
            show(diff, how.output, screen);
            screen.line(plan.text.trim_end());
        }
        Output::Json => {
            let parsed: serde_json::Value = serde_json::from_str(&plan.json)
                .map_err(|error| Failure::failed(format!("the plan is no JSON: {error}")))?;
            screen.line(&serde_json::json!({ "diff": diff, "plan": parsed }).to_string());
        }
    }
    Ok(plan.outcome())
}

/// As `diff -u` shows it.
fn diff(file: &Path, before: &str, after: &str) -> String {
    let shown = file.display().to_string();
    TextDiff::from_lines(before, after).unified_diff().header(&shown, &shown).to_string()
}

fn show(diff: &str, output: Output, screen: &mut Screen) {
    match (output, diff.is_empty()) {
        (Output::Text, true) => screen.line("the spec says so already"),
        (Output::Text, false) => screen.print(diff),
        (Output::Json, _) => {
            screen.line(&serde_json::json!({ "kind": "diff", "text": diff }).to_string());
        }
    }
}

fn write(file: &Path, before: &str, after: &str) -> Result<(), Failure> {
    if before == after {
        return Ok(());
    }
    disk::replace_keeping(file, before.as_bytes(), after.as_bytes()).map_err(|error| {
        let file = file.display();
        let text = if error.kind() == ErrorKind::AlreadyExists {
            format!(
                "{file}.edit lies there: another edit is under way, or one was cut off; in that case remove it"
            )
        } else {
            format!("{file}: {error}; it is as it was")
        };
        Failure::failed(text)
    })
}
