//! Many reads at once share calls.
//!
//! A lone read is one GetSecretValue, at once. While [`SLOTS`] calls are under way further reads wait;
//! whenever one ends, up to [`MOST`] of them go out together as one BatchGetSecretValue. Nobody waits for
//! a batch to fill.
//!
//! Invariants:
//! - at most `SLOTS` slots exist, and reads wait only while all are taken;
//! - a slot that is given up takes waiting reads with it or counts itself off, also when its call is
//!   dropped or panics, so a waiting read is always answered, carried, or told that nobody will.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::fetch::{self, Value};
use super::names::FullName;
use super::{Shared, error};
use crate::provider::{Error, ErrorKind, Fetched};

/// Calls for current values under way before reads are put together.
const SLOTS: usize = 4;
/// As many secrets as BatchGetSecretValue takes.
const MOST: usize = 20;
/// How long batches are not tried after the service refused one as such.
const PAUSE: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct Batches(Mutex<State>);

#[derive(Default)]
struct State {
    taken: usize,
    waiting: VecDeque<Waiting>,
    /// No batches until then: each read is a call of its own.
    singles_until: Option<Instant>,
}

/// A read that waits, and where its answer goes.
struct Waiting {
    name: FullName,
    answer: oneshot::Sender<Result<Fetched, Error>>,
}

impl Batches {
    fn state(&self) -> MutexGuard<'_, State> {
        // No step that can panic comes between two that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a read goes on.
enum Turn {
    Alone,
    Slot(Slot),
    Wait(oneshot::Receiver<Result<Fetched, Error>>),
}

/// The current value, alone or with others.
pub(super) async fn current(shared: &Arc<Shared>, name: FullName) -> Result<Fetched, Error> {
    match turn(shared, &name) {
        Turn::Alone => fetch::current(shared, &name).await,
        Turn::Slot(_slot) => fetch::current(shared, &name).await,
        Turn::Wait(answer) => answer.await.unwrap_or_else(|_| {
            let text = format!("`{}` was not asked for: hushfs is stopping", name.as_str());
            Err(Error::new(ErrorKind::Unreachable, text))
        }),
    }
}

fn turn(shared: &Arc<Shared>, name: &FullName) -> Turn {
    let mut state = shared.batches.state();
    if state.singles_until.is_some_and(|until| Instant::now() < until) {
        return Turn::Alone;
    }
    state.singles_until = None;
    if state.taken < SLOTS {
        state.taken += 1;
        return Turn::Slot(Slot { shared: Arc::clone(shared) });
    }
    let (answer, receiver) = oneshot::channel();
    state.waiting.push_back(Waiting { name: name.clone(), answer });
    Turn::Wait(receiver)
}

/// The right to one call.
struct Slot {
    shared: Arc<Shared>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (batch, runtime) = {
            let mut state = self.shared.batches.state();
            let runtime = Handle::try_current().ok();
            if runtime.is_none() {
                // Nobody is left to carry them; dropping them tells their readers.
                state.waiting.clear();
            }
            let batch = next(&mut state.waiting);
            if batch.is_empty() {
                state.taken = state.taken.saturating_sub(1);
            }
            (batch, runtime)
        };
        // Unlocked by now: a runtime that is stopping drops the task, and with it the slot, right here.
        if let Some(runtime) = runtime
            && !batch.is_empty()
        {
            let slot = Slot { shared: Arc::clone(&self.shared) };
            runtime.spawn(carry(slot, batch));
        }
    }
}

/// The next reads to go together: those whose readers still wait, no name twice.
fn next(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut batch: Vec<Waiting> = Vec::new();
    let mut names = HashSet::new();
    let mut later = VecDeque::new();
    while batch.len() < MOST
        && let Some(read) = waiting.pop_front()
    {
        if read.answer.is_closed() {
            continue;
        }
        if names.insert(read.name.clone()) {
            batch.push(read);
        } else {
            later.push_back(read);
        }
    }
    while let Some(read) = later.pop_back() {
        waiting.push_front(read);
    }
    batch
}

async fn carry(slot: Slot, batch: Vec<Waiting>) {
    let shared = &slot.shared;
    let paused = shared.batches.state().singles_until.is_some();
    let left = if batch.len() == 1 || paused { batch } else { together(shared, batch).await };
    singly(shared, left).await;
}

