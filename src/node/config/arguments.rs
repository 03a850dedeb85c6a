//! Reads the command line as Go's flag package does: one dash or two, `-flag=value`, `-flag value`,
//! bare switches.

use base::flags::{self, Flag, IGNORED, Kind};

use super::{Refusal, given::Given};

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) given: Given,
    pub(super) help: bool,
    /// Flags of old that were accepted and mean nothing.
    pub(super) ignored: Vec<String>,
}

/// Reads all arguments (without the program's name).
///
/// # Errors
/// As Go words them; status 2, or 1 for what stands after the flags.
pub(super) fn read(arguments: &[String]) -> Result<Arguments, Refusal> {
    let mut read = Arguments { given: Given::default(), help: false, ignored: Vec::new() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            return rest.next().map_or(Ok(()), |argument| Err(stray(argument))).map(|()| read);
        }
        let Some(body) = bare(argument)? else { return Err(stray(argument)) };
        let (name, attached) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        if matches!(name, "help" | "h") {
            read.help = true;
            return Ok(read);
        }
        let Some(flag) = flags::find(name) else {
            if !IGNORED.contains(&name) {
                return Err(Refusal::usage(format!("flag provided but not defined: -{name}")));
            }
            if attached.is_none() && rest.next().is_none() {
                return Err(missing(name));
            }
            read.ignored.push(name.to_owned());
            continue;
        };
        let value = match (attached, flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Bool) => "true".to_owned(),
            (None, _) => rest.next().ok_or_else(|| missing(name))?.clone(),
        };
        check(flag, &value)?;
        read.given.set(flag, value);
    }
    Ok(read)
}

/// The argument without its dashes; nothing if it is no flag.
fn bare(argument: &str) -> Result<Option<&str>, Refusal> {
    let Some(body) = argument.strip_prefix('-').filter(|body| !body.is_empty()) else {
        return Ok(None);
    };
    let body = body.strip_prefix('-').unwrap_or(body);
    if body.is_empty() || body.starts_with('-') || body.starts_with('=') {
        return Err(Refusal::usage(format!("bad flag syntax: {argument}")));
    }
    Ok(Some(body))
}

fn check(flag: &Flag, value: &str) -> Result<(), Refusal> {
    let Err(error) = flag.validate(value) else { return Ok(()) };
    let name = flag.name;
    Err(match flag.kind {
        Kind::Bool => {
            Refusal::usage(format!("invalid boolean value {value:?} for -{name}: parse error"))
        }
        // etcd reads these only after the command line, and then ends with status 1.
        Kind::Members => Refusal::invalid(format!("error setting up initial cluster: {error}")),
        _ => Refusal::usage(format!("invalid value {value:?} for flag -{name}: {error}")),
    })
}

fn missing(name: &str) -> Refusal {
    Refusal::usage(format!("flag needs an argument: -{name}"))
}

fn stray(argument: &str) -> Refusal {
    Refusal::invalid(match argument {
        "gateway" | "grpc-proxy" => format!("'{argument}' is not served by this program"),
        _ => format!("'{argument}' is not a valid flag"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(arguments: &[&str]) -> Result<Arguments, Refusal> {
        read(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn flags_take_one_dash_or_two_and_values_attached_or_apart() {
        let read =
            read_all(&["-name=a", "--data-dir", "/d", "-pre-vote", "--unsafe-no-fsync=F"]).unwrap();
        assert_eq!(read.given.text("name"), "a");
        assert_eq!(read.given.text("data-dir"), "/d");
        assert!(read.given.switch("pre-vote"));
        assert!(!read.given.switch("unsafe-no-fsync"));
        assert!(!read.given.has("wal-dir"));
        assert!(read_all(&["-h", "--nope"]).unwrap().help);
        assert_eq!(read_all(&["--snapshot", "x"]).unwrap().ignored, ["snapshot"]);
    }

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        for (arguments, exit, text) in [
            (&["--nope"][..], 2, "flag provided but not defined: -nope"),
            (&["--name"], 2, "flag needs an argument: -name"),
            (&["---name=x"], 2, "bad flag syntax: ---name=x"),
            (&["--=x"], 2, "bad flag syntax: --=x"),
            (&["--pre-vote=yes"], 2, "invalid boolean value \"yes\" for -pre-vote: parse error"),
            (
                &["--snapshot-count=-1"],
                2,
                "invalid value \"-1\" for flag -snapshot-count: must be at least 0",
            ),
            (&["--pre-vote", "false"], 1, "'false' is not a valid flag"),
            (&["--name=a", "--", "x"], 1, "'x' is not a valid flag"),
            (&["gateway"], 1, "'gateway' is not served by this program"),
        ] {
            let refusal = read_all(arguments).unwrap_err();
            assert_eq!((refusal.exit, refusal.text.as_str()), (exit, text), "{arguments:?}");
        }
    }
}
