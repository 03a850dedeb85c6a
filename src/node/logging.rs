//! The log: one JSON object a line, with the keys that etcd's zap logger uses, so that what reads
//! etcd's log reads this one.

mod line;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use base::Clock;
use parking_lot::Mutex;
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, layer::Context, layer::SubscriberExt, util::SubscriberInitExt,
};

use self::line::Line;
use crate::config::LogConfig;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// A file of `--log-outputs` cannot be opened.
    #[error("open the log file {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else set up a log in this process.
    #[error("set up the log")]
    Taken(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets up the process's log.
///
/// # Errors
/// See [`LoggingError`].
pub fn init(config: &LogConfig, clock: Arc<dyn Clock>) -> Result<(), LoggingError> {
    let outputs = config.outputs.iter().map(|output| Output::open(output));
    let outputs: Vec<Output> = outputs.collect::<Result<_, _>>()?;
    let level = level(&config.level);
    // What libraries say below a warning is of no use to an operator.
    let libraries = level.min(LevelFilter::WARN);
    let ours = ["node", "consensus", "wal", "backend", "bolt", "state", "disk", "etcd_node"];
    let filter = Targets::new()
        .with_default(libraries)
        .with_targets(ours.into_iter().map(|target| (target, level)));
    let layer = Lines { outputs: Mutex::new(outputs), clock };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(LoggingError::Taken)
}

fn level(name: &str) -> LevelFilter {
    match name {
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "dpanic" | "panic" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}

/// Where lines go.
#[derive(Debug)]
enum Output {
    Stderr,
    Stdout,
    File(File),
}

impl Output {
    fn open(name: &str) -> Result<Self, LoggingError> {
        match name {
            "default" | "stderr" => Ok(Self::Stderr),
            "stdout" => Ok(Self::Stdout),
            path => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                file.map(Self::File)
                    .map_err(|source| LoggingError::Open { path: PathBuf::from(path), source })
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::File(file) => file.write_all(line),
        }
    }
}

/// Writes each event as a line to all outputs.
#[derive(Debug)]
struct Lines {
    outputs: Mutex<Vec<Output>>,
    clock: Arc<dyn Clock>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line::begin(level_name(*metadata.level()), self.clock.wall());
        if let (Some(file), Some(number)) = (metadata.file(), metadata.line()) {
            line.caller(file, number);
        }
        event.record(&mut line);
        let line = line.finish();
        for output in self.outputs.lock().iter_mut() {
            // A log that cannot be written must not stop the member, and there is nobody to tell.
            drop(output.write(line.as_bytes()));
        }
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}
