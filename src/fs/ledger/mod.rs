//! What the kernel holds of us: numbers of files, and files that are open. It stands in memory that may outlive the
//! process, so that the next one knows what is meant. Names only, and no values.
//!
//! Lines are appended; one that a crash cut off is not read. When most say nothing any more, all is said anew further
//! on and the memory before it is given back. So it has never more bytes than `LARGEST`, and what has is none.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod line;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom, fallocate, memfd_create, seek};

pub use line::OpenFile;
use line::{Line, Place};

use crate::tree::Node;

/// So many lines are kept before it is looked at how many say something.
const MANY: usize = 4096;
/// Memory is given back in units of this many bytes.
const PAGE: u64 = 4096;
/// With so many bytes of lines all is said anew, in half of that at the most: more than a million files.
const FULL: u64 = 256 << 20;
/// The most that a ledger can have, while all is said anew and what stood before is still there.
const LARGEST: u64 = largest(FULL);

const fn largest(full: u64) -> u64 {
    full + PAGE + full / 2
}

/// Kept, or not: then it takes no notice of anything.
#[derive(Debug, Default)]
pub struct Ledger(Option<Mutex<Book>>);

/// What an earlier daemon had given.
#[derive(Debug, Default)]
pub struct Estate {
    pub nodes: Vec<(u64, Node)>,
    pub open: Vec<(u64, OpenFile)>,
}

#[derive(Debug)]
struct Book {
    file: File,
    /// Where the first line that counts is, or somewhere before it.
    start: u64,
    /// Where the next line goes.
    end: u64,
    /// [`FULL`], but for tests.
    full: u64,
    lines: usize,
    given: HashMap<u64, Place>,
    open: HashMap<u64, OpenFile>,
}

impl Ledger {
    /// One that takes no notice.
    pub fn none() -> Self {
        Self(None)
    }

    pub fn new() -> io::Result<Self> {
        let memory = memfd_create("hushfs-ledger", MemfdFlags::CLOEXEC)?;
        Ok(Self::with(Book::empty(File::from(memory))))
    }

    /// Goes on with that of an earlier daemon. What is too large to be one is begun anew, and nothing is known then.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn resume(memory: OwnedFd) -> io::Result<(Self, Estate)> {
        let file = File::from(memory);
        let end = file.metadata()?.len();
        let start = match seek(&file, SeekFrom::Data(0)) {
            Ok(start) => start,
            // Nothing is in it.
            Err(rustix::io::Errno::NXIO) => end,
            Err(error) => return Err(error.into()),
        };
        let size = end.saturating_sub(start);
        if size > LARGEST {
            tracing::warn!(
                "the ledger of what is open has {size} bytes, more than any that hushfs writes ({LARGEST}): it is begun \
                 anew, and a file that is open since before is stale; open it again"
            );
            file.set_len(0)?;
            return Ok((Self::with(Book::empty(file)), Estate::default()));
        }
        let mut text = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        file.read_exact_at(&mut text, start)?;
        let (given, open) = read(&text);
        let nodes = given.iter().filter_map(|(number, place)| Some((*number, place.to_node()?))).collect();
        let estate = Estate { nodes, open: open.iter().map(|(handle, file)| (*handle, file.clone())).collect() };
        let mut book = Book { start, end, lines: MANY, given, open, ..Book::empty(file) };
        // What a crash cut off would take along what is noted next: the end of its line, or of all that it says anew.
        if let Err(error) = book.say_anew() {
            tracing::debug!("what an earlier daemon noted stays as it was: {error}");
        }
        Ok((Self::with(book), estate))
    }

    fn with(book: Book) -> Self {
        Self(Some(Mutex::new(book)))
    }

    /// The memory, to be kept; None where there is none.
    pub fn memory(&self) -> io::Result<Option<OwnedFd>> {
        let Some(book) = &self.0 else { return Ok(None) };
        let book = book.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(book.file.try_clone()?.into()))
    }

    pub fn given(&self, number: u64, node: &Node) {
        self.write(|book| {
            let place = Place::of(node)?;
            book.given.insert(number, place.clone());
            Some(Line::Given(number, place))
        });
    }

    pub fn forgotten(&self, number: u64) {
        self.write(|book| book.given.remove(&number).map(|_| Line::Forgotten(number)));
    }

    pub fn opened(&self, handle: u64, file: impl FnOnce() -> OpenFile) {
        self.write(|book| {
            let file = file();
            book.open.insert(handle, file.clone());
            Some(Line::Opened(handle, file))
        });
    }

    pub fn closed(&self, handle: u64) {
        self.write(|book| book.open.remove(&handle).map(|_| Line::Closed(handle)));
    }

    fn write(&self, change: impl FnOnce(&mut Book) -> Option<Line>) {
        let Some(book) = &self.0 else { return };
        // A line is written whole or counts for nothing, so a panic harms none.
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = change(&mut book) else { return };
        if let Err(error) = book.append(&line) {
            // Who has a file open over a crash is told that it is stale then.
            tracing::debug!("what is open is not noted for a daemon after this one: {error}");
        }
    }
}

