//! Debuggers: who traces a reader is that reader, with what it may read and no more; and nobody looks into a daemon or into
//! what it has started.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use serde_json::json;

use super::grants::{grant, mount, place, real};
use super::permissions::mount_as;
use crate::support::audit_log::AuditFile;
use crate::support::child::Guarded;
use crate::support::control_group::ControlGroup;
use crate::support::daemon::Place;
use crate::support::marked::Mark;
use crate::support::memory::family;
use crate::support::users::{NOBODY, as_user};

/// Who reads, and traces.
const USER: u32 = 2001;
/// Somebody else.
const OTHER: u32 = 2002;

/// Reads a file whenever it is told to, keeps what it read, and says whether it read any.
const READER: &str = r#"while read -r go; do
    value=
    read -r value <"$1"
    if [ -n "$value" ]; then echo read; else echo refused; fi
done"#;

/// Attaches to a process, which goes on; the errno, or 0. It is over when the calling thread ends.
fn seize(process: u32) -> i32 {
    // SAFETY: no memory is passed.
    let failed = unsafe { libc::ptrace(libc::PTRACE_SEIZE, process.cast_signed(), 0_usize, 0_usize) } != 0;
    if failed { last_errno() } else { 0 }
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(-1)
}

/// Each way to look into a process or to take something from it, and the errno that it ends with; 0 where it is open.
pub fn ways_into(process: u32) -> Vec<(&'static str, i32)> {
    let errno = |result: std::io::Result<()>| result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
    let look = |name: &'static str| {
        let file = File::open(format!("/proc/{process}/{name}"));
        (name, errno(file.and_then(|mut file| file.read(&mut [0; 16]).map(drop))))
    };
    let mut ways: Vec<(&str, i32)> = ["environ", "maps", "auxv"].into_iter().map(look).collect();
    // What is at its beginning is in no process.
    ways.push(("mem", errno(File::options().read(true).write(true).open(format!("/proc/{process}/mem")).map(drop))));
    let mut byte = [0_u8; 1];
    let ours = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let theirs = libc::iovec { iov_base: std::ptr::without_provenance_mut(1), iov_len: 1 };
    // SAFETY: `ours` is a byte of this function's; the other address is one of the other process, if it is anything.
    let copied = unsafe { libc::process_vm_readv(process.cast_signed(), &raw const ours, 1, &raw const theirs, 1, 0) };
    ways.push(("process_vm_readv", if copied < 0 { last_errno() } else { 0 }));
    ways.push(("pidfd_getfd", take_descriptor(process)));
    ways.push(("ptrace", seize(process)));
    ways
}

/// Tries to take a process's standard input.
fn take_descriptor(process: u32) -> i32 {
    // SAFETY: plain numbers; a descriptor that comes is new and ours.
    unsafe {
        let of = libc::syscall(libc::SYS_pidfd_open, process, 0);
        assert!(of >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
        let of = OwnedFd::from_raw_fd(of as i32);
        let taken = libc::syscall(libc::SYS_pidfd_getfd, std::os::fd::AsRawFd::as_raw_fd(&of), 0, 0);
        if taken < 0 {
            return last_errno();
        }
        drop(OwnedFd::from_raw_fd(taken as i32));
    }
    0
}

/// What the kernel says to those whom it does not let in.
pub fn is_refused(errno: i32) -> bool {
    [libc::EPERM, libc::EACCES].contains(&errno)
}

/// Nobody may look into it, and it leaves no image.
#[track_caller]
fn is_closed(process: u32, to: u32) {
    for (way, errno) in as_user(to, || ways_into(process)) {
        assert!(is_refused(errno), "process {process}, {way}: {errno}");
    }
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "process {process}: {core}");
    // Of a process that may be dumped they are its user's.
    assert_eq!(fs::metadata(format!("/proc/{process}/environ")).unwrap().uid(), 0, "process {process} can be dumped");
}

