//! What outlives the process: the kernel's end of the mount, which systemd keeps in the unit's file descriptor store
//! (`FileDescriptorStoreMax=`). While it is kept the mount lives, and whoever asks for a file waits for the next
//! daemon, which goes on where this one ended.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use sd_notify::NotifyState;

use crate::broker::{self, Broker};
use crate::fs::fuse::Agreed;

/// A connection to the kernel, and what both sides agreed on.
#[derive(Debug)]
pub struct Connection {
    pub descriptors: Vec<OwnedFd>,
    /// What the kernel holds of the daemon: a [`Ledger`](crate::fs::ledger::Ledger).
    pub ledger: Option<OwnedFd>,
    pub terms: Terms,
}

/// What a later daemon must know of a connection, and keep to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The mount's device, `major:minor`.
    pub device: String,
    pub agreed: Agreed,
    pub allow_other: bool,
    /// For whose daemon it was mounted.
    pub uid: u32,
}

impl Connection {
    /// Has the kernel not ended it?
    pub fn is_alive(&self) -> bool {
        self.descriptors.first().is_some_and(|descriptor| {
            let mut asked = [PollFd::new(descriptor, PollFlags::empty())];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut asked, Some(&now)).is_ok() && !asked.iter().any(|it| it.revents().contains(PollFlags::ERR))
        })
    }
}

const PREFIX: &str = "hushfs";
/// After the name of a connection: the ledger of it.
const LEDGER: &str = "-ledger";

/// So often systemd is asked, where somebody ends who asks.
const ATTEMPTS: usize = 5;
/// And for so long in all: the daemon waits for it before it unmounts, and is given a time to end in by systemd, too.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far apart it is looked whether a program that says nothing more has ended.
const PAUSE: Duration = Duration::from_millis(1);

impl Terms {
    /// What the descriptors are called in the store, where a name may be all but `:` and control characters.
    fn to_name(&self) -> String {
        let Self { device, agreed: Agreed { flags, patience }, allow_other, uid } = self;
        format!("{PREFIX}-{}-{flags:x}-{patience}-{}-{uid}", device.replace(':', "."), u8::from(*allow_other))
    }

    fn from_name(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
        let (device, flags, patience) = (parts.next()?, parts.next()?, parts.next()?);
        let (other, uid) = (parts.next()?, parts.next()?);
        let terms = Self {
            device: device.replace('.', ":"),
            agreed: Agreed { flags: u64::from_str_radix(flags, 16).ok()?, patience: patience.parse().ok()? },
            allow_other: other == "1",
            uid: uid.parse().ok()?,
        };
        (terms.to_name() == name && parts.next().is_none()).then_some(terms)
    }
}

/// What systemd kept of the daemon before this one. To be called once, early: nothing else may own these numbers.
pub fn take_over() -> Option<Connection> {
    let passed = sd_notify::listen_fds_with_names().ok()?;
    let mut kept: Option<Connection> = None;
    for (number, name) in passed {
        // SAFETY: systemd passes these numbers to this process alone, and nobody else here takes them.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        // What it started with is nothing for programs that it starts.
        let _ = fcntl_setfd(&descriptor, FdFlags::CLOEXEC);
        let (of, is_ledger) = name.strip_suffix(LEDGER).map_or((name.as_str(), false), |of| (of, true));
        let Some(terms) = Terms::from_name(of) else { continue };
        let kept =
            kept.get_or_insert_with(|| Connection { descriptors: Vec::new(), ledger: None, terms: terms.clone() });
        if kept.terms != terms {
            forget(&terms);
        } else if is_ledger {
            kept.ledger = Some(descriptor);
        } else {
            kept.descriptors.push(descriptor);
        }
    }
    kept.filter(|kept| !kept.descriptors.is_empty())
}