impl Book {
    fn empty(file: File) -> Self {
        Self { file, start: 0, end: 0, full: FULL, lines: 0, given: HashMap::new(), open: HashMap::new() }
    }

    /// `line` is of what is in the book already.
    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.end.saturating_sub(self.start).saturating_add(text.len() as u64) > self.full {
            return self.say_anew();
        }
        self.file.write_all_at(&text, self.end)?;
        self.end += text.len() as u64;
        self.lines += 1;
        let living = self.given.len() + self.open.len();
        if self.lines > MANY && self.lines > living.saturating_mul(4) { self.say_anew() } else { Ok(()) }
    }

    fn say_anew(&mut self) -> io::Result<()> {
        let given = self.given.iter().map(|(number, place)| Line::Given(*number, place.clone()));
        let open = self.open.iter().map(|(handle, file)| Line::Opened(*handle, file.clone()));
        let lines: Vec<Line> = given.chain(open).collect();
        let mut text = Vec::new();
        for line in std::iter::once(&Line::Anew(lines.len())).chain(&lines) {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
            if text.len() as u64 > self.full / 2 {
                return self.begin_anew();
            }
        }
        let start = self.end.next_multiple_of(PAGE);
        self.file.write_all_at(&text, start)?;
        self.end = start + text.len() as u64;
        self.lines = lines.len();
        if start > 0 {
            fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, start)?;
        }
        self.start = start;
        Ok(())
    }

    /// Lets go of everything: what is noted from now on is known to the next daemon, and nothing else.
    fn begin_anew(&mut self) -> io::Result<()> {
        let (files, open) = (self.given.len(), self.open.len());
        tracing::warn!(
            "the ledger of what is open is full, with {files} files that the kernel knows and {open} that are open: it is \
             begun anew, and after a crash those that are open now are stale"
        );
        self.file.set_len(0)?;
        (self.start, self.end, self.lines) = (0, 0, 0);
        (self.given, self.open) = (HashMap::new(), HashMap::new());
        Ok(())
    }
}

type Kept = (HashMap<u64, Place>, HashMap<u64, OpenFile>);

