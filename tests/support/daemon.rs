//! The real binary, really mounted.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tempfile::TempDir;

/// The binary under test.
pub const HUSHFS: &str = env!("CARGO_BIN_EXE_hushfs");
/// For what takes milliseconds unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for one test: configuration, mountpoint, log, run-time directory. Unmounted and removed on drop.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        assert!(
            std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok(),
            "these tests mount: they need /dev/fuse and root, or fusermount3; run them with `make test`"
        );
        let folder = tempfile::Builder::new().prefix("hushfs-e2e-").tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("mnt")).expect("a mountpoint");
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The mountpoint.
    pub fn mnt(&self) -> PathBuf {
        self.path().join("mnt")
    }

    /// The daemon's standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Writes the configuration, with our mountpoint. Where it says nothing of any `timeout`, nobody is told to have
    /// waited for too long by a server or a machine that only is slow.
    pub fn configure(&self, rest: &str) -> PathBuf {
        const PATIENT: &str = "timeout = \"60s\"";
        let parsed = rest.parse::<toml::Table>();
        let says_nothing = !rest.contains("timeout") && parsed.as_ref().is_ok_and(|it| it.contains_key("scopes"));
        if !says_nothing {
            return self.configure_exactly(rest);
        }
        match rest.split_once("[cache]\n") {
            Some((before, after)) => self.configure_exactly(&format!("{before}[cache]\n{PATIENT}\n{after}")),
            None if parsed.is_ok_and(|it| it.contains_key("cache")) => self.configure_exactly(rest),
            None => self.configure_exactly(&format!("{rest}\n[cache]\n{PATIENT}\n")),
        }
    }

    /// Writes the configuration as it is; `mountpoint` is put before it.
    pub fn configure_exactly(&self, rest: &str) -> PathBuf {
        let file = self.path().join("hushfs.toml");
        std::fs::write(&file, format!("mountpoint = {:?}\n{rest}", self.mnt())).expect("the configuration");
        // Whatever the umask is: of one that others may write it would be said.
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("permissions");
        file
    }

    /// A file that only we may read, of a credential for example. One that is there is replaced at once.
    pub fn private(&self, name: &str, contents: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt as _;
        let (path, new) = (self.path().join(name), self.path().join("new~"));
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new);
        std::io::Write::write_all(&mut file.expect("a file"), contents.as_bytes()).expect("written");
        std::fs::rename(new, &path).expect("renamed");
        path
    }

    /// A command of the binary with this place's configuration.
    pub fn hushfs(&self, args: &[&str]) -> Command {
        let mut command = Command::new(HUSHFS);
        command.args(args).arg("--config").arg(self.path().join("hushfs.toml")).stdin(Stdio::null());
        command
    }

    /// Runs a command of the binary to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.hushfs(args).output().expect("hushfs runs")
    }

    /// `hushfs refresh`, which must fail.
    pub fn refused_refresh(&self, path: &Path) {
        let output = Command::new(HUSHFS).arg("refresh").arg(path).output().expect("hushfs runs");
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// `hushfs status --json`.
    pub fn status(&self) -> serde_json::Value {
        let mnt = self.mnt();
        let output =
            Command::new(HUSHFS).args(["status", "--json", "--mountpoint"]).arg(mnt).output().expect("hushfs runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Calls of one kind to a scope's provider so far.
    pub fn calls(&self, scope: &str, kind: &str) -> u64 {
        let status = self.status();
        let scopes = status["scopes"].as_array().expect("scopes");
        let scope = scopes.iter().find(|it| it["name"] == scope).expect("the scope");
        scope["calls"][kind].as_u64().expect("a count")
    }

    /// Configures, mounts, and waits until the daemon says READY=1.
    pub fn mount(&self, configuration: &str) -> Daemon<'_> {
        self.configure(configuration);
        self.start(self.hushfs(&["mount"]))
    }

    /// Starts a prepared `hushfs mount` and waits until it says READY=1.
    pub fn start(&self, command: Command) -> Daemon<'_> {
        let socket = self.path().join("notify");
        let _ = std::fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).expect("a notification socket");
        // As systemd's is.
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("permissions");
        notify.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let mut daemon = self.spawn(command);
        let start = Instant::now();
        let mut message = [0; 256];
        loop {
            if let Ok(length) = notify.recv(&mut message)
                && message[..length].split(|&byte| byte == b'\n').any(|line| line == b"READY=1")
            {
                return daemon;
            }
            if let Some(status) = daemon.child.try_wait().expect("the daemon's status") {
                panic!("the daemon ended with {status}: {}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "the daemon is not ready: {}", self.log());
        }
    }

    /// Starts a prepared `hushfs mount` and does not wait.
    pub fn spawn(&self, mut command: Command) -> Daemon<'_> {
        let log = File::options().create(true).append(true).open(self.path().join("log")).expect("a log");
        let parent = std::process::id();
        // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                // Not SIGKILL: the daemon must unmount when the test dies.
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                if libc::getppid() as u32 != parent {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        let child = command
            .env("NOTIFY_SOCKET", self.path().join("notify"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("hushfs starts");
        Daemon { child, place: self }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What a daemon that was killed left behind, and what a test mounted for itself. Detaching one shows
        // the next below it.
        let mounted_here = || {
            let table = std::fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
            let mut points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
            points.find(|point| point.starts_with(self.path()))
        };
        while let Some(point) = mounted_here() {
            let point = std::ffi::CString::new(point.into_os_string().into_encoded_bytes()).expect("a path");
            // SAFETY: the path is a valid C string.
            if unsafe { libc::umount2(point.as_ptr(), libc::MNT_DETACH) } != 0 {
                break;
            }
        }
    }
}

/// A running daemon; told to stop, and waited for, on drop.
pub struct Daemon<'a> {
    pub child: Child,
    place: &'a Place,
}

impl Daemon<'_> {
    pub fn signal(&self, signal: i32) {
        // SAFETY: our own child, not yet reaped.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// SIGSTOP. No thread of it does anything from here on, until SIGCONT.
    pub fn halt(&self) {
        self.signal(libc::SIGSTOP);
        // Told of it when every thread has stopped, and not before.
        // SAFETY: our own child, not yet reaped; nothing is written.
        let stopped = unsafe { libc::waitid(libc::P_PID, self.child.id(), std::ptr::null_mut(), libc::WSTOPPED) };
        assert_eq!(stopped, 0, "{}", std::io::Error::last_os_error());
    }

    /// Its broker, which is its only child.
    pub fn broker(&self) -> Pid {
        children(self.child.id()).trim().parse().ok().and_then(Pid::from_raw).expect("one child")
    }

    /// SIGTERM, and the exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the daemon's status") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the daemon does not end: {}", self.place.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(libc::SIGTERM);
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(10) {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Does a thread of this process wait for an answer of a FUSE daemon? Not from the moment on when the kernel has one, whether
/// the thread has had the time to take it or not.
pub fn waits_for_fuse(thread: &Path) -> bool {
    std::fs::read_to_string(thread.join("wchan")).is_ok_and(|at| at == "request_wait_answer")
}

/// The processes that a process's first thread has started, as the kernel lists them.
pub fn children(process: u32) -> String {
    std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).expect("children")
}

/// Is anything mounted at this path?
pub fn is_mounted(path: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/thread-self/mounts").expect("the mount table");
    table.lines().any(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == path))
}

/// The errno of opening a file and reading it to its end.
pub fn errno_of_reading(path: &Path) -> Option<i32> {
    std::fs::read(path).err().and_then(|error| error.raw_os_error())
}

/// Descriptors that the daemon holds open.
pub fn descriptors(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).map_or(0, Iterator::count)
}

/// Lowers a limit of a command before it starts.
pub fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, most: u64) {
    // SAFETY: setrlimit with a struct on the stack; async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            if libc::setrlimit(resource, &limit) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
}