/// Has systemd keep the connection's descriptors. Without systemd, or without a store, nobody takes notice.
pub fn keep(terms: &Terms, descriptors: &[OwnedFd], ledger: Option<&OwnedFd>) {
    let name = terms.to_name();
    let ask = |name: &str, descriptors: &[BorrowedFd<'_>]| {
        let asked = sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(name)], descriptors);
        if let Err(error) = asked {
            tracing::warn!("systemd cannot be asked to keep the mount over a crash: {error}");
        }
    };
    ask(&name, &descriptors.iter().map(AsFd::as_fd).collect::<Vec<_>>());
    if let Some(ledger) = ledger {
        ask(&(name + LEDGER), &[ledger.as_fd()]);
    }
}

/// May there be somebody who keeps descriptors?
pub fn is_possible() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Has systemd let go of a connection.
pub fn forget(terms: &Terms) {
    let name = terms.to_name();
    for name in [&format!("{name}{LEDGER}"), &name] {
        // Where there is nobody to tell there is nothing that was kept.
        let _ = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    }
}

/// Is this unit being stopped in order to be started again, with what it keeps? Has systemd asked, which takes a moment;
/// no where it does not say.
pub fn is_for_a_restart() -> bool {
    is_possible() && broker::installed().is_some_and(Broker::is_for_a_restart)
}

/// The same, for who may start programs.
pub fn restart_is_asked_for() -> bool {
    if !is_possible() {
        return false;
    }
    let Some(Unit { name, manager }) = own_unit() else { return false };
    let end = Instant::now() + PATIENCE;
    let jobs = systemctl(&[manager, "list-jobs", "--no-legend", "--plain", "--no-pager"], end);
    let kept = systemctl(&[manager, "show", "--property=NFileDescriptorStore", "--value", &name], end);
    restarts(&jobs, &name) && kept.trim().parse::<u32>().is_ok_and(|kept| kept > 0)
}

/// What it says; nothing where it cannot be asked, or says nothing until then.
fn systemctl(arguments: &[&str], end: Instant) -> String {
    for _ in 0..ATTEMPTS {
        let mut command = Command::new("systemctl");
        // It would tell systemd its own exit status in our name.
        command.env_remove("NOTIFY_SOCKET");
        let Some((status, output)) = output_until(command.args(arguments), end) else { return String::new() };
        // The signal that stops the unit is for all of its processes, unless it has `KillMode=mixed`.
        if status.signal().is_none() {
            return String::from_utf8_lossy(&output).into_owned();
        }
    }
    String::new()
}

/// What a program writes, and how it ended; nothing of one that cannot be started or has not ended until then, which is
/// ended.
fn output_until(command: &mut Command, end: Instant) -> Option<(ExitStatus, Vec<u8>)> {
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let output = process.stdout.take().and_then(|stdout| read_until(stdout, end));
    while let Some(output) = &output {
        match process.try_wait() {
            Ok(Some(status)) => return Some((status, output.clone())),
            Ok(None) if Instant::now() < end => thread::sleep(PAUSE),
            Ok(None) | Err(_) => break,
        }
    }
    let _ = process.kill();
    // One that the kernel does not let go of is not waited for; it is collected when this process ends.
    let _ = process.try_wait();
    None
}

/// To its end; nothing where that has not come until then.
fn read_until(mut from: impl Read + AsFd, end: Instant) -> Option<Vec<u8>> {
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok()?;
        match poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&left)) {
            Ok(0) => return None,
            Ok(_) => match from.read(&mut some) {
                Ok(0) => return Some(all),
                Ok(length) => all.extend_from_slice(some.get(..length)?),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            },
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Does a list of jobs have one that restarts the unit?
fn restarts(jobs: &str, unit: &str) -> bool {
    jobs.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(unit) && words.next() == Some("restart")
    })
}

/// A service, and the option of `systemctl` for the systemd that runs it.
#[derive(Debug, PartialEq)]
struct Unit {
    name: String,
    manager: &'static str,
}

fn own_unit() -> Option<Unit> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(unit_of_group)
}

