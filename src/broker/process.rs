//! The process itself: this program once more, called by another name. Its standard input, output and error are the
//! sockets through which it is asked.

use std::ffi::OsString;
use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{FileType, Stat, fstat, makedev};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::client::NAME;
use super::protocol::{self, Answer, Found, LONGEST, Request};
use crate::access::audit;
use crate::access::evidence::what_runs;
use crate::control::socket;
use crate::fs::events::{self, Hands};
use crate::fs::fuse;
use crate::fs::mount::{self, Mount};
use crate::handover;
use crate::sandbox;

/// Has this program been called to be the broker?
pub fn is_meant() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// What it was started for.
pub(super) struct Terms {
    mountpoint: PathBuf,
    allow_other: bool,
    events: bool,
    layers: sandbox::Beside,
    log: Option<PathBuf>,
    sockets: Vec<PathBuf>,
}

impl Terms {
    pub(super) fn of(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut flag = || arguments.next()?.to_str()?.parse::<bool>().ok();
        let (allow_other, events) = (flag()?, flag()?);
        let layers = sandbox::Beside::from_arguments(&mut arguments)?;
        let (mountpoint, log) = (arguments.next()?.into(), PathBuf::from(arguments.next()?));
        let log = (!log.as_os_str().is_empty()).then_some(log);
        Some(Self { mountpoint, allow_other, events, layers, log, sockets: arguments.map(PathBuf::from).collect() })
    }
}

/// What it has done of that.
#[derive(Default)]
struct State {
    /// One daemon has one mount.
    has_mounted: bool,
    hands: Option<Hands>,
    /// Is the mount being asked? One question at a time: it may wait for as long as the daemon lives.
    is_asking: Arc<AtomicBool>,
}

/// Answers until the daemon is gone.
pub fn main() -> ExitCode {
    let Some(terms) = Terms::of(std::env::args_os().skip(1)) else { return ExitCode::FAILURE };
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // They end whoever stops the daemon, which asks for its last things then.
        // SAFETY: no handler is installed, so no code of ours runs in one.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // What `ps` shows of a program that was started through a link of /proc is no name.
    let _ = rustix::thread::set_name(c"hushfs-broker");
    crate::telemetry::silence_panics();
    if let Err(error) = sandbox::harden().and_then(|()| sandbox::confine_broker(terms.layers).map_err(io::Error::other))
    {
        refuse(&error);
    }
    let looks = thread::Builder::new().name("hushfs-looks".into()).spawn(|| {
        look();
        // One half of a broker is none, and the daemon takes notice of its end only.
        std::process::exit(0)
    });
    let (log, landlock) = (terms.log.clone(), terms.layers.landlock);
    let logs = thread::Builder::new().name("hushfs-log".into()).spawn(move || {
        open_logs(log.as_deref(), landlock);
        std::process::exit(0)
    });
    if looks.is_err() || logs.is_err() {
        return ExitCode::FAILURE;
    }
    let mut state = State::default();
    answer(io::stdin(), |request, descriptor| act(&terms, &mut state, request, descriptor));
    // Without waiting, and without touching the mount of a daemon that has died: the next one puts it right.
    std::process::exit(0)
}

/// Where something could not be given up: whoever asks is told of it, and nothing is done for them. The first answer to what
/// was to be done is the last, so that a daemon that goes on without, as with a mount from before, takes notice.
fn refuse(error: &io::Error) -> ! {
    thread::scope(|scope| {
        scope.spawn(|| while answer_one(io::stderr(), |_, _| (Answer::failed(error), None)) {});
        scope.spawn(|| {
            let _ = protocol::receive(io::stdout(), &mut [0; LONGEST], RecvFlags::empty());
            std::process::exit(1)
        });
        answer_one(io::stdin(), |_, _| (Answer::failed(error), None));
        std::process::exit(1)
    })
}

pub(super) fn answer(socket: impl AsFd, mut of: impl FnMut(Request, Option<OwnedFd>) -> (Answer, Option<OwnedFd>)) {
    let mut of = |said: &[u8], descriptor| match serde_json::from_slice(said) {
        Ok(request) => of(request, descriptor),
        // What it said instead is not repeated: an answer has to find room in a message.
        Err(_) => (Answer::failed(&io::Error::other("this is no request")), None),
    };
    while answer_one(&socket, &mut of) {}
}

