//! `hushfs status --watch`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::rates::Before;
use super::screen::Screen;
use super::{another_question, ask, text};
use crate::cache::rfc3339;
use crate::cli::{Failure, Status as Exit, json};
use crate::control::{ClientError, Status};

/// How long an answer may be on its way before that is shown.
const PATIENCE: Duration = Duration::from_secs(2);

type Asked = Result<Option<Box<Status>>, ClientError>;

/// Looks until SIGINT, SIGTERM or SIGHUP, or until nobody reads any more.
pub fn run(mountpoint: PathBuf, interval: Duration, as_json: bool) -> Result<ExitCode, Failure> {
    let os = |error: io::Error| Failure::new(Exit::Os, format!("the runtime cannot be started: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(os)?;
    let outcome = runtime.block_on(async {
        let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(signal)
            .into_iter()
            .collect::<io::Result<Vec<_>>>()
            .map_err(os)?;
        let [interrupt, terminate, hangup] = ends.as_mut_slice() else { return Ok(()) };
        tokio::select! {
            shown = watch(&mountpoint, interval, as_json) => shown,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            _ = hangup.recv() => Ok(()),
        }
    });
    // A question to a mount that hangs does not keep the command.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn watch(mountpoint: &Path, interval: Duration, as_json: bool) -> Result<(), Failure> {
    let cannot_show =
        |error: io::Error| Failure::new(Exit::Io, format!("standard output cannot be written to: {error}"));
    let screen = Screen::open().map_err(cannot_show)?;
    let mut last: Option<(Box<Status>, Instant)> = None;
    let mut question: Option<JoinHandle<Asked>> = None;
    let mut silent_since: Option<SystemTime> = None;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let at = mountpoint.to_owned();
        let mut asked = question.take().unwrap_or_else(|| tokio::task::spawn_blocking(move || ask(&at)));
        let answer = tokio::time::timeout(PATIENCE, &mut asked).await;
        let now = Instant::now();
        let unreachable = match answer {
            Ok(Ok(Ok(Some(status)))) => {
                silent_since = None;
                let text = if as_json {
                    json::line(&status)?
                } else {
                    let before = last.as_ref().and_then(|(status_then, then)| {
                        Before::new(status_then, now.saturating_duration_since(*then), &status)
                    });
                    frame(&screen, interval, &text::for_people(&status, before.as_ref()))
                };
                last = Some((status, now));
                if !screen.show(&text).map_err(cannot_show)? {
                    return Ok(());
                }
                continue;
            }
            Ok(Ok(Ok(None))) => return Err(another_question()),
            // That stays so.
            Ok(Ok(Err(error @ (ClientError::Refused(_) | ClientError::NoSuch(_))))) => return Err(error.into()),
            Ok(Ok(Err(
                error @ (ClientError::NotMounted(..)
                | ClientError::Dead(_)
                | ClientError::Unheard(_)
                | ClientError::Broken(..)),
            ))) => error.to_string(),
            Ok(Err(_)) => "the question was broken off".to_owned(),
            Err(_) => {
                question = Some(asked);
                format!("the mount at {} does not answer", mountpoint.display())
            }
        };
        let since = rfc3339(*silent_since.get_or_insert_with(SystemTime::now));
        let text = if as_json {
            json::line(&serde_json::json!({ "unreachable": { "why": unreachable, "since": since } }))?
        } else {
            frame(&screen, interval, &format!("NOT REACHABLE since {since}: {unreachable}\n"))
        };
        if !screen.show(&text).map_err(cannot_show)? {
            return Ok(());
        }
    }
}

/// With a line above that says when it was; on paper with an empty one below.
fn frame(screen: &Screen, interval: Duration, text: &str) -> String {
    let now = rfc3339(SystemTime::now());
    let every = interval.as_secs_f64();
    let below = if screen.is_terminal() { "" } else { "\n" };
    format!("{now}, every {every} s\n{text}{below}")
}
