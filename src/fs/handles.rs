//! What is open: a snapshot per handle, wiped when the last reader lets go.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ledger;
use super::opener::Opener;
use super::pages::Pages;
use crate::tree::{Content, Entry};

/// How long after its open a snapshot is what its opener is told of by `fstat`, once there is a newer one.
const JUST_OPENED: Duration = Duration::from_secs(5);

/// Who opens a file that is kept closed waits no longer: it takes the kernel microseconds.
const KEPT_CLOSED: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });

/// An open file or directory.
enum Open {
    File(OpenFile),
    Directory(Arc<Directory>),
}

/// An open directory: its entries as they were at a moment.
pub struct Directory {
    pub entries: Vec<Entry>,
    /// The configuration that they were gathered under: under another they are but names.
    pub configuration: u64,
    since: Instant,
}

impl Directory {
    /// How long ago the entries were gathered.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

struct OpenFile {
    content: Arc<Content>,
    ino: u64,
    opener: Opener,
    era: Option<Era>,
    since: Instant,
    /// Its opener has since opened the file once more and closed that: it has moved on.
    superseded: bool,
}

/// What decides who gets what of a scope: two are the same where everybody gets the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Era(u64);

impl Era {
    /// Of a fingerprint of who may have what, and one of where values come from.
    pub fn of(access: u64, origin: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        (access, origin).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// An open file, for people.
pub struct Holder {
    pub ino: u64,
    pub version: String,
    /// Others may hold it too by now.
    pub opener: Opener,
}

/// A file is being opened while this is held.
pub struct Opening<'a> {
    handles: &'a Handles,
    ino: u64,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut doors = self.handles.doors();
        if let Slot::Occupied(mut count) = doors.being_opened.entry(self.ino) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
        drop(doors);
        // It may have been refused, and have kept its pages from being dropped.
        self.handles.may_be_closed(self.ino);
    }
}

/// A file that nobody opens while this is held.
pub struct Closed<'a>(&'a Handles);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.doors().kept_closed = None;
        self.0.reopened.notify_all();
    }
}

/// A snapshot and who opened it.
pub struct Snapshot {
    pub content: Arc<Content>,
    /// The thread, as in [`crate::access::Caller`].
    pub opener: u32,
    /// Its opener may still want to know how long it is.
    pub just_opened: bool,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Open>,
    /// The handles of each file, in the order they were opened.
    files: HashMap<u64, Vec<u64>>,
    /// Open since an earlier daemon; what they hold is yet to be fetched.
    inherited: HashMap<u64, ledger::OpenFile>,
}

impl Table {
    fn insert(&mut self, handle: u64, file: OpenFile) {
        self.files.entry(file.ino).or_default().push(handle);
        self.open.insert(handle, Open::File(file));
    }

    /// One that was opened before all others that are here.
    fn insert_first(&mut self, handle: u64, file: OpenFile) {
        self.files.entry(file.ino).or_default().insert(0, handle);
        self.open.insert(handle, Open::File(file));
    }

    /// The open handles of a file, the last opened first.
    fn of_file(&self, ino: u64) -> impl Iterator<Item = &OpenFile> {
        let handles = self.files.get(&ino).into_iter().flatten().rev();
        handles.filter_map(|handle| match self.open.get(handle)? {
            Open::File(file) => Some(file),
            Open::Directory(_) => None,
        })
    }

    fn is_open(&self, ino: u64) -> bool {
        self.files.contains_key(&ino) || self.inherited.values().any(|file| file.ino == ino)
    }

    fn is_open_since_another(&self, ino: u64, era: Option<Era>) -> bool {
        self.of_file(ino).any(|file| file.era != era)
            || self.inherited.values().any(|file| file.ino == ino && file.era != era)
    }
}

#[derive(Default)]
struct Doors {
    /// How many open each file at this moment.
    being_opened: HashMap<u64, usize>,
    /// The file that nobody is to open.
    kept_closed: Option<u64>,
}

/// The numbers of handles, from a place that differs from daemon to daemon: a descriptor may be older than its daemon, and
/// not everything that is open is known to the next one. It must not come to mean what somebody else has opened since.
struct Numbers(AtomicU64);

impl Default for Numbers {
    fn default() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(()) & !0xffff_ffff))
    }
}

impl Numbers {
    fn next(&self, table: &Table) -> u64 {
        loop {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            if !table.open.contains_key(&number) && !table.inherited.contains_key(&number) {
                return number;
            }
        }
    }
}

/// Open files and directories by the number that the kernel was given.
#[derive(Default)]
pub struct Handles {
    table: RwLock<Table>,
    numbers: Numbers,
    /// May be held while the table is taken, and not the other way round.
    doors: Mutex<Doors>,
    reopened: Condvar,
    pages: Pages,
}

