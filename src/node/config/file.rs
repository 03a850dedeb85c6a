//! Reads `--config-file`: YAML whose keys are flag names, with TLS settings nested. Where such a
//! file is given, etcd looks at no flag and no variable.

use base::flags::{self, Kind};
use serde_yaml_ng::Value;

use super::{Refusal, given::Given};

/// Keys that differ from the flag's name.
const RENAMED: &[(&str, &str)] =
    &[("experimental-snapshot-catch-up-entries", "experimental-snapshot-catchup-entries")];
/// Not a flag: see [`Given::client_common_names`].
const CLIENT_ALLOWED_CN: &str = "client-allowed-cn";
/// Keys inside `client-transport-security` and `peer-transport-security`, with the flag for clients
/// and for peers.
const SECURITY: &[(&str, &str, &str)] = &[
    ("cert-file", "cert-file", "peer-cert-file"),
    ("key-file", "key-file", "peer-key-file"),
    ("client-cert-file", "client-cert-file", "peer-client-cert-file"),
    ("client-key-file", "client-key-file", "peer-client-key-file"),
    ("client-cert-auth", "client-cert-auth", "peer-client-cert-auth"),
    ("trusted-ca-file", "trusted-ca-file", "peer-trusted-ca-file"),
    ("auto-tls", "auto-tls", "peer-auto-tls"),
    ("allowed-hostname", "client-cert-allowed-hostname", "peer-cert-allowed-hostname"),
    // etcd has the key for clients too, without a flag of that meaning.
    ("allowed-cn", CLIENT_ALLOWED_CN, "peer-cert-allowed-cn"),
];

/// The settings of a file's text, and what is to be logged.
///
/// # Errors
/// It is not YAML, or a value is not legal.
pub(super) fn read(text: &str) -> Result<(Given, Vec<String>), Refusal> {
    let document: Value = serde_yaml_ng::from_str(text)
        .map_err(|error| Refusal::invalid(format!("error converting YAML to JSON: {error}")))?;
    let mut reader = Reader { given: Given::default(), notes: Vec::new() };
    match document {
        Value::Null => {}
        Value::Mapping(settings) => {
            for (key, value) in settings {
                reader.setting(&text_of(&key).unwrap_or_default(), &value)?;
            }
        }
        _ => return Err(Refusal::invalid("the configuration file is no YAML mapping".to_owned())),
    }
    Ok((reader.given, reader.notes))
}

struct Reader {
    given: Given,
    notes: Vec<String>,
}

impl Reader {
    fn setting(&mut self, key: &str, value: &Value) -> Result<(), Refusal> {
        let renamed = RENAMED.iter().find(|(from, _)| *from == key).map_or(key, |(_, to)| to);
        match (renamed, value) {
            ("client-transport-security", Value::Mapping(nested)) => {
                self.nested(key, nested, |name| {
                    SECURITY.iter().find(|row| row.0 == name).map(|row| row.1)
                })
            }
            ("peer-transport-security", Value::Mapping(nested)) => {
                self.nested(key, nested, |name| {
                    SECURITY.iter().find(|row| row.0 == name).map(|row| row.2)
                })
            }
            ("socket-options", Value::Mapping(nested)) => {
                self.nested(key, nested, |name| match name {
                    "reuse-port" => Some("socket-reuse-port"),
                    "reuse-address" => Some("socket-reuse-address"),
                    _ => None,
                })
            }
            _ => self.flag(key, renamed, value),
        }
    }

    fn nested(
        &mut self,
        outer: &str,
        nested: &serde_yaml_ng::Mapping,
        flag_of: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<(), Refusal> {
        for (key, value) in nested {
            let key = text_of(key).unwrap_or_default();
            let shown = format!("{outer}.{key}");
            match flag_of(&key) {
                Some(flag) => self.flag(&shown, flag, value)?,
                None => self.unknown(&shown),
            }
        }
        Ok(())
    }

    fn flag(&mut self, shown: &str, name: &str, value: &Value) -> Result<(), Refusal> {
        if name == CLIENT_ALLOWED_CN {
            self.given.set_client_common_names(&text_of(value).unwrap_or_default());
            return Ok(());
        }
        let Some(flag) = flags::find(name) else {
            self.unknown(shown);
            return Ok(());
        };
        let wrong = |reason: String| {
            Refusal::invalid(format!("configuration file: value of {shown:?} {reason}"))
        };
        let Some(mut text) = text_of(value) else {
            return Err(wrong("is neither a plain value nor a list of such".to_owned()));
        };
        // Go's durations in JSON are nanoseconds.
        if flag.kind == Kind::Duration && value.is_number() {
            text.push_str("ns");
        }
        // An empty text is what Go takes for a key that is not there.
        if text.is_empty() {
            return Ok(());
        }
        flag.validate(&text).map_err(|error| wrong(error.to_string()))?;
        self.given.set(flag, text);
        Ok(())
    }

    fn unknown(&mut self, key: &str) {
        self.notes.push(format!("unrecognized key {key:?} in the configuration file"));
    }
}

/// A plain value or a list of such, as it would stand on a command line.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Sequence(items) => {
            let items: Option<Vec<String>> = items.iter().map(text_of).collect();
            Some(items?.join(","))
        }
        Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_are_flag_names_and_values_their_plain_forms() {
        let text = "\
name: 'a'
snapshot-count: 5000
pre-vote: false
log-outputs: [stderr, /tmp/x]
grpc-keepalive-interval: 7200000000000
experimental-corrupt-check-time: 5m
wal-dir:
socket-options: {reuse-port: true}
nonsense: 1
peer-transport-security:
  cert-file: /c
  odd: 1
client-transport-security:
  allowed-cn: [a, b]
";
        let (given, notes) = read(text).unwrap();
        assert_eq!(given.text("name"), "a");
        assert_eq!(given.integer("snapshot-count"), 5000);
        assert!(!given.switch("pre-vote") && given.switch("socket-reuse-port"));
        assert_eq!(given.list("log-outputs"), ["stderr", "/tmp/x"]);
        assert_eq!(given.duration("grpc-keepalive-interval"), Duration::from_secs(7200));
        assert_eq!(given.duration("experimental-corrupt-check-time"), Duration::from_secs(300));
        assert!(!given.has("wal-dir"));
        assert_eq!(given.text("peer-cert-file"), "/c");
        assert_eq!(given.client_common_names(), ["a", "b"]);
        assert_eq!(
            notes,
            [
                "unrecognized key \"nonsense\" in the configuration file",
                "unrecognized key \"peer-transport-security.odd\" in the configuration file"
            ]
        );
    }

    #[test]
    fn bad_files_are_refused() {
        for text in ["[1, 2", "- a", "pre-vote: 3", "snapshot-count: many", "name: {a: b}"] {
            assert_eq!(read(text).unwrap_err().exit, 1, "{text}");
        }
        assert!(read("").is_ok());
    }
}
