//! Log lines on standard error.
//!
//! Only lines of our own are written. The vendors' SDKs log whole answers at their finer levels, and some
//! print values in their errors, so nothing of theirs is let through, whatever the level.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// Starts logging; a second call changes nothing.
pub fn init(level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let ours = Targets::new().with_target("hushfs", level);
    // The journal puts its own time before each line.
    let registry = tracing_subscriber::registry();
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        registry.with(tracing_subscriber::Layer::with_filter(lines.without_time(), ours)).try_init()
    } else {
        registry.with(tracing_subscriber::Layer::with_filter(lines, ours)).try_init()
    };
}