/// A shell that runs [`READER`].
struct Reader {
    child: Guarded,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Reader {
    fn start(path: &Path, group: &ControlGroup) -> Self {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={USER}"), format!("--regid={USER}")]).args(["--clear-groups", "--", "sh", "-c"]);
        command.arg(READER).arg("sh").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        group.hold("granted", &mut command);
        let mut child = Guarded::spawn(&mut command).expect("setpriv runs");
        let lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    fn process(&self) -> u32 {
        self.child.0.id()
    }

    /// Reads once more; has it read anything?
    fn reads(&mut self) -> bool {
        self.child.0.stdin.as_mut().expect("its input").write_all(b"go\n").unwrap();
        match &*self.lines.next().expect("it answers").unwrap() {
            "read" => true,
            "refused" => false,
            said => panic!("{said}"),
        }
    }
}

/// A process's memory, as a debugger has it.
struct Memory {
    file: File,
    /// From and to.
    writable: Vec<(u64, u64)>,
}

impl Memory {
    fn of(process: u32) -> Self {
        let file = File::options().read(true).write(true).open(format!("/proc/{process}/mem")).expect("its memory");
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("its mappings");
        let range = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).ok();
            rest.starts_with("rw").then_some((address(from)?, address(to)?))
        };
        Self { file, writable: maps.lines().filter_map(range).collect() }
    }

    fn parts(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.writable.iter().filter_map(move |&(from, to)| {
            let mut bytes = vec![0; usize::try_from(to - from).ok()?];
            // The kernel's own cannot be read.
            self.file.read_exact_at(&mut bytes, from).ok()?;
            Some((from, bytes))
        })
    }

    fn has(&self, mark: &Mark) -> bool {
        self.parts().any(|(_, bytes)| mark.is_in(&bytes))
    }

    /// Writes another text over each place that has this one.
    fn replace(&self, text: &str, by: &str) {
        assert_eq!(text.len(), by.len());
        let mut count = 0;
        for (from, bytes) in self.parts() {
            for at in (0..bytes.len()).filter(|&at| bytes[at..].starts_with(text.as_bytes())) {
                self.file.write_all_at(by.as_bytes(), from + at as u64).expect("it is written");
                count += 1;
            }
        }
        assert!(count > 0, "it is nowhere: {text}");
    }
}

/// The reader has the grant, and this process, which traces it, has none.
fn a_tracer_has_what_the_reader_may_read_and_no_more(principal: &str, group: &ControlGroup) {
    let (place, store) = place();
    let marks = [Mark::new(), Mark::new()];
    for (name, mark) in ["db", "no"].into_iter().zip(&marks) {
        store.put(&format!("{name}.json"), json!({ "KEY": mark.value }).to_string().as_bytes());
    }
    let audit = AuditFile::new(&place, "audit.log");
    let settings = grant("allow", principal, "read", "prod/db") + &audit.section("required = true");
    let _daemon = mount(&place, &store, &settings);
    let key = |name: &str| place.mnt().join("prod").join(name).join("KEY");
    let mut reader = Reader::start(&key("db"), group);
    assert!(reader.reads(), "it is granted");

    as_user(USER, || {
        let own = |name: &str| File::open(key(name)).err().and_then(|error| error.raw_os_error());
        assert_eq!(own("db"), Some(libc::EACCES));
        assert_eq!(seize(reader.process()), 0, "the kernel lets it in");
        let memory = Memory::of(reader.process());
        // The host's rule: it is that process.
        assert!(memory.has(&marks[0]), "what it has read");
        // It may have it open whatever it likes, which is judged as that process.
        memory.replace("/prod/db/KEY", "/prod/no/KEY");
        assert!(!reader.reads(), "nobody has granted that");
        memory.replace("/prod/no/KEY", "/prod/db/KEY");
        assert!(reader.reads(), "and that still is");
        assert!(!Memory::of(reader.process()).has(&marks[1]));
        // Tracing gives it nothing of its own.
        for name in ["db", "no"] {
            assert_eq!(own(name), Some(libc::EACCES), "{name}");
        }
    });

    let lines = audit.lines();
    let of = |process: u32, decision: &str| {
        let lines = lines.iter().filter(|line| line["tgid"] == process && line["decision"] == decision);
        lines.collect::<Vec<_>>()
    };
    let allowed = of(reader.process(), "allow");
    assert!(allowed.iter().any(|line| line["path"] == "prod/db/KEY" && line["exe"] == real("sh")), "{lines:#?}");
    assert!(!of(reader.process(), "deny").is_empty(), "what it was made to try is its own, too: {lines:#?}");
    let ours = std::process::id();
    assert!(of(ours, "allow").is_empty(), "{lines:#?}");
    let refused = of(ours, "deny");
    let (exe, uid) = (std::env::current_exe().unwrap(), json!(USER));
    let is_ours = |line: &&serde_json::Value| line["exe"] == exe.to_str().unwrap() && line["uid"] == uid;
    assert!(!refused.is_empty() && refused.iter().all(is_ours), "{lines:#?}");
}