/// Keeps a file's descriptor number for system calls the standard library does not have.
pub fn raw(file: &File) -> i32 {
    file.as_raw_fd()
}

/// An extended attribute as text; None where there is none of that name.
pub fn xattr(path: &Path, name: &str) -> Option<String> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::getxattr(path, name, &mut value).ok()?;
    Some(String::from_utf8_lossy(&value[..length]).into_owned())
}

/// Takes capabilities from a command for good, root or not.
pub fn drop_capabilities(command: &mut Command, capabilities: &'static [i32]) {
    // SAFETY: prctl with plain numbers; async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            for &capability in capabilities {
                if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

/// Has a system call of a command, and of all that it starts, answered with EPERM, as some containers' filters do.
pub fn forbid_call(command: &mut Command, number: libc::c_long) {
    let (load, compare, end) =
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ, libc::BPF_RET);
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    // The call's number comes first in what is judged.
    let steps = [
        step(load, 0, 0, 0),
        step(compare, 0, 1, number as u32),
        step(end, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(end, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    // SAFETY: prctl with a program that lives as long as the closure; async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_ptr().cast_mut() };
            match libc::prctl(libc::PR_SET_SECCOMP, libc::c_ulong::from(libc::SECCOMP_MODE_FILTER), &raw const program)
            {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

/// Calls until the answer is not None; the test fails if it never comes.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