/// False once nobody asks any more.
fn answer_one(socket: impl AsFd, of: impl FnOnce(&[u8], Option<OwnedFd>) -> (Answer, Option<OwnedFd>)) -> bool {
    let mut bytes = [0; LONGEST];
    let (number, (answer, descriptor)) = match protocol::receive(&socket, &mut bytes, RecvFlags::empty()) {
        Ok((number, said, descriptor)) => (number, of(said, descriptor)),
        // It has no number that could be answered.
        Err(error) => return error.kind() == io::ErrorKind::InvalidData,
    };
    let Ok(answer) = serde_json::to_vec(&answer) else { return false };
    let descriptor = descriptor.as_ref().map(AsFd::as_fd);
    protocol::send(&socket, number, &answer, descriptor, SendFlags::empty()).is_ok()
}

/// Says what callers run, until nobody asks.
fn look() {
    let (socket, mut bytes) = (io::stdout(), [0; LONGEST]);
    loop {
        let (number, thread) = match protocol::receive(&socket, &mut bytes, RecvFlags::empty()) {
            Ok((number, _, thread)) => (number, thread),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
            Err(_) => return,
        };
        let found = thread.and_then(what_runs).map(|executable| Found {
            path: executable.shown().as_os_str().as_encoded_bytes().to_vec(),
            is_there: executable.path().is_some(),
        });
        let found = Found::to_bytes(found.as_ref());
        if protocol::send(&socket, number, &found, None, SendFlags::empty()).is_err() {
            return;
        }
    }
}

/// Opens the audit log, until nobody asks. What it has opened can be added to, and no more be shortened by anybody.
fn open_logs(log: Option<&Path>, landlock: bool) {
    let confined = if landlock { sandbox::forbid_truncation() } else { Ok(()) };
    let open = || match (&confined, log) {
        (Err(error), _) => Err(io::Error::other(error.to_string())),
        (Ok(()), None) => Err(io::ErrorKind::NotFound.into()),
        (Ok(()), Some(log)) => audit::open_file(log),
    };
    let opened = |_: &[u8], _| match open() {
        Ok((file, torn)) => (Answer::Log { torn }, Some(OwnedFd::from(file))),
        Err(error) => (Answer::failed(&error), None),
    };
    while answer_one(io::stderr(), opened) {}
}

/// In a thread of its own, so that everything else can be asked for meanwhile. It holds nothing of the kernel's end.
fn ask_mount(mountpoint: &Path, is_asking: &Arc<AtomicBool>) -> io::Result<OwnedFd> {
    let (ours, theirs) = io::pipe()?;
    if is_asking.swap(true, Ordering::Relaxed) {
        return Err(Errno::BUSY.into());
    }
    let (mountpoint, asking) = (mountpoint.to_owned(), Arc::clone(is_asking));
    let tell = move |mut to: PipeWriter| {
        let errno = mount::ask(&mountpoint).err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        asking.store(false, Ordering::Relaxed);
        // Nobody listens where the daemon ends.
        let _ = to.write_all(&errno.to_ne_bytes());
    };
    let asking = thread::Builder::new().name("hushfs-ask".into()).spawn(move || tell(theirs));
    asking.inspect_err(|_| is_asking.store(false, Ordering::Relaxed))?;
    Ok(ours.into())
}

fn act(terms: &Terms, state: &mut State, request: Request, descriptor: Option<OwnedFd>) -> (Answer, Option<OwnedFd>) {
    let of = |done: io::Result<()>| done.map_or_else(|error| Answer::failed(&error), |()| Answer::Done);
    let with = |descriptor: io::Result<OwnedFd>| match descriptor {
        Ok(descriptor) => (Answer::Done, Some(descriptor)),
        Err(error) => (Answer::failed(&error), None),
    };
    let in_words = |error: &mount::Error| Answer::Failed { why: error.to_string(), errno: None };
    match request {
        Request::Mount if std::mem::replace(&mut state.has_mounted, true) => {
            (Answer::Failed { why: "it has been mounted already".to_owned(), errno: None }, None)
        }
        Request::Mount => match mount::mount(&terms.mountpoint, terms.allow_other, terms.events) {
            Ok((descriptor, mount)) => {
                let device = mount.device().map(str::to_owned);
                mount.leave();
                (Answer::Mounted(device), Some(descriptor))
            }
            Err(error) => (in_words(&error), None),
        },
        Request::Unmount { device } => match Mount::of(&terms.mountpoint, &device) {
            Ok(Some(mount)) => (mount.end().map_or_else(|error| in_words(&error), |()| Answer::Done), None),
            // Somebody was quicker.
            Ok(None) => (Answer::Done, None),
            Err(error) => (Answer::failed(&error), None),
        },
        Request::SetReadOnly { device } => {
            (of(place(terms, device, None).and_then(|place| events::set_read_only_here(&place))), None)
        }
        Request::BeginTouching { device } => {
            // Whoever did not say that it is over has gone on all the same.
            state.hands = None;
            match place(terms, device, descriptor).and_then(|place| Hands::on(&place, terms.layers)) {
                Ok((begun, socket)) => {
                    let process = begun.process();
                    state.hands = Some(begun);
                    (Answer::Touching(process), Some(socket))
                }
                Err(error) => (Answer::failed(&error), None),
            }
        }
        Request::EndTouching => (of(state.hands.take().map_or(Ok(()), Hands::end)), None),
        Request::IsForARestart => (Answer::Restart(handover::restart_is_asked_for()), None),
        Request::AskMount => with(ask_mount(&terms.mountpoint, &state.is_asking)),
        Request::OpenDevice => with(fuse::open_device()),
        Request::RemoveSocket { place } => {
            (of(terms.sockets.get(place).map_or(Err(Errno::NOENT.into()), |path| socket::remove_file(path))), None)
        }
    }
}