#[test]
fn who_traces_a_program_that_has_the_grant_is_that_program_and_gets_nothing_as_itself() {
    let group = ControlGroup::new();
    a_tracer_has_what_the_reader_may_read_and_no_more(&format!("exe:{}", real("sh")), &group);
}

#[test]
fn who_traces_a_process_of_a_control_group_that_has_the_grant_is_that_process_and_gets_nothing_as_itself() {
    let group = ControlGroup::new();
    a_tracer_has_what_the_reader_may_read_and_no_more(&format!("cgroup:{}/granted", group.path()), &group);
}

#[test]
fn another_user_traces_no_reader() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &grant("allow", &format!("uid:{USER}"), "read", "prod/db"));
    let group = ControlGroup::new();
    let mut reader = Reader::start(&place.mnt().join("prod/db/KEY"), &group);
    assert!(reader.reads());
    let process = reader.process();
    for (way, errno) in as_user(OTHER, || ways_into(process)) {
        assert!(is_refused(errno), "{way}: {errno}");
    }
    // The same is open to the same user: it is who tries that makes the difference.
    for (way, errno) in as_user(USER, || ways_into(process)) {
        assert!(!is_refused(errno), "{way}: {errno}; where is kernel.yama.ptrace_scope above 1?");
    }
    assert!(reader.reads(), "it goes on");
}

#[test]
fn a_users_processes_look_into_none_of_the_users_own_daemon_its_broker_and_what_touches_files() {
    let place = Place::new();
    let daemon = mount_as(&place, NOBODY, "");
    as_user(NOBODY, || assert_eq!(fs::read(place.mnt().join("prod/db/KEY")).unwrap(), b"value"));
    let processes = family(daemon.child.id());
    assert!(processes.len() > 1, "the broker is one of them");
    for process in processes {
        is_closed(process, NOBODY);
    }

    // It is there for moments only, so this is one that nobody else has started.
    let (ours, theirs): (OwnedFd, OwnedFd) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let mut command = Command::new(place.path().join("hushfs"));
    command.arg0("hushfs-events").args(["true", "true", "true"]).uid(NOBODY).gid(NOBODY);
    command.stdin(File::open(place.path()).unwrap()).stdout(theirs).stderr(Stdio::null());
    let toucher = Guarded::spawn(&mut command).unwrap();
    drop(command);
    send(&ours, b"hushfs.toml", SendFlags::empty()).unwrap();
    assert_eq!(recv(&ours, &mut [0_u8; 4], RecvFlags::empty()).unwrap().0, 4, "it is at work");
    is_closed(toucher.0.id(), NOBODY);

    // Any other process of the user is open to the user.
    let mut command = Command::new("sleep");
    let other = Guarded::spawn(command.arg("infinity").uid(NOBODY).gid(NOBODY)).unwrap();
    let process = other.0.id();
    for (way, errno) in as_user(NOBODY, || ways_into(process)) {
        assert!(!is_refused(errno), "{way}: {errno}; where is kernel.yama.ptrace_scope above 1?");
    }
}

#[cfg(feature = "vault")]
mod stopped {
    use std::time::Duration;

    use super::*;
    use crate::support::backend::KEEPS_WORN;
    use crate::support::daemon::{eventually, waits_for_fuse};
    use crate::support::fault_proxy::{Fault, FaultProxy};
    use crate::support::memory::{Kind, scan_until};
    use crate::support::servers;
    use crate::support::users::private_mounts;

    const PATIENCE: Duration = Duration::from_secs(40);

    /// What the value of a secret is asked with.
    fn call(name: &str) -> String {
        format!("GET /v1/secret/data/{name}")
    }

    fn cat(path: &Path) -> Guarded {
        let mut command = Command::new("cat");
        command.arg(path).uid(USER).gid(USER).stdout(Stdio::null()).stderr(Stdio::null());
        Guarded::spawn(&mut command).expect("cat runs")
    }

