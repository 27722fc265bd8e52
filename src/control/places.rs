//! How many clients the daemon waits for, and for how long.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Clients that are waited for at a time, to ask or to take an answer. Whoever comes then takes the place of one of the
/// process that has the most places, and of those the one that has been waited for longest: an honest client needs one
/// place for a moment, and those that only sit there keep nobody out.
pub const PLACES: usize = 16;
/// How long a client may take to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Those that are waited for, the longest first. Who is being worked for is not among them, and cannot be sent away.
#[derive(Default)]
pub struct Places {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// Numbers ascend.
    clients: VecDeque<Client>,
}

struct Client {
    number: u64,
    process: Option<i32>,
    /// Dropped, it sends the client away.
    _stays: oneshot::Sender<()>,
}

/// A client's place; dropped, it is free.
pub struct Place {
    places: Arc<Places>,
    number: u64,
    sent_away: oneshot::Receiver<()>,
}

impl Places {
    /// A place for a client of this process.
    pub fn take(self: &Arc<Self>, process: Option<i32>) -> Place {
        let (stays, sent_away) = oneshot::channel();
        let mut taken = self.lock();
        let number = taken.next;
        taken.next += 1;
        taken.clients.push_back(Client { number, process, _stays: stays });
        if taken.clients.len() > PLACES {
            let clients = &taken.clients;
            let of_process = |client: &Client| clients.iter().filter(|it| it.process == client.process).count();
            // Of several the last is taken, so from the back: the one that has been there longest.
            let gone = (0..clients.len()).rev().max_by_key(|at| clients.get(*at).map(of_process));
            if let Some(at) = gone {
                taken.clients.remove(at);
            }
        }
        Place { places: Arc::clone(self), number, sent_away }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for the client to do its part of `work`.
    ///
    /// # Errors
    /// It takes too long, or another needs the place.
    pub async fn wait_for<T>(mut self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            _ = &mut self.sent_away => Err(io::ErrorKind::ConnectionAborted.into()),
            () = tokio::time::sleep(PATIENCE) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Ok(at) = taken.clients.binary_search_by_key(&self.number, |client| client.number) {
            taken.clients.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Waiting = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

    fn waiting(places: &Arc<Places>, process: i32) -> Waiting {
        Box::pin(places.take(Some(process)).wait_for(std::future::pending()))
    }

    async fn is_sent_away(client: &mut Waiting) -> bool {
        tokio::select! {
            biased;
            ended = client => {
                assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
                true
            }
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn whoever_comes_takes_the_place_of_the_one_that_has_been_waited_for_longest() {
        let places = Arc::<Places>::default();
        let mut all: Vec<_> = (0..PLACES).map(|at| waiting(&places, at.try_into().unwrap())).collect();
        assert!(!is_sent_away(&mut all[0]).await, "there is a place for each");
        let newest = places.take(None);
        assert!(is_sent_away(&mut all[0]).await);
        assert!(!is_sent_away(&mut all[1]).await, "one for one");
        assert!(newest.wait_for(async { Ok(()) }).await.is_ok());
        drop(all.split_off(1));
        assert!(places.lock().clients.is_empty());
    }

    #[tokio::test]
    async fn a_process_that_takes_many_places_takes_them_from_itself() {
        let places = Arc::<Places>::default();
        let mut honest = waiting(&places, 1);
        let mut flood: Vec<_> = (0..10 * PLACES).map(|_| waiting(&places, 2)).collect();
        assert!(!is_sent_away(&mut honest).await);
        let mut later = waiting(&places, 3);
        for _ in 0..10 * PLACES {
            flood.push(waiting(&places, 2));
        }
        assert!(!is_sent_away(&mut honest).await && !is_sent_away(&mut later).await);
        assert!(is_sent_away(&mut flood[0]).await && !is_sent_away(flood.last_mut().unwrap()).await);
        assert_eq!(places.lock().clients.len(), PLACES);
    }
}
