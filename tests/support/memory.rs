//! Looks through all the memory of a process, as root.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::marked::Mark;

/// Read at a time.
const CHUNK: usize = 1 << 20;
const PAGE: usize = 4096;

/// What kind of memory something is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Never written to swap and left out of core dumps, whatever else of the process is locked.
    Locked,
    /// The allocator's.
    Heap,
    /// Of a thread that waits in the kernel, what is local to it included.
    Stack,
    /// With a file behind it: the program itself, libraries, memfds.
    File,
}

/// One copy of the value, or of a part of it.
#[derive(Debug, Clone)]
pub struct Copy {
    pub kind: Kind,
    pub form: &'static str,
    /// In bytes.
    pub length: usize,
    /// The mapping's line in `/proc/PID/maps`, and the address.
    pub place: String,
}

/// The copies in a daemon and in the processes that it has started.
#[derive(Debug, Clone, Default)]
pub struct Copies(pub Vec<Copy>);

impl Copies {
    pub fn of(&self, kind: Kind) -> usize {
        self.0.iter().filter(|copy| copy.kind == kind).count()
    }

    /// Those that are not where values belong.
    pub fn astray(&self) -> usize {
        self.0.len() - self.of(Kind::Locked)
    }
}

/// Such as `12 in locked memory, 3 in the heap (plain)`.
impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
        for copy in &self.0 {
            *counts.entry((copy.kind, copy.form)).or_default() += 1;
        }
        let parts: Vec<String> =
            counts.iter().map(|((kind, form), count)| format!("{count} {kind:?} ({form})").to_lowercase()).collect();
        f.write_str(if parts.is_empty() { "0" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

struct Mapping {
    /// As in `/proc/PID/maps`.
    line: String,
    /// Has the process changed any of it, or could it?
    may_differ_from_file: bool,
    from: u64,
    to: u64,
    kind: Kind,
}

/// Every copy in memory that can be read.
pub fn scan(daemon: &Daemon, mark: &Mark) -> Copies {
    // Of one that has ended there is nothing to be found.
    assert!(!mappings(daemon.child.id()).is_empty(), "the daemon has ended");
    Copies(family(daemon.child.id()).into_iter().flat_map(|process| scan_process(process, mark)).collect())
}

/// Looks again and again until `is_fine`; gives what was seen last.
pub fn scan_until(daemon: &Daemon, mark: &Mark, patience: Duration, is_fine: impl Fn(&Copies) -> bool) -> Copies {
    let start = Instant::now();
    loop {
        let copies = scan(daemon, mark);
        if is_fine(&copies) || start.elapsed() > patience {
            return copies;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A process and those that it has started, and so on.
pub fn family(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|id| id.parse().ok()).flat_map(family));
    }
    all
}

/// Is it that the process is no more?
fn has_ended(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

fn scan_process(process: u32, mark: &Mark) -> Vec<Copy> {
    let memory = match File::open(format!("/proc/{process}/mem")) {
        Ok(memory) => memory,
        Err(error) if has_ended(&error) => return Vec::new(),
        Err(error) => panic!("its memory: run this as root: {error}"),
    };
    let mut copies = Vec::new();
    // The program as it is on the disk was there before the value.
    for mapping in mappings(process).iter().filter(|mapping| mapping.may_differ_from_file) {
        let bytes = read(&memory, mapping);
        for seen in mark.sightings(&bytes) {
            let place = format!("{:x} in {}", mapping.from + seen.at as u64, mapping.line);
            copies.push(Copy { kind: mapping.kind, form: seen.form, length: seen.length, place });
        }
    }
    copies
}

/// What cannot be read is zeroes: a hole, or the kernel's own.
fn read(memory: &File, mapping: &Mapping) -> Vec<u8> {
    let mut bytes = vec![0; (mapping.to - mapping.from) as usize];
    for (n, chunk) in bytes.chunks_mut(CHUNK).enumerate() {
        let from = mapping.from + (n * CHUNK) as u64;
        if memory.read_exact_at(chunk, from).is_err() {
            for (n, page) in chunk.chunks_mut(PAGE).enumerate() {
                if memory.read_exact_at(page, from + (n * PAGE) as u64).is_err() {
                    page.fill(0);
                }
            }
        }
    }
    bytes
}

fn mappings(process: u32) -> Vec<Mapping> {
    let table = match fs::read_to_string(format!("/proc/{process}/smaps")) {
        Err(error) if has_ended(&error) => String::new(),
        table => table.expect("its mappings"),
    };
    let stacks = stack_pointers(process);
    let mut all: Vec<Mapping> = Vec::new();
    for line in table.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let flags: Vec<&str> = flags.split_whitespace().collect();
            if let Some(last) = all.last_mut()
                && flags.contains(&"lo")
                && flags.contains(&"dd")
            {
                last.kind = Kind::Locked;
            }
            continue;
        }
        if let Some(size) = line.strip_prefix("Anonymous:") {
            if let Some(last) = all.last_mut() {
                last.may_differ_from_file |= size.trim() != "0 kB";
            }
            continue;
        }
        let mut words = line.split_whitespace();
        let Some((from, to)) = words.next().and_then(|range| range.split_once('-')) else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else { continue };
        let name = words.nth(4).unwrap_or_default();
        let kind = if name == "[stack]" || stacks.iter().any(|pointer| (from..to).contains(pointer)) {
            Kind::Stack
        } else if name.is_empty() || name == "[heap]" || name.starts_with("[anon") {
            Kind::Heap
        } else {
            Kind::File
        };
        let is_writable = line.split_whitespace().nth(1).is_some_and(|rights| rights.contains('w'));
        all.push(Mapping {
            line: line.to_owned(),
            may_differ_from_file: kind != Kind::File || is_writable,
            from,
            to,
            kind,
        });
    }
    all.retain(|mapping| mapping.line.split_whitespace().nth(1).is_some_and(|rights| rights.starts_with('r')));
    all
}

/// Where the stacks are of those threads that wait in the kernel.
fn stack_pointers(process: u32) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let calls = tasks.filter_map(|task| fs::read_to_string(task.path().join("syscall")).ok());
    let pointer = |call: String| {
        let word = call.split_whitespace().rev().nth(1)?.strip_prefix("0x").map(str::to_owned)?;
        u64::from_str_radix(&word, 16).ok()
    };
    calls.filter_map(pointer).collect()
}

/// Has the kernel write all memory of a process to swap, where there is any and it may.
pub fn page_out(process: u32) {
    // SAFETY: plain numbers.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    assert!(descriptor >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor was just opened, and is nobody else's.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
    for mapping in mappings(process) {
        let range =
            libc::iovec { iov_base: mapping.from as *mut libc::c_void, iov_len: (mapping.to - mapping.from) as usize };
        // Locked memory is refused, and then the next is tried.
        // SAFETY: the address is in the other process, and its contents stay what they are.
        unsafe {
            libc::syscall(libc::SYS_process_madvise, descriptor.as_raw_fd(), &range, 1, libc::MADV_PAGEOUT, 0);
        }
    }
}