    fn kill(process: u32, signal: i32) {
        // SAFETY: no memory is passed; the process is a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(process.cast_signed(), signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    /// Has it stopped as soon as it can.
    fn attach(process: u32) {
        // SAFETY: no memory is passed.
        let failed = unsafe { libc::ptrace(libc::PTRACE_ATTACH, process.cast_signed(), 0_usize, 0_usize) } != 0;
        assert!(!failed, "{}", std::io::Error::last_os_error());
    }

    fn until_stopped(process: u32) {
        let mut status = 0;
        // SAFETY: the status is ours.
        let waited = unsafe { libc::waitpid(process.cast_signed(), &raw mut status, libc::__WALL) };
        assert!(waited == process.cast_signed() && libc::WIFSTOPPED(status), "{waited}: {status:#x}");
    }

    #[test]
    fn a_reader_who_is_stopped_or_killed_in_the_middle_of_an_open_holds_up_nobody_and_leaves_no_copy() {
        let (place, mark) = (Place::new(), Mark::new());
        private_mounts(&place, 0);
        fs::set_permissions(place.mnt(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let server = servers::with("vault", &[("db", mark.value.as_str()), ("cold", "none"), ("warm", "of another")]);
        let proxy = FaultProxy::start(server.address());
        proxy.keep_connections();
        let lines = server.lines(&proxy.url(), None);
        let settings = grant("allow", &format!("uid:{USER}"), "read", "app/**");
        place.configure(&format!("allow_other = true\n{settings}[scopes.app]\n{lines}ttl = \"1h\"\n"));
        let mut command = place.hushfs(&["mount"]);
        command.env(KEEPS_WORN, "1");
        server.environment(&mut command, None);
        let daemon = place.start(command);
        let file = |name: &str| place.mnt().join("app").join(name).join("PASSWORD");
        let asked = |name: &str| eventually("the provider is asked", || (proxy.calls(&call(name)) > 0).then_some(()));
        let flush = || {
            assert!(place.run(&["flush"]).status.success(), "{}", place.log());
            let left = scan_until(&daemon, &mark, PATIENCE, |copies| copies.0.is_empty());
            assert!(left.0.is_empty(), "{:#?}", left.0);
        };

        // The provider hangs for longer than this test takes, so what goes on meanwhile waits for nobody.
        proxy.set(&call("cold"), Fault::Hang);
        let mut reader = cat(&file("cold"));
        let process = reader.0.id();
        asked("cold");
        as_user(USER, || {
            attach(process);
            assert_eq!(fs::read(file("warm")).unwrap(), b"of another", "traced");
            assert_eq!(fs::read_dir(place.mnt().join("app")).unwrap().count(), 3);
        });
        kill(process, libc::SIGSTOP);
        assert_eq!(fs::read(file("warm")).unwrap(), b"of another", "stopped");
        assert!(place.status()["scopes"].is_array());
        let task = format!("/proc/{process}");
        eventually("it is in the middle still", || waits_for_fuse(Path::new(&task)).then_some(()));
        kill(process, libc::SIGKILL);
        assert!(!reader.0.wait().unwrap().success());
        assert_eq!(fs::read(file("warm")).unwrap(), b"of another", "killed");

        // Stopped by a tracer, which the answer finds so.
        proxy.set(&call("db"), Fault::Delay(Duration::from_secs(1)));
        let mut reader = cat(&file("db"));
        let process = reader.0.id();
        asked("db");
        as_user(USER, || {
            attach(process);
            until_stopped(process);
            assert!(fs::read(file("db")).unwrap() == mark.value.as_bytes(), "others get what it waited for");
            kill(process, libc::SIGKILL);
        });
        assert!(!reader.0.wait().unwrap().success());
        let came = scan_until(&daemon, &mark, PATIENCE, |copies| copies.of(Kind::Locked) > 0);
        assert!(came.of(Kind::Locked) > 0, "the scan finds what is there");
        flush();

        // Killed: the value comes, and nobody is there.
        proxy.forget_calls();
        let mut reader = cat(&file("db"));
        asked("db");
        kill(reader.0.id(), libc::SIGKILL);
        assert!(!reader.0.wait().unwrap().success());
        let came = scan_until(&daemon, &mark, PATIENCE, |copies| copies.of(Kind::Locked) > 0);
        assert!(came.of(Kind::Locked) > 0, "for whoever asks next");
        flush();
        assert_eq!(fs::read(file("warm")).unwrap(), b"of another");
        assert!(!place.log().contains("defect"), "{}", place.log());
        assert_eq!(daemon.stop().code(), Some(0));
    }
}
