//! `archives list|purge`: the only command that deletes data, and only what the operator names (R4).

use std::{collections::BTreeSet, io, path::PathBuf, time::Duration};

use super::{
    Environment,
    arguments::{
        Output,
        archives::{Archives, ArchivesPurge, ArchivesVerb, Where},
    },
    outcome::{Failure, Outcome, REFUSED, USAGE},
    screen::Screen,
};
use crate::{
    archives::{self, Archive, Selection, millis},
    report::in_units,
    spec::{self, ClusterSpec},
};

pub(super) fn archives(
    wish: &Archives,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    match &wish.verb {
        ArchivesVerb::List(list) => {
            let (_, found) = found(&list.place)?;
            show(&found, list.output, environment, screen)?;
            Ok(Outcome::Done)
        }
        ArchivesVerb::Purge(purge) => remove(purge, environment, screen),
    }
}

fn found(place: &Where) -> Result<(ClusterSpec, Vec<Archive>), Failure> {
    let spec = spec::load(&place.spec.file)?.spec;
    let further = place.folders.iter().map(std::path::absolute);
    let mut folders: BTreeSet<PathBuf> = further.collect::<io::Result<_>>()?;
    folders.extend(archives::folders(&spec));
    let found = archives::list(&folders)?;
    Ok((spec, found))
}

fn show(
    found: &[Archive],
    output: Output,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<(), Failure> {
    if output == Output::Json {
        let text = serde_json::to_string_pretty(found);
        screen.line(&text.map_err(|error| Failure::failed(error.to_string()))?);
        return Ok(());
    }
    if found.is_empty() {
        screen.line("no archives");
        return Ok(());
    }
    let now = millis(environment.clock.wall());
    for archive in found {
        let age = Duration::from_secs(now.saturating_sub(archive.at_ms) / 1000);
        let about = if archive.at_is_about { "about " } else { "" };
        let or_unknown =
            |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        screen.line(&format!(
            "{}  {about}{} ago  node {}, member {}, cluster {}  {}  {}\n    {}",
            archive.name,
            humantime::format_duration(age),
            archive.node,
            or_unknown(&archive.member),
            or_unknown(&archive.cluster),
            in_units(archive.bytes),
            or_unknown(&archive.reason),
            archive.path.display()
        ));
    }
    Ok(())
}

fn remove(
    purge: &ArchivesPurge,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let (spec, all) = found(&purge.place)?;
    let known = |name: &&String| all.iter().any(|archive| archive.name == **name);
    if let Some(missing) = purge.names.iter().find(|name| !known(name)) {
        let text =
            format!("there is no archive {missing:?}; `etcd-manager archives list` shows them");
        return Err(Failure::new(USAGE, text));
    }
    let selection = Selection {
        names: purge.names.iter().cloned().collect(),
        older_than: purge.older_than,
        keep: purge.keep,
    };
    let chosen = archives::select(&all, &selection, environment.clock.wall());
    if let Some(reason) = chosen.iter().find_map(|archive| archives::in_use(archive, &spec)) {
        return Err(Failure::new(REFUSED, format!("{reason}; nothing was deleted")));
    }
    show(&chosen, Output::Text, environment, screen)?;
    if chosen.is_empty() || purge.dry_run {
        return Ok(Outcome::Done);
    }
    if !purge.yes && !screen.confirm(&format!("Delete these {} for good?", chosen.len()))? {
        return Err(Failure::new(REFUSED, "nothing was deleted; `--yes` deletes without asking"));
    }
    for archive in &chosen {
        archives::purge(archive).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::CrossesDevices => {
                Failure::new(REFUSED, format!("{error}; it stays, and so do those after it"))
            }
            _ => Failure::failed(error.to_string()),
        })?;
        screen.line(&format!("deleted {}", archive.path.display()));
    }
    Ok(Outcome::Done)
}
