//! What the kernel's page cache has of a file. Opening or mapping a file of ours would not tell: for both the kernel drops
//! what it has.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::daemon::Daemon;

pub const PAGE: usize = 4096;
/// `cachestat`, of Linux 6.5.
const CACHESTAT: libc::c_long = 451;

/// How many pages there are of a file that is open.
pub fn count(file: &File) -> u64 {
    // From the beginning to the end; and the pages that are there, followed by four other counts.
    let (range, mut found) = ([0_u64; 2], [0_u64; 5]);
    // SAFETY: the kernel reads the one and writes the other, and they are as long as what it knows them as.
    let done = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), range.as_ptr(), found.as_mut_ptr(), 0) };
    assert_eq!(done, 0, "cachestat, for which Linux 6.5 is needed: {}", io::Error::last_os_error());
    found[0]
}

/// The kernel's end of a daemon's mount, which only root may take: through it the kernel can be asked what it has of a file
/// that nobody has open.
pub struct Connection<'a> {
    daemon: &'a Daemon<'a>,
    device: OwnedFd,
}

impl<'a> Connection<'a> {
    /// Of a mount that nobody else uses.
    pub fn of(daemon: &'a Daemon<'a>) -> Self {
        let process = daemon.child.id();
        let is_device = |number: &i32| {
            let file = fs::metadata(format!("/proc/{process}/fd/{number}"));
            file.is_ok_and(|file| file.rdev() == libc::makedev(10, 229))
        };
        let all = fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors: run this as root").flatten();
        let mut numbers = all.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
        let number = numbers.find(is_device).expect("the daemon serves through /dev/fuse");
        let process = Pid::from_raw(process as i32).expect("a process");
        let process = pidfd_open(process, PidfdFlags::empty()).expect("the daemon is there");
        let device = pidfd_getfd(process, number, PidfdGetfdFlags::empty()).expect("root may take it");
        Self { daemon, device }
    }

    /// The pages of a file of so many bytes that the kernel has, one after the other.
    pub fn pages(&self, ino: u64, length: usize) -> Vec<u8> {
        // The answer is for whoever reads next.
        self.daemon.halt();
        let pages = (0..length).step_by(PAGE).flat_map(|at| self.page(ino, at as u64)).collect();
        self.daemon.signal(libc::SIGCONT);
        pages
    }

    /// `FUSE_NOTIFY_RETRIEVE`, and the `FUSE_NOTIFY_REPLY` to it: empty if the page is not there.
    fn page(&self, ino: u64, at: u64) -> Vec<u8> {
        const RETRIEVE: u32 = 5;
        const REPLY: u32 = 41;
        /// Of the header, and of what stands before the page.
        const BEFORE: usize = 40 + 40;
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_ne_bytes()).collect::<Vec<u8>>();
        let header = numbers(&[48, RETRIEVE, 0, 0]);
        let asked = [header, words(&[at, ino, at]), numbers(&[PAGE as u32, 0])].concat();
        assert_eq!(rustix::io::write(&self.device, &asked).expect("the kernel knows the file"), asked.len());
        let mut message = vec![0_u8; 2 << 20];
        loop {
            let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
            let ready =
                poll(&mut [PollFd::new(&self.device, PollFlags::IN)], Some(&patience)).expect("it can be waited for");
            assert_eq!(ready, 1, "the kernel does not say what it has");
            let length = rustix::io::read(&self.device, &mut message[..]).expect("a message");
            // Anything else is a file that was forgotten, which the daemon need not know.
            if message[4..8] == REPLY.to_ne_bytes() && message[8..16] == at.to_ne_bytes() {
                return message[BEFORE.min(length)..length].to_vec();
            }
        }
    }
}