/// One BatchGetSecretValue; gives back the reads that it did not answer.
async fn together(shared: &Shared, mut batch: Vec<Waiting>) -> Vec<Waiting> {
    let call = format!("BatchGetSecretValue of {} secrets", batch.len());
    let names = batch.iter().map(|read| read.name.as_str().to_owned()).collect();
    let send = async {
        let session = shared.sessions.get(shared).await?;
        let request = session.client.batch_get_secret_value().set_secret_id_list(Some(names));
        request.send().await.map_err(|error| shared.sessions.failed(&session, &call, &error))
    };
    let sent = tokio::select! {
        sent = send => sent,
        // A call that nobody waits for holds no slot.
        () = all_gone(&mut batch) => return Vec::new(),
    };
    match sent {
        Ok(answer) => {
            let left = hand_out_values(shared, batch, answer.secret_values.unwrap_or_default());
            hand_out_errors(left, answer.errors.unwrap_or_default())
        }
        Err(error) => match error.kind {
            // The service does not do batches for us; the reads themselves may be fine.
            ErrorKind::Denied | ErrorKind::Malformed => {
                tracing::info!(%error, "batched reads are off for ten minutes");
                shared.batches.state().singles_until = Some(Instant::now() + PAUSE);
                batch
            }
            ErrorKind::NotFound | ErrorKind::TooLarge => batch,
            ErrorKind::CredentialsRejected
            | ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::NoMemory => {
                for read in batch {
                    let _ = read.answer.send(Err(error.clone()));
                }
                Vec::new()
            }
        },
    }
}

async fn all_gone(batch: &mut [Waiting]) {
    for read in batch {
        read.answer.closed().await;
    }
}

fn hand_out_values(
    shared: &Shared,
    mut batch: Vec<Waiting>,
    values: Vec<aws_sdk_secretsmanager::types::SecretValueEntry>,
) -> Vec<Waiting> {
    for value in values {
        let Some(at) = batch.iter().position(|read| value.name() == Some(read.name.as_str())) else { continue };
        let read = batch.swap_remove(at);
        let call = format!("BatchGetSecretValue of `{}`", read.name.as_str());
        let _ = read.answer.send(Value::from(value).fetched(shared, &read.name, &call));
    }
    batch
}

/// An error names its secret as we did, or by its ARN.
fn hand_out_errors(mut batch: Vec<Waiting>, errors: Vec<aws_sdk_secretsmanager::types::ApiErrorType>) -> Vec<Waiting> {
    for item in errors {
        let Some(id) = item.secret_id() else { continue };
        let Some(at) = batch.iter().position(|read| names_secret(id, read.name.as_str())) else { continue };
        let read = batch.swap_remove(at);
        let call = format!("BatchGetSecretValue of `{}`", read.name.as_str());
        let _ = read.answer.send(Err(error::from_batch_item(&call, item.error_code(), item.message())));
    }
    batch
}

/// Is `id` the name, or an ARN of it (which ends in a hyphen and six characters)?
fn names_secret(id: &str, name: &str) -> bool {
    let in_arn = || id.starts_with("arn:").then(|| id.rsplit(':').next()).flatten();
    id == name
        || in_arn().is_some_and(|resource| {
            resource == name || resource.strip_prefix(name).is_some_and(|rest| rest.len() == 7 && rest.starts_with('-'))
        })
}

/// Each read as a call of its own, all at once.
async fn singly(shared: &Arc<Shared>, reads: Vec<Waiting>) {
    let mut calls = JoinSet::new();
    for mut read in reads {
        let shared = Arc::clone(shared);
        calls.spawn(async move {
            tokio::select! {
                fetched = fetch::current(&shared, &read.name) => { let _ = read.answer.send(fetched); }
                () = read.answer.closed() => {}
            }
        });
    }
    while calls.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::SecretName;

    fn read(name: &str) -> (Waiting, oneshot::Receiver<Result<Fetched, Error>>) {
        let (answer, receiver) = oneshot::channel();
        let name = FullName::new("", &SecretName::new(name).unwrap()).unwrap();
        (Waiting { name, answer }, receiver)
    }

    #[test]
    fn a_batch_has_no_name_twice_and_no_reader_that_left() {
        let (a, _a) = read("a");
        let (twin, _twin) = read("a");
        let (gone, _) = read("gone");
        let (b, _b) = read("b");
        let mut waiting = VecDeque::from([a, twin, gone, b]);
        let batch: Vec<String> = next(&mut waiting).iter().map(|read| read.name.as_str().to_owned()).collect();
        assert_eq!(batch, ["a", "b"]);
        assert_eq!(waiting.len(), 1);
        assert_eq!(next(&mut waiting).len(), 1);
    }

    #[test]
    fn a_batch_is_no_larger_than_the_service_takes() {
        let (reads, _receivers): (VecDeque<_>, Vec<_>) = (0..50).map(|n| read(&format!("s{n}"))).unzip();
        let mut waiting = reads;
        let sizes: Vec<usize> = std::iter::from_fn(|| Some(next(&mut waiting).len())).take(4).collect();
        assert_eq!(sizes, [20, 20, 10, 0]);
    }

    #[test]
    fn an_error_is_matched_to_its_secret_and_no_other() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf";
        assert!(names_secret("prod/db", "prod/db"));
        assert!(names_secret(arn, "prod/db"));
        assert!(!names_secret(arn, "prod/d"));
        assert!(!names_secret("prod/db", "db"));
    }
}