impl Handles {
    /// Those that an earlier daemon gave. To be called before any other.
    pub fn inherit(&self, open: impl Iterator<Item = (u64, ledger::OpenFile)>) {
        let mut table = self.write();
        table.inherited.extend(open);
        // Nobody knows how they were read.
        table.inherited.values().for_each(|file| self.pages.fill(file.ino));
    }

    /// What an earlier daemon opened, if it is not fetched again yet.
    pub fn inherited(&self, handle: u64) -> Option<ledger::OpenFile> {
        self.read().inherited.get(&handle).cloned()
    }

    /// What it holds is here again. None if it has been closed meanwhile.
    pub fn restore(&self, handle: u64, content: Content) -> Option<Arc<Content>> {
        let mut table = self.write();
        let Some(file) = table.inherited.remove(&handle) else {
            drop(table);
            return self.file(handle);
        };
        let content = Arc::new(content);
        let (ino, opener, era, since) = (file.ino, file.opener(), file.era, Instant::now());
        let file = OpenFile { content: Arc::clone(&content), ino, opener, era, since, superseded: false };
        table.insert_first(handle, file);
        Some(content)
    }

    /// To be held from before it is known what an opener of the file `ino` gets until it is added. Waits while the file
    /// is kept closed, which is for as long as the kernel takes to drop its pages; and not for ever, whatever the kernel
    /// waits for.
    pub fn opening(&self, ino: u64) -> Opening<'_> {
        let is_kept = |doors: &mut Doors| doors.kept_closed == Some(ino);
        let waited = self.reopened.wait_timeout_while(self.doors(), KEPT_CLOSED, is_kept);
        let (mut doors, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *doors.being_opened.entry(ino).or_default() += 1;
        drop(doors);
        Opening { handles: self, ino }
    }

