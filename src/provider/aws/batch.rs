//! Many reads at once share calls.
//!
//! A lone read is one call, at once. While [`SLOTS`] calls are under way further reads wait; whenever one
//! ends, as many of them as the service takes go out together as one. Nobody waits for a batch to fill.
//!
//! Invariants:
//! - at most `SLOTS` slots exist, and reads wait only while all are taken;
//! - a slot that is given up takes waiting reads with it or counts itself off, also when its call is
//!   dropped or panics, so a waiting read is always answered, carried, or told that nobody will.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::provider::{Answer, Error, ErrorKind, Fetched};
use crate::secret::wipe_stack;

/// Calls for current values under way before reads are put together.
const SLOTS: usize = 4;
/// How long batches are not tried after the service refused one as such.
const PAUSE: Duration = Duration::from_secs(600);

/// A service whose reads can go together.
pub(super) trait Batched: Send + Sync + 'static {
    type Name: Clone + Eq + Hash + fmt::Display + Send + Sync + 'static;
    /// As many as the service takes in one call.
    const MOST: usize;

    fn batches(&self) -> &Batches<Self::Name>;

    /// One current value by a call of its own.
    fn alone<'a>(&'a self, name: &'a Self::Name) -> Answer<'a, Fetched>;

    /// Several by one call: an answer for each, in their order, or none for those that the service left out.
    fn together<'a>(&'a self, names: &'a [Self::Name]) -> Answer<'a, Vec<Option<Result<Fetched, Error>>>>;
}

pub(super) struct Batches<N>(Mutex<State<N>>);

impl<N> Default for Batches<N> {
    fn default() -> Self {
        Self(Mutex::new(State { taken: 0, waiting: VecDeque::new(), singles_until: None }))
    }
}

struct State<N> {
    taken: usize,
    waiting: VecDeque<Waiting<N>>,
    /// No batches until then: each read is a call of its own.
    singles_until: Option<Instant>,
}

/// A read that waits, and where its answer goes.
struct Waiting<N> {
    name: N,
    answer: oneshot::Sender<Result<Fetched, Error>>,
}

impl<N> Batches<N> {
    fn state(&self) -> MutexGuard<'_, State<N>> {
        // No step that can panic comes between two that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a read goes on.
enum Turn<B: Batched> {
    Alone,
    Slot(Slot<B>),
    Wait(oneshot::Receiver<Result<Fetched, Error>>),
}

/// The current value, alone or with others.
pub(super) async fn current<B: Batched>(shared: &Arc<B>, name: B::Name) -> Result<Fetched, Error> {
    match turn(shared, &name) {
        Turn::Alone => shared.alone(&name).await,
        Turn::Slot(_slot) => shared.alone(&name).await,
        Turn::Wait(answer) => answer.await.unwrap_or_else(|_| {
            let text = format!("`{name}` was not asked for: hushfs is stopping");
            Err(Error::new(ErrorKind::Unreachable, text))
        }),
    }
}

fn turn<B: Batched>(shared: &Arc<B>, name: &B::Name) -> Turn<B> {
    let mut state = shared.batches().state();
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
struct Slot<B: Batched> {
    shared: Arc<B>,
}

impl<B: Batched> Drop for Slot<B> {
    fn drop(&mut self) {
        let (batch, runtime) = {
            let mut state = self.shared.batches().state();
            let runtime = Handle::try_current().ok();
            if runtime.is_none() {
                // Nobody is left to carry them; dropping them tells their readers.
                state.waiting.clear();
            }
            let batch = next(&mut state.waiting, B::MOST);
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
fn next<N: Clone + Eq + Hash>(waiting: &mut VecDeque<Waiting<N>>, most: usize) -> Vec<Waiting<N>> {
    let mut batch: Vec<Waiting<N>> = Vec::new();
    let mut names = HashSet::new();
    let mut later = VecDeque::new();
    while batch.len() < most
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

async fn carry<B: Batched>(slot: Slot<B>, batch: Vec<Waiting<B::Name>>) {
    let shared = &slot.shared;
    let paused = shared.batches().state().singles_until.is_some();
    let left = if batch.len() == 1 || paused { batch } else { together(&**shared, batch).await };
    // It was parsed in this task, and not where it is waited for.
    wipe_stack();
    singly(shared, left).await;
}

/// One call for all; gives back the reads that it did not answer.
async fn together<B: Batched>(shared: &B, mut batch: Vec<Waiting<B::Name>>) -> Vec<Waiting<B::Name>> {
    let names: Vec<B::Name> = batch.iter().map(|read| read.name.clone()).collect();
    let sent = tokio::select! {
        sent = shared.together(&names) => sent,
        // A call that nobody waits for holds no slot.
        () = all_gone(&mut batch) => return Vec::new(),
    };
    match sent {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            let mut left = Vec::new();
            for read in batch {
                match answers.next().flatten() {
                    Some(answer) => drop(read.answer.send(answer)),
                    None => left.push(read),
                }
            }
            left
        }
        Err(error) => match error.kind {
            // The service does not do batches for us; the reads themselves may be fine.
            ErrorKind::Denied | ErrorKind::Malformed => {
                tracing::info!(%error, "batched reads are off for ten minutes");
                shared.batches().state().singles_until = Some(Instant::now() + PAUSE);
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

async fn all_gone<N>(batch: &mut [Waiting<N>]) {
    for read in batch {
        read.answer.closed().await;
    }
}

/// Each read as a call of its own, all at once.
async fn singly<B: Batched>(shared: &Arc<B>, reads: Vec<Waiting<B::Name>>) {
    let mut calls = JoinSet::new();
    for mut read in reads {
        let shared = Arc::clone(shared);
        calls.spawn(async move {
            tokio::select! {
                fetched = shared.alone(&read.name) => { let _ = read.answer.send(fetched); }
                () = read.answer.closed() => {}
            }
            wipe_stack();
        });
    }
    while calls.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> (Waiting<String>, oneshot::Receiver<Result<Fetched, Error>>) {
        let (answer, receiver) = oneshot::channel();
        (Waiting { name: name.to_owned(), answer }, receiver)
    }

    #[test]
    fn a_batch_has_no_name_twice_and_no_reader_that_left() {
        let (a, _a) = read("a");
        let (twin, _twin) = read("a");
        let (gone, _) = read("gone");
        let (b, _b) = read("b");
        let mut waiting = VecDeque::from([a, twin, gone, b]);
        let batch: Vec<String> = next(&mut waiting, 20).into_iter().map(|read| read.name).collect();
        assert_eq!(batch, ["a", "b"]);
        assert_eq!(waiting.len(), 1);
        assert_eq!(next(&mut waiting, 20).len(), 1);
    }

    #[test]
    fn a_batch_is_no_larger_than_the_service_takes() {
        let (reads, _receivers): (VecDeque<_>, Vec<_>) = (0..50).map(|n| read(&format!("s{n}"))).unzip();
        let mut waiting = reads;
        let sizes: Vec<usize> = std::iter::from_fn(|| Some(next(&mut waiting, 20).len())).take(4).collect();
        assert_eq!(sizes, [20, 20, 10, 0]);
    }
}
