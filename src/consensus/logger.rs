//! raft-rs's log lines become tracing events of target `raft`.

use std::fmt::{self, Write as _};

use slog::{Drain, KV as _, Level, Logger, OwnedKVList, Record, o};

/// A logger for raft-rs.
pub(crate) fn logger() -> Logger {
    Logger::root(ToTracing, o!())
}

#[derive(Debug, Clone, Copy)]
struct ToTracing;

/// Both arms of one level: whether anybody listens, and the event.
macro_rules! event {
    ($level:ident, $record:expr, $list:expr) => {
        if tracing::enabled!(target: "raft", tracing::Level::$level) {
            let text = text($record, $list);
            tracing::event!(target: "raft", tracing::Level::$level, "{text}");
        }
    };
}

impl Drain for ToTracing {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, list: &OwnedKVList) -> Result<(), slog::Never> {
        match record.level() {
            Level::Critical | Level::Error => event!(ERROR, record, list),
            Level::Warning => event!(WARN, record, list),
            Level::Info => event!(INFO, record, list),
            Level::Debug => event!(DEBUG, record, list),
            Level::Trace => event!(TRACE, record, list),
        }
        Ok(())
    }
}

fn text(record: &Record<'_>, list: &OwnedKVList) -> String {
    let mut line = Line(record.msg().to_string());
    // A value that cannot be printed is left out.
    drop(record.kv().serialize(record, &mut line));
    drop(list.serialize(record, &mut line));
    line.0
}

struct Line(String);

impl slog::Serializer for Line {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        write!(self.0, " {key}={value}").map_err(slog::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_its_values() {
        let list = OwnedKVList::from(o!("raft_id" => 7));
        let values = slog::b!("term" => 3);
        let place = slog::record_static!(Level::Info, "");
        let line = text(&Record::new(&place, &format_args!("became leader"), values), &list);
        assert_eq!(line, "became leader term=3 raft_id=7");
    }
}