/// Where files may be touched. Of the device the daemon says which one, so it is looked whether a hushfs has it that is at
/// the mountpoint: after an unmount something else is there, which is nothing to us. What is cloned of it is compared with
/// the device once more ([`Hands::on`]), in case it changes in between.
fn place(terms: &Terms, device: (u32, u32), connection: Option<OwnedFd>) -> io::Result<events::Place> {
    let (major, minor) = device;
    let there = Mount::of(&terms.mountpoint, &format!("{major}:{minor}"))?;
    there.map(Mount::leave).ok_or(Errno::XDEV)?;
    if let Some(connection) = &connection
        && !is_kernels_end(&fstat(connection)?)
    {
        return Err(Errno::INVAL.into());
    }
    Ok(events::Place { mountpoint: terms.mountpoint.clone(), device, connection })
}

/// Is it `/dev/fuse`? The number is in the kernel's list of devices.
fn is_kernels_end(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == makedev(10, 229)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_off_or_nonsense_is_answered_and_ends_nothing() {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let broker = std::thread::spawn(move || {
            answer(theirs, |request, _| (Answer::Restart(request == Request::IsForARestart), None));
        });
        rustix::net::send(&ours, b"?", SendFlags::empty()).unwrap();
        let mut bytes = [0; LONGEST];
        for (number, said) in [(3, &b"{\"Unmount\":{\"dev"[..]), (4, b"\"Mou"), (5, b""), (6, b"\"Fly\"")] {
            protocol::send(&ours, number, said, None, SendFlags::empty()).unwrap();
            let (answered, answer, _) = protocol::receive(&ours, &mut bytes, RecvFlags::empty()).unwrap();
            let answer = serde_json::from_slice(answer).unwrap();
            assert!(answered == number && matches!(answer, Answer::Failed { .. }), "{answer:?}");
        }
        protocol::send(&ours, 7, b"\"IsForARestart\"", None, SendFlags::empty()).unwrap();
        let (answered, answer, _) = protocol::receive(&ours, &mut bytes, RecvFlags::empty()).unwrap();
        assert_eq!((answered, serde_json::from_slice(answer).unwrap()), (7, Answer::Restart(true)));
        drop(ours);
        broker.join().unwrap();
    }

    #[test]
    fn only_the_kernels_end_of_a_mount_goes_on_to_the_process_that_touches() {
        for other in ["/dev/null", "/proc/self/exe", "/"] {
            assert!(!is_kernels_end(&fstat(std::fs::File::open(other).unwrap()).unwrap()), "{other}");
        }
        assert!(is_kernels_end(&rustix::fs::stat("/dev/fuse").unwrap()));
    }

    #[test]
    fn what_it_is_started_for_is_all_there_or_nothing() {
        let of = |arguments: &[&str]| Terms::of(arguments.iter().map(OsString::from));
        let terms = of(&["true", "false", "true", "false", "true", "/secrets", ""]).unwrap();
        let layers = sandbox::Beside { no_new_privileges: true, capabilities: false, landlock: true };
        assert_eq!((terms.allow_other, terms.events, terms.layers), (true, false, layers));
        assert_eq!((terms.mountpoint, terms.log, terms.sockets.len()), ("/secrets".into(), None, 0));
        let terms = of(&["true", "false", "true", "true", "true", "/secrets", "/log", "/one", "/two"]).unwrap();
        assert_eq!((terms.log, terms.sockets), (Some("/log".into()), vec!["/one".into(), "/two".into()]));
        for bad in [&["true"; 5][..], &["true"], &[], &["yes", "no", "no", "no", "no", "/secrets", ""]] {
            assert!(of(bad).is_none(), "{bad:?}");
        }
    }
}