/// What lines say, one after the other. One that cannot be read says nothing.
fn read(text: &[u8]) -> Kept {
    let lines: Vec<Line> = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.iter().position(|byte| *byte != 0).and_then(|start| line.get(start..)).unwrap_or_default())
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let (mut given, mut open) = (HashMap::new(), HashMap::new());
    let count = lines.len();
    for (at, line) in lines.into_iter().enumerate() {
        match line {
            Line::Given(number, place) => drop(given.insert(number, place)),
            Line::Forgotten(number) => drop(given.remove(&number)),
            Line::Opened(handle, file) => drop(open.insert(handle, file)),
            Line::Closed(handle) => drop(open.remove(&handle)),
            // Not if a crash cut it off: then what stands before is all there.
            Line::Anew(following) if count.saturating_sub(at) > following => {
                given.clear();
                open.clear();
            }
            Line::Anew(_) => {}
        }
    }
    (given, open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Caller;
    use crate::access::evidence::Evidence;
    use crate::config::ScopeName;
    use crate::fs::handles::Era;
    use crate::fs::opener::{Opener, Who};
    use crate::provider::Identity;

    fn scope(name: &str) -> Node {
        Node::Scope(ScopeName::new(name).unwrap(), Identity::Own)
    }

    fn who() -> Who {
        Who::of(&Evidence::of(Caller { uid: 1000, gid: 100, pid: 7 }))
    }

    fn file(version: &str) -> OpenFile {
        OpenFile {
            ino: 2,
            opener: 7,
            version: version.into(),
            origin: Some(9),
            era: Some(Era::of(1, 9)),
            who: Some(who()),
        }
    }

    fn estate_of(ledger: &Ledger) -> Estate {
        let (_, mut estate) = Ledger::resume(ledger.memory().unwrap().unwrap()).unwrap();
        estate.nodes.sort_by_key(|(number, _)| *number);
        estate.open.sort_by_key(|(handle, _)| *handle);
        estate
    }

    #[test]
    fn the_next_daemon_knows_what_is_held_and_not_what_was() {
        let ledger = Ledger::new().unwrap();
        ledger.given(2, &scope("a"));
        ledger.given(3, &scope("b"));
        ledger.opened(5, || file("one"));
        let two = file("two");
        ledger.opened(6, || two.clone());
        ledger.forgotten(3);
        ledger.closed(5);
        let estate = estate_of(&ledger);
        assert_eq!(estate.nodes, [(2, scope("a"))]);
        assert_eq!(estate.open, [(6, two)]);
        assert!(estate_of(&Ledger::new().unwrap()).nodes.is_empty());
    }

    #[test]
    fn it_does_not_grow_with_what_has_come_and_gone() {
        let ledger = Ledger::new().unwrap();
        ledger.given(2, &scope("a"));
        for handle in 0..100_000 {
            ledger.opened(handle, || file("v"));
            ledger.closed(handle);
        }
        let kept = file("kept");
        ledger.opened(7, || kept.clone());
        let memory = File::from(ledger.memory().unwrap().unwrap());
        let blocks = std::os::unix::fs::MetadataExt::blocks(&memory.metadata().unwrap());
        assert!(blocks * 512 < 2 << 20, "{blocks}");
        let estate = estate_of(&ledger);
        assert_eq!((estate.nodes, estate.open), (vec![(2, scope("a"))], vec![(7, kept)]));
    }

    #[test]
    fn a_line_that_was_cut_off_takes_nothing_else_along() {
        let whole = br#"{"opened":[5,{"ino":2,"opener":7,"version":"one"}]}
{"anew":2}
{"opened":[6,{"ino":2,"opener":7,"version":"two"}]}
{"opened":[7,{"ino":2,"op"#;
        let (_, open) = read(whole);
        assert!(open.contains_key(&5) && open.contains_key(&6) && open.len() == 2, "{open:?}");
        // As they were written before it was noted who opens a file.
        assert_eq!(open[&5].opener(), Opener { thread: 7, who: None });
        assert!(read(b"\0\0\0nonsense\n\xff\n{}\n").1.is_empty());
    }

    #[test]
    fn what_is_larger_than_a_ledger_can_be_is_none_and_one_is_begun_in_its_place() {
        let ledger = Ledger::new().unwrap();
        ledger.given(2, &scope("a"));
        let memory = File::from(ledger.memory().unwrap().unwrap());
        memory.set_len(LARGEST + 1).unwrap();
        let (next, estate) = Ledger::resume(memory.try_clone().unwrap().into()).unwrap();
        assert!(estate.nodes.is_empty(), "{estate:?}");
        assert_eq!(memory.metadata().unwrap().len(), 0);
        next.given(3, &scope("b"));
        assert_eq!(estate_of(&next).nodes, [(3, scope("b"))]);
    }

    /// One that is full with so many bytes.
    fn small(full: u64) -> Ledger {
        let memory = memfd_create("hushfs-ledger", MemfdFlags::CLOEXEC).unwrap();
        Ledger::with(Book { full, ..Book::empty(File::from(memory)) })
    }

    fn size(ledger: &Ledger) -> u64 {
        let memory = File::from(ledger.memory().unwrap().unwrap());
        let start = seek(&memory, SeekFrom::Data(0)).unwrap_or(0);
        memory.metadata().unwrap().len() - start
    }

    #[test]
    fn however_much_is_noted_it_has_no_more_bytes_than_the_next_daemon_reads() {
        let full = 64 * PAGE;
        let ledger = small(full);
        for number in 2..20_000 {
            ledger.given(number, &scope("a"));
            assert!(size(&ledger) <= largest(full), "{number}: {}", size(&ledger));
        }
        let last = estate_of(&ledger).nodes;
        assert!(last.len() < 19_998 && last.contains(&(19_999, scope("a"))), "{}", last.len());
    }

    #[test]
    fn one_that_is_full_of_what_has_come_and_gone_forgets_nothing() {
        let full = 64 * PAGE;
        let ledger = small(full);
        for number in 2..1000 {
            ledger.given(number, &scope("a"));
        }
        for handle in 0..10_000 {
            ledger.opened(handle, || file("v"));
            ledger.closed(handle);
            assert!(size(&ledger) <= largest(full), "{handle}: {}", size(&ledger));
        }
        assert_eq!(estate_of(&ledger).nodes.len(), 998);
    }

    #[test]
    fn what_is_noted_after_a_line_that_was_cut_off_is_known_to_the_next_daemon() {
        let many: String = (2..5000).map(|number| format!("{{\"given\":[{number},{{\"scope\":\"a\"}}]}}\n")).collect();
        for cut in ["{\"opened\":[7,{\"ino\":2,\"op", "{\"anew\":3}\n{\"given\":[2,{\"scope\":\"a\"}]}\n"] {
            let memory = File::from(memfd_create("hushfs-ledger", MemfdFlags::CLOEXEC).unwrap());
            memory.write_all_at(format!("{many}{cut}").as_bytes(), 0).unwrap();
            let (ledger, _) = Ledger::resume(memory.into()).unwrap();
            for handle in [8, 9, 10] {
                ledger.opened(handle, || file("v"));
            }
            let estate = estate_of(&ledger);
            assert_eq!((estate.nodes.len(), estate.open.len()), (4998, 3), "{cut}");
        }
    }

    #[test]
    fn one_that_is_not_kept_takes_no_notice() {
        let ledger = Ledger::none();
        ledger.given(2, &scope("a"));
        ledger.opened(1, || panic!("nobody asks"));
        assert!(ledger.memory().unwrap().is_none());
    }
}
