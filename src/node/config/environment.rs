//! Fills in what the command line left open from the environment, as etcd does.

use base::flags;

use super::{Refusal, given::Given};

/// Takes `ETCD_*` variables; returns what is to be logged.
///
/// # Errors
/// A bad value, or a variable of a flag that was given as well: etcd 3.5 stops then too.
pub(super) fn read(
    given: &mut Given,
    environment: &[(String, String)],
) -> Result<Vec<String>, Refusal> {
    let mut notes = Vec::new();
    let ours = environment.iter().filter(|(name, _)| name.starts_with("ETCD_"));
    for (name, value) in ours {
        let Some(flag) = flags::ALL.iter().find(|flag| flag.environment_name() == *name) else {
            notes.push(format!("unrecognized environment variable {name}={value}"));
            continue;
        };
        if given.has(flag.name) {
            return Err(Refusal::invalid(format!(
                "conflicting environment variable {name} is shadowed by corresponding command-line flag (either unset environment variable or disable flag)"
            )));
        }
        if value.is_empty() {
            notes.push(format!("unrecognized environment variable {name}="));
        } else if flag.name == "version" {
            notes.push("cannot set special environment variable ETCD_VERSION".to_owned());
        } else {
            flag.validate(value).map_err(|error| {
                Refusal::invalid(format!("invalid value {value:?} for {name}: {error}"))
            })?;
        }
    }
    for (name, value) in environment.iter().filter(|(_, value)| !value.is_empty()) {
        let flag = flags::ALL.iter().find(|flag| flag.environment_name() == *name);
        if let Some(flag) = flag.filter(|flag| flag.name != "version") {
            given.set(flag, value.clone());
        }
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::arguments;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn variables_fill_what_the_command_line_left_open() {
        let mut given = arguments::read(&["--name=a".to_owned()]).unwrap().given;
        let environment = variables(&[
            ("ETCD_DATA_DIR", "/d"),
            ("ETCD_NOPE", "1"),
            ("HOME", "/"),
            ("ETCD_WAL_DIR", ""),
        ]);
        let notes = read(&mut given, &environment).unwrap();
        assert_eq!(given.text("name"), "a");
        assert_eq!(given.text("data-dir"), "/d");
        assert_eq!(
            notes,
            [
                "unrecognized environment variable ETCD_NOPE=1",
                "unrecognized environment variable ETCD_WAL_DIR="
            ]
        );
    }

    #[test]
    fn a_variable_beside_its_flag_or_with_a_bad_value_stops_the_start() {
        let mut given = arguments::read(&["--name=a".to_owned()]).unwrap().given;
        let refusal = read(&mut given, &variables(&[("ETCD_NAME", "b")])).unwrap_err();
        assert_eq!(refusal.exit, 1);
        assert!(refusal.text.contains("ETCD_NAME is shadowed"), "{}", refusal.text);
        let refusal = read(&mut given, &variables(&[("ETCD_PRE_VOTE", "x")])).unwrap_err();
        assert_eq!(refusal.text, "invalid value \"x\" for ETCD_PRE_VOTE: must be true or false");
    }
}