    /// Has the file `ino` stay closed until what is returned is dropped, for its pages to be dropped: that makes the
    /// kernel pass over the answer to an opener who asks how long it is. None where somebody has it open, or opens it;
    /// then it comes through [`Handles::pages`] again. For one thread only.
    pub fn keep_closed(&self, ino: u64) -> Option<Closed<'_>> {
        let mut doors = self.doors();
        if doors.being_opened.contains_key(&ino) || self.read().is_open(ino) {
            return None;
        }
        doors.kept_closed = Some(ino);
        drop(doors);
        self.pages.empty(ino);
        Some(Closed(self))
    }

    /// What the kernel may have in its page cache.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// The kernel reads through a handle for its page cache.
    pub fn fills_pages(&self, handle: u64) {
        let table = self.read();
        let ino = match table.open.get(&handle) {
            Some(Open::File(file)) => Some(file.ino),
            Some(Open::Directory(_)) => None,
            None => table.inherited.get(&handle).map(|file| file.ino),
        };
        if let Some(ino) = ino {
            self.pages.fill(ino);
        }
    }

    /// How many open a file whose inode is wanted at this moment. To be asked before [`Handles::holders`]: then nobody
    /// is in neither.
    pub fn being_opened(&self, wanted: impl Fn(u64) -> bool) -> usize {
        let doors = self.doors();
        doors.being_opened.iter().filter(|(ino, _)| wanted(**ino)).map(|(_, count)| count).sum()
    }

    /// `opener` opens the file `ino`. None where it is open since another era.
    pub fn add_file(&self, ino: u64, opener: Opener, era: Option<Era>, content: Content) -> Option<u64> {
        let file = OpenFile { content: Arc::new(content), ino, opener, era, since: Instant::now(), superseded: false };
        // Held over both, so that of two eras only one comes in.
        let mut table = self.write();
        if table.is_open_since_another(ino, era) {
            return None;
        }
        let handle = self.numbers.next(&table);
        table.insert(handle, file);
        Some(handle)
    }

    /// Is the file `ino` open since another era than this? What is mapped of it shows what the last who opens it gets.
    pub fn is_open_since_another(&self, ino: u64, era: Option<Era>) -> bool {
        self.read().is_open_since_another(ino, era)
    }

    pub fn add_directory(&self, entries: Vec<Entry>, configuration: u64) -> u64 {
        let directory = Directory { entries, configuration, since: Instant::now() };
        let mut table = self.write();
        let handle = self.numbers.next(&table);
        table.open.insert(handle, Open::Directory(Arc::new(directory)));
        handle
    }

    pub fn file(&self, handle: u64) -> Option<Arc<Content>> {
        match self.read().open.get(&handle)? {
            Open::File(file) => Some(Arc::clone(&file.content)),
            Open::Directory(_) => None,
        }
    }

    pub fn directory(&self, handle: u64) -> Option<Arc<Directory>> {
        match self.read().open.get(&handle)? {
            Open::Directory(directory) => Some(Arc::clone(directory)),
            Open::File(_) => None,
        }
    }

    /// Is a snapshot of this file open for which `check` holds?
    pub fn any(&self, ino: u64, check: impl Fn(&Content) -> bool) -> bool {
        self.read().of_file(ino).any(|file| check(&file.content))
    }

    /// The open snapshots of a file, the last opened first.
    pub fn snapshots(&self, ino: u64) -> Vec<Snapshot> {
        let table = self.read();
        let snapshots = table.of_file(ino).map(|file| Snapshot {
            content: Arc::clone(&file.content),
            opener: file.opener.thread,
            just_opened: !file.superseded && file.since.elapsed() < JUST_OPENED,
        });
        snapshots.collect()
    }

    /// A file or directory is closed.
    pub fn remove(&self, handle: u64) {
        self.take(handle, true);
    }

    /// The kernel has not taken the handle: whoever was to have it is gone, or has been given another.
    pub fn take_back(&self, handle: u64) {
        self.take(handle, false);
    }

    /// `closed`: did its opener have it?
    fn take(&self, handle: u64, closed: bool) {
        let mut table = self.write();
        if let Some(file) = table.inherited.remove(&handle) {
            drop(table);
            return self.may_be_closed(file.ino);
        }
        let mut last = None;
        let removed = table.open.remove(&handle);
        if let Some(Open::File(file)) = &removed {
            let Table { open, files, .. } = &mut *table;
            if let Some(handles) = files.get_mut(&file.ino) {
                let later = handles.iter().position(|other| *other == handle).map_or(0, |at| {
                    handles.remove(at);
                    at
                });
                for other in handles.iter().take(later).filter(|_| closed) {
                    if let Some(Open::File(other)) = open.get_mut(other) {
                        other.superseded |= other.opener.thread == file.opener.thread;
                    }
                }
                if handles.is_empty() {
                    files.remove(&file.ino);
                    last = Some(file.ino);
                }
            }
        }
        drop(table);
        // Wiping happens here, after the lock is gone.
        drop(removed);
        if let Some(ino) = last {
            self.may_be_closed(ino);
        }
    }

    /// Has the pages of the file dropped if nobody has it open any more.
    fn may_be_closed(&self, ino: u64) {
        if self.pages.are_of(ino) && !self.read().is_open(ino) {
            self.pages.close(ino);
        }
    }

    /// The open files whose inode is wanted, also those that an earlier daemon opened.
    pub fn holders(&self, wanted: impl Fn(u64) -> bool) -> Vec<Holder> {
        let table = self.read();
        let here = table.files.keys().filter(|ino| wanted(**ino)).flat_map(|ino| table.of_file(*ino));
        let here =
            here.map(|file| Holder { ino: file.ino, version: file.content.version().to_owned(), opener: file.opener });
        let earlier = table.inherited.values().filter(|file| wanted(file.ino));
        let earlier =
            earlier.map(|file| Holder { ino: file.ino, version: file.version.clone(), opener: file.opener() });
        here.chain(earlier).collect()
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        let table = self.read();
        table.open.len() + table.inherited.len()
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::SystemTime;

    use super::*;
    use crate::config::Format;
    use crate::provider::{Fetched, Payload};
    use crate::secret::Secret;
    use crate::tree::{Document, DocumentFile};

    fn document() -> Arc<Document> {
        let fetched = Fetched {
            payload: Payload { raw: Secret::copy_from(b"value").unwrap(), keys: None },
            version: "1".into(),
            created: None,
            source: String::new(),
            tags: Vec::new(),
            lease: None,
        };
        Arc::new(Document::split(fetched, Format::Auto).unwrap())
    }

    fn content(document: &Arc<Document>) -> Content {
        Content::of(Arc::clone(document), SystemTime::UNIX_EPOCH, &DocumentFile::Raw).unwrap()
    }

    #[test]
    fn no_number_is_one_that_an_earlier_daemon_gave() {
        let (before, after) = (Handles::default(), Handles::default());
        let numbers = |handles: &Handles| (0..100).map(|_| handles.add_directory(Vec::new(), 0)).collect::<Vec<_>>();
        let (given, new) = (numbers(&before), numbers(&after));
        assert!(given.iter().all(|number| !new.contains(number)));
    }

    #[test]
    fn a_number_that_an_open_file_has_is_not_given_again() {
        let handles = Handles::default();
        let first = handles.add_directory(Vec::new(), 0);
        handles.numbers.0.store(first, Ordering::Relaxed);
        assert_eq!(handles.add_directory(Vec::new(), 0), first + 1);
    }

    #[test]
    fn who_is_opening_a_file_is_counted_until_it_is_done() {
        let handles = Handles::default();
        let (first, second, other) = (handles.opening(5), handles.opening(5), handles.opening(6));
        assert_eq!(handles.being_opened(|ino| ino == 5), 2);
        drop(first);
        assert_eq!((handles.being_opened(|ino| ino == 5), handles.being_opened(|_| true)), (1, 2));
        drop((second, other));
        assert!(handles.doors().being_opened.is_empty());
    }

    #[test]
    fn who_has_closed_a_later_open_has_moved_on_and_who_was_never_given_it_has_not() {
        let document = document();
        let (handles, opener) = (Handles::default(), Opener { thread: 7, who: None });
        let open = || handles.add_file(5, opener, None, content(&document)).unwrap();
        open();
        let is_first_just_opened = || handles.snapshots(5).last().unwrap().just_opened;
        handles.take_back(open());
        assert!(is_first_just_opened());
        handles.remove(open());
        assert!(!is_first_just_opened());
    }

    #[test]
    fn what_an_earlier_daemon_opened_was_opened_first_whatever_its_number() {
        let document = document();
        let file = ledger::OpenFile { ino: 5, opener: 7, version: "1".into(), origin: None, era: None, who: None };
        for closes_the_later in [false, true] {
            let (handles, opener) = (Handles::default(), Opener { thread: 7, who: None });
            handles.numbers.0.store(1, Ordering::Relaxed);
            handles.inherit([(9, file.clone())].into_iter());
            let later = handles.add_file(5, opener, None, content(&document)).unwrap();
            handles.restore(9, content(&document)).unwrap();
            handles.remove(if closes_the_later { later } else { 9 });
            assert_eq!(handles.snapshots(5)[0].just_opened, !closes_the_later);
        }
    }

    #[test]
    fn pages_are_dropped_of_a_file_that_nobody_has_or_opens_and_who_comes_waits_for_that() {
        let document = document();
        let handles = Handles::default();
        let open = || handles.add_file(5, Opener { thread: 7, who: None }, None, content(&document)).unwrap();
        let (read, mapped) = (open(), open());
        handles.fills_pages(mapped);
        handles.remove(mapped);
        assert!(handles.keep_closed(5).is_none(), "it is open");
        let opening = handles.opening(5);
        handles.remove(read);
        assert_eq!(handles.pages().closed(), Some(BTreeSet::from([5])));
        assert!(handles.keep_closed(5).is_none(), "it is being opened");
        // Refused, so that no handle comes of it that would be closed one day.
        drop(opening);
        assert_eq!(handles.pages().closed(), Some(BTreeSet::from([5])));
        let closed = handles.keep_closed(5).unwrap();
        assert!(!handles.pages().are_of(5));
        drop(handles.opening(6));
        std::thread::scope(|threads| {
            let coming = threads.spawn(|| drop(handles.opening(5)));
            std::thread::sleep(Duration::from_millis(50));
            let comes_at_once = coming.is_finished();
            drop(closed);
            assert!(!comes_at_once);
        });
        // What is only read(2) leaves nothing to be dropped.
        handles.remove(open());
        handles.pages().end();
        assert_eq!(handles.pages().closed(), None);
    }

    #[test]
    fn what_an_earlier_daemon_opened_may_have_been_mapped_and_its_pages_go_with_the_last_who_has_it() {
        let handles = Handles::default();
        let file = ledger::OpenFile { ino: 5, opener: 7, version: "one".into(), origin: None, era: None, who: None };
        handles.inherit([(3, file.clone()), (4, file)].into_iter());
        handles.remove(3);
        assert!(handles.keep_closed(5).is_none());
        handles.remove(4);
        assert_eq!(handles.pages().closed(), Some(BTreeSet::from([5])));
        assert!(handles.keep_closed(5).is_some());
    }

    #[test]
    fn opens_closes_and_counts_at_the_same_time_do_not_wait_for_one_another() {
        let handles = Handles::default();
        let document = document();
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    for _ in 0..50_000 {
                        let opened = handles.add_file(5, Opener { thread: 7, who: None }, None, content(&document));
                        handles.remove(opened.unwrap());
                    }
                });
                threads.spawn(|| (0..200_000).map(|_| handles.count()).max());
                threads.spawn(|| (0..200_000).filter(|_| handles.is_open_since_another(5, None)).count());
            }
        });
        assert_eq!(handles.count(), 0);
    }

    #[test]
    fn what_an_earlier_daemon_opened_is_open_until_it_is_closed_though_nobody_noted_by_whom() {
        let handles = Handles::default();
        let file = ledger::OpenFile { ino: 5, opener: 7, version: "one".into(), origin: None, era: None, who: None };
        handles.inherit([(3, file)].into_iter());
        let held = handles.holders(|ino| ino == 5);
        assert_eq!(held.iter().map(|it| (it.version.as_str(), it.opener.who)).collect::<Vec<_>>(), [("one", None)]);
        assert!(handles.holders(|ino| ino == 6).is_empty());
        handles.remove(3);
        assert!(handles.holders(|_| true).is_empty());
    }
}