/// From a line of `/proc/PID/cgroup`: `0::/system.slice/hushfs.service`.
fn unit_of_group(line: &str) -> Option<Unit> {
    let mut services = line.splitn(3, ':').nth(2)?.rsplit('/').filter(|name| name.ends_with(".service"));
    let name = services.next()?.to_owned();
    // A user's systemd is itself a service.
    let manager = if services.any(|name| name.starts_with("user@")) { "--user" } else { "--system" };
    Some(Unit { name, manager })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_come_back_from_the_name_in_the_store() {
        let agreed = Agreed { flags: 0x10_0014_c009, patience: 31 };
        let terms = Terms { device: "0:52".into(), agreed, allow_other: true, uid: 1000 };
        let name = terms.to_name();
        assert!(!name.contains(':') && name.len() < 255, "{name}");
        assert_eq!(Terms::from_name(&name), Some(terms));
        for other in ["", "hushfs", "stored", "hushfs-0.52", "hushfs-0.52-x-31-1-0", "hushfs-0.52-1-99999-1-0"]
            .into_iter()
            .chain(["hushfs-0.52-1-31-2-0", "hushfs-0.52-1-31-1", "hushfs-0.52-1-31-1-0-7"])
        {
            assert_eq!(Terms::from_name(other), None, "{other}");
        }
    }

    /// In a moment, being killed; killed here where that is not so. One that nobody has collected has ended, too.
    fn has_ended(pid: rustix::process::Pid) -> bool {
        let status = format!("/proc/{}/status", pid.as_raw_nonzero());
        for _ in 0..3000 {
            match std::fs::read_to_string(&status) {
                Ok(status) if !status.contains("State:\tZ") => thread::sleep(Duration::from_millis(10)),
                Ok(_) | Err(_) => return true,
            }
        }
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        false
    }

    #[test]
    fn a_program_that_does_not_end_is_waited_for_no_longer_than_said_and_ended() {
        let shell = |script: &str, patience: Duration| {
            output_until(Command::new("sh").args(["-c", script]), Instant::now() + patience)
        };
        let (status, output) = shell("echo said; exit 3", Duration::from_secs(60)).unwrap();
        assert_eq!((status.code(), &*output), (Some(3), &b"said\n"[..]));
        let folder = tempfile::tempdir().unwrap();
        for hung in ["exec sleep 1000", "exec 1>&-; exec sleep 1000"] {
            let file = folder.path().join("pid");
            let script = format!("echo $$ >{}; {hung}", file.display());
            // So long that it has got as far as to tell its id.
            let patience = (0..10).map(|doubled| Duration::from_millis(50 << doubled));
            let pid = patience.into_iter().find_map(|patience| {
                assert!(shell(&script, patience).is_none(), "{hung}");
                std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok()
            });
            let pid = rustix::process::Pid::from_raw(pid.unwrap()).unwrap();
            assert!(has_ended(pid), "{hung}");
            std::fs::remove_file(file).unwrap();
        }
        assert!(output_until(&mut Command::new("/missing"), Instant::now()).is_none());
    }

    #[test]
    fn only_a_restart_of_this_unit_is_one() {
        let jobs = "  8 other.service restart running\n 12 hushfs.service restart running\n";
        assert!(restarts(jobs, "hushfs.service"));
        assert!(!restarts(jobs, "fs.service"));
        assert!(!restarts(" 12 hushfs.service stop running\n", "hushfs.service"));
        assert!(!restarts("No jobs running.\n", "hushfs.service"));
    }

    #[test]
    fn the_unit_is_the_innermost_service_of_the_control_group_and_a_users_where_that_is_in_one() {
        let unit = |name: &str, manager| Some(Unit { name: name.to_owned(), manager });
        assert_eq!(unit_of_group("0::/system.slice/hushfs.service"), unit("hushfs.service", "--system"));
        let user = "1:name=systemd:/user.slice/user@1000.service/app.slice/hushfs@a.service";
        assert_eq!(unit_of_group(user), unit("hushfs@a.service", "--user"));
        assert_eq!(unit_of_group("0::/"), None);
        assert_eq!(unit_of_group("nonsense"), None);
    }
}
