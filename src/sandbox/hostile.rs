//! What code that has taken over the daemon would try, one thing at a time, after it has entered the same sandbox. For
//! tests alone: a release build has none of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::broker::{self, Broker};
use crate::config::{Source, load};

/// What it is called by.
const NAME: &str = "hushfs-hostile";

pub fn is_meant() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// `CONFIGURATION ATTEMPT [WHAT]`: writes what the attempt came to, `done` or the number of an errno.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(attempt)) = (arguments.next(), arguments.next()) else { return ExitCode::FAILURE };
    let source = Source::File(PathBuf::from(file));
    let Ok(loaded) = load(&source) else { return ExitCode::FAILURE };
    let config = loaded.config;
    let entered = super::harden().map_err(|error| error.to_string()).and_then(|()| {
        let broker = Broker::install(broker::Terms {
            mountpoint: &config.mountpoint,
            allow_other: config.allow_other,
            events: config.events,
            log: config.audit.file.as_deref(),
            layers: super::Beside::of(&config.sandbox),
            sockets: Vec::new(),
        });
        broker.map_err(|error| error.to_string())?;
        super::enter(&config, &source).map_err(|error| error.to_string())
    });
    if let Err(error) = entered {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match try_it(&attempt, &arguments.next().unwrap_or_default()) {
        Ok(()) => println!("done"),
        Err(error) => match error.raw_os_error() {
            Some(errno) => println!("{errno}"),
            None => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn try_it(attempt: &str, what: &str) -> io::Result<()> {
    let process = || what.parse::<i64>().map_err(io::Error::other);
    let mut byte = [0_u8; 16];
    let memory = byte.as_mut_ptr() as i64;
    let text = std::ffi::CString::new(what)?;
    let text = text.as_ptr() as i64;
    match attempt {
        "read" => File::open(what).map(drop),
        "write" => OpenOptions::new().create(true).append(true).open(what).map(drop),
        "shorten" => OpenOptions::new().write(true).truncate(true).open(what).map(drop),
        "remove" => std::fs::remove_file(what),
        "start a program" => std::process::Command::new(what).status().map(drop),
        "connect" => TcpStream::connect((Ipv4Addr::LOCALHOST, what.parse().map_err(io::Error::other)?)).map(drop),
        "listen" => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
        "connect to a path" => UnixStream::connect(what).map(drop),
        "connect without a path" => UnixStream::connect_addr(&SocketAddr::from_abstract_name(what)?).map(drop),
        "make memory that is written and run" => {
            let all = i64::from(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
            let flags = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            call(libc::SYS_mmap, [0, 4096, all, flags, -1, 0])
        }
        // Where the kernel gets so far as to look at what it is given, it says that this is nonsense: nothing is changed.
        "mount" => call(libc::SYS_mount, [text, text, text, 0, 0, 0]),
        "unmount" => call(libc::SYS_umount2, [text, 0, 0, 0, 0, 0]),
        "open a file system" => call(libc::SYS_fsopen, [c"tmpfs".as_ptr() as i64, 0, 0, 0, 0, 0]),
        "load a module" => call(libc::SYS_finit_module, [-1, text, 0, 0, 0, 0]),
        "load a kernel" => call(libc::SYS_kexec_load, [0, 0, 0, -1, 0, 0]),
        "trace" => call(libc::SYS_ptrace, [i64::from(libc::PTRACE_SEIZE), process()?, 0, 0, 0, 0]),
        "read another's memory" => {
            let of = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
            let of = std::ptr::from_ref(&of) as i64;
            match call(libc::SYS_process_vm_readv, [process()?, of, 1, of, 1, 0]) {
                // Nothing is there, and that is only said to who may look.
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
                result => result,
            }
        }
        "open another's memory" => File::open(format!("/proc/{}/mem", process()?)).map(drop),
        "signal" => call(libc::SYS_kill, [process()?, 0, 0, 0, 0, 0]),
        "see another's limits" => {
            call(libc::SYS_prlimit64, [process()?, i64::from(libc::RLIMIT_NOFILE), 0, memory, 0, 0])
        }
        "have the kernel signal" => call(libc::SYS_fcntl, [0, i64::from(libc::F_SETOWN), process()?, 0, 0, 0]),
        "become another user" => call(libc::SYS_setuid, [65_533, 0, 0, 0, 0, 0]),
        "become root" => call(libc::SYS_setresuid, [0, 0, 0, 0, 0, 0]),
        "take all capabilities" => {
            let mut sets = rustix::thread::capabilities(None)?;
            sets.permitted = rustix::thread::CapabilitySet::SYS_ADMIN | sets.permitted;
            sets.effective = sets.permitted;
            Ok(rustix::thread::set_capabilities(None, sets)?)
        }
        "make namespaces" => call(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUTS), 0, 0, 0, 0, 0]),
        "make a user namespace" => call(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0]),
        "watch performance" => call(libc::SYS_perf_event_open, [0; 6]),
        "load a filter of the kernel's" => call(libc::SYS_bpf, [-1, 0, 0, 0, 0, 0]),
        "look into a keyring" => call(libc::SYS_keyctl, [0, -3, 0, 0, 0, 0]),
        "make a ring" => call(libc::SYS_io_uring_setup, [0, memory, 0, 0, 0, 0]),
        "catch page faults" => call(libc::SYS_userfaultfd, [-1, 0, 0, 0, 0, 0]),
        "open a packet socket" => call(libc::SYS_socket, [i64::from(libc::AF_PACKET), 3, 0, 0, 0, 0]),
        "make a program of another user's" => {
            call(libc::SYS_fchmodat, [i64::from(libc::AT_FDCWD), text, 0o4755, 0, 0, 0])
        }
        "give a file away" => call(libc::SYS_fchownat, [i64::from(libc::AT_FDCWD), text, 65_533, 65_533, 0, 0]),
        "start a process" => call(libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0, 0, 0]),
        "shorten the log that the broker opens" => broker()?.open_log()?.0.set_len(0),
        "have the broker make a file system read-only" => broker()?.set_read_only(device(what)?),
        "have the broker make a file system writable" => broker()?.begin_touching(device(what)?, None).map(drop),
        _ => Err(io::Error::other("no such attempt")),
    }
}

fn broker() -> io::Result<&'static Broker> {
    broker::installed().ok_or_else(|| io::Error::other("there is no broker"))
}

/// `MAJOR:MINOR`.
fn device(what: &str) -> io::Result<(u32, u32)> {
    let (major, minor) = what.split_once(':').ok_or(io::ErrorKind::InvalidInput)?;
    let number = |text: &str| text.parse().map_err(io::Error::other);
    Ok((number(major)?, number(minor)?))
}

/// One system call. What it made ends with this process, and so does a process that it started.
fn call(number: i64, [a, b, c, d, e, f]: [i64; 6]) -> io::Result<()> {
    // SAFETY: pointers among the arguments are to what outlives the call or to nothing, which the kernel answers with an
    // error; a process that this one becomes by it does nothing but end.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if number == libc::SYS_clone && answer == 0 {
        std::process::exit(0);
    }
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
