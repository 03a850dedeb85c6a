//! One line of the log as zap writes it: level, ts, caller, msg, then the event's fields.

use std::{fmt, fmt::Write as _, time::SystemTime};

use serde_json::Value;
use tracing::field::{Field, Visit};

/// A line in the making.
#[derive(Debug)]
pub(super) struct Line {
    head: String,
    message: String,
    fields: String,
}

impl Line {
    pub(super) fn begin(level: &str, time: SystemTime) -> Self {
        let time = humantime::format_rfc3339_micros(time);
        let head = format!("{{\"level\":\"{level}\",\"ts\":\"{time}\"");
        Self { head, message: String::new(), fields: String::new() }
    }

    /// The last folder and the name of the source file, as zap shortens it.
    pub(super) fn caller(&mut self, file: &str, line: u32) {
        let short = file.rmatch_indices('/').nth(1).and_then(|(at, _)| file.get(at + 1..));
        let place = Value::from(format!("{}:{line}", short.unwrap_or(file)));
        write!(self.head, ",\"caller\":{place}").expect("a string takes all");
    }

    pub(super) fn finish(self) -> String {
        let Self { head, message, fields } = self;
        format!("{head},\"msg\":{}{fields}}}\n", Value::from(message))
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let value = value.into();
        match field.name() {
            "message" => {
                self.message = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            }
            name => {
                let name = Value::from(name.replace('_', "-"));
                write!(self.fields, ",{name}:{value}").expect("a string takes all");
            }
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_line_is_json_with_zap_s_keys_in_zap_s_order() {
        let mut line = Line::begin("info", UNIX_EPOCH + Duration::from_micros(1_500_000));
        line.caller("src/node/server/publish.rs", 7);
        line.message = "said \"so\"\n".to_owned();
        line.fields.push_str(",\"member-id\":\"8e9e\"");
        let text = line.finish();
        assert_eq!(
            text,
            "{\"level\":\"info\",\"ts\":\"1970-01-01T00:00:01.500000Z\",\"caller\":\"server/publish.rs:7\",\"msg\":\"said \\\"so\\\"\\n\",\"member-id\":\"8e9e\"}\n"
        );
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["msg"], "said \"so\"\n");
    }

    #[test]
    fn a_caller_at_the_top_is_not_shortened() {
        let mut line = Line::begin("warn", UNIX_EPOCH);
        line.caller("main.rs", 1);
        assert!(line.finish().contains("\"caller\":\"main.rs:1\""));
    }
}
