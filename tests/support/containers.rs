//! Containers of podman's, as root runs them or a user without root, which end with the test. All that podman keeps is
//! in folders of the test's own, and the control groups that it makes are below one of the test's own.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::child::Guarded;
use super::control_group::ControlGroup;
use super::daemon::Place;
use super::missing;
use super::users::{bind, mount_overlay, share_mounts};

/// A container runs within seconds.
const PATIENCE: Duration = Duration::from_secs(100);

/// The user who runs podman without root, and its group.
pub const WORKER: u32 = 2001;
/// The first of the 65,536 numbers that are the user's own. In a rootless container it is user 1.
pub const FIRST_OF_WORKERS: u32 = 300_000;

/// This host's podman, with a storage, settings and a control group of the test's own.
pub struct Podman {
    folder: PathBuf,
    /// Of what runs. It wants a path of 50 bytes at most.
    running: TempDir,
    group: ControlGroup,
    is_rootless: bool,
}

impl Podman {
    pub fn new(place: &Place) -> Self {
        Self::in_folder(&place.path().join("podman"))
    }

    pub fn in_folder(folder: &Path) -> Self {
        missing::program("podman", "podman");
        missing::program("runc", "runc");
        // The programs of this host, and otherwise nothing.
        let root = folder.join("root");
        for name in ["usr", "proc", "sys", "dev", "etc", "tmp", "run", "secrets"] {
            let folder = root.join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            // A root whom a user namespace made is not its owner, and the runtime makes files in it.
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("permissions");
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(Path::new("usr").join(name), root.join(name)).expect("a link");
        }
        // It runs without systemd, and must not share /dev/shm/libpod_lock with other podmans. crun does not
        // start where both versions of control groups are mounted.
        let settings = "[engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"runc\"\nlock_type = \"file\"\n\
                        events_logger = \"file\"\n";
        std::fs::write(folder.join("containers.conf"), settings).expect("a file");
        let running = tempfile::Builder::new().prefix("podman-").tempdir_in("/run").expect("a temporary folder");
        Self { folder: folder.to_owned(), running, group: ControlGroup::new(), is_rootless: false }
    }

    /// That of [`WORKER`]. To be called in a mount namespace of the test's own, where that user has a name, numbers for
    /// other users, and a run-time directory, from here on.
    pub fn rootless(place: &Place) -> Self {
        missing::program("newuidmap", "uidmap");
        let etc = place.path().join("etc");
        mount_overlay(Path::new("/etc"), &etc);
        let append = |name: &str, line: &str| {
            let text = std::fs::read_to_string(etc.join(name)).unwrap_or_default();
            std::fs::write(etc.join(name), format!("{text}{line}\n")).expect("a file");
        };
        append("passwd", &format!("worker:x:{WORKER}:{WORKER}::{}:/bin/sh", place.path().join("podman").display()));
        append("group", &format!("worker:x:{WORKER}:"));
        for name in ["subuid", "subgid"] {
            append(name, &format!("worker:{FIRST_OF_WORKERS}:65536"));
        }
        bind(&etc, Path::new("/etc"));
        let mut podman = Self::new(place);
        podman.is_rootless = true;
        for folder in [&podman.folder, &podman.folder.join("root"), podman.runtime()] {
            std::os::unix::fs::chown(folder, Some(WORKER), Some(WORKER)).expect("an owner");
        }
        // What is mounted there later must come into the mount namespace that podman makes once and keeps.
        share_mounts(podman.runtime());
        podman
    }

    /// The user's `XDG_RUNTIME_DIR`.
    pub fn runtime(&self) -> &Path {
        self.running.path()
    }

    /// What the control groups of all its containers are below, as `/proc/PID/cgroup` shows it.
    pub fn cgroup(&self) -> &str {
        self.group.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.folder.join("containers.conf")).stdin(Stdio::null());
        command.arg("--storage-driver=vfs");
        if self.is_rootless {
            // Its own places for what it keeps. runc is in a folder for administrators.
            command.env("HOME", &self.folder).env("XDG_RUNTIME_DIR", self.runtime()).env("PATH", "/usr/sbin:/usr/bin");
            command.uid(WORKER).gid(WORKER).current_dir("/").arg("--log-level=error");
        } else {
            command.arg("--root").arg(self.folder.join("storage")).arg("--runroot").arg(self.running.path());
            command.arg("--tmpdir").arg(self.running.path().join("tmp"));
        }
        command.args(args);
        command
    }

    /// What is true of every container here.
    fn for_all(&self, command: &mut Command) {
        // No network: no plugins that would set one up. Limits as they are: root here may not raise them.
        command.args(["--network=none", "--ulimit=host", "--volume=/usr:/usr:ro"]);
        if !self.is_rootless {
            command.arg(format!("--cgroup-parent={}", self.group.path()));
        }
    }

    /// Runs a program in a container that ends with it.
    pub fn run(&self, options: &[&str], program: &[&str]) -> Output {
        let mut command = self.command(&["run", "--rm"]);
        self.for_all(&mut command);
        command.args(options).arg("--rootfs").arg(self.folder.join("root")).args(program).output().expect("podman")
    }

    /// A container that is made, and does not run.
    pub fn create(&self, options: &[&str]) -> Container<'_> {
        let mut command = self.command(&["create", "--interactive"]);
        self.for_all(&mut command);
        let output =
            command.args(options).arg("--rootfs").arg(self.folder.join("root")).arg("cat").output().expect("podman");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let id = String::from_utf8(output.stdout).expect("an id").trim_end().to_owned();
        Container { podman: self, id, running: None }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if !self.is_rootless {
            return;
        }
        // Without root a process of podman's keeps the namespaces from the first command on.
        let process = std::fs::read_to_string(self.runtime().join("libpod/tmp/pause.pid")).unwrap_or_default();
        if let Ok(process) = process.trim().parse::<i32>() {
            // SAFETY: no memory is passed. It was started for the test.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
        let _ = rustix::mount::unmount(self.runtime(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// A container; it is stopped and removed on drop. It ends when the test's process does, for it waits for the
/// end of what the test would write to it.
pub struct Container<'a> {
    podman: &'a Podman,
    /// 64 hexadecimal digits.
    pub id: String,
    running: Option<Guarded>,
}

impl Container<'_> {
    pub fn start(&mut self) {
        let mut command = self.podman.command(&["start", "--attach", "--interactive", &self.id]);
        command.stdin(Stdio::piped());
        self.running = Some(Guarded::spawn(&mut command).expect("podman starts"));
        let began = Instant::now();
        loop {
            let output = self.exec("0:0", &["true"], None);
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(began.elapsed() < PATIENCE, "the container does not run: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a program in it as `UID:GID`. It has `descriptor` as its descriptor 3.
    pub fn exec(&self, user: &str, program: &[&str], descriptor: Option<&File>) -> Output {
        let mut command = self.podman.command(&["exec"]);
        if let Some(file) = descriptor {
            let fd = file.as_raw_fd();
            command.arg("--preserve-fds=1");
            // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
            unsafe {
                command.pre_exec(move || {
                    // Onto itself it would stay one that an exec closes.
                    let failed = if fd == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(fd, 3) } == -1;
                    if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
                });
            }
        }
        command.args(["--user", user, &self.id]).args(program).output().expect("podman")
    }

    /// As `/proc/PID/cgroup` shows it.
    pub fn cgroup(&self) -> String {
        format!("{}/libpod-{}", self.podman.group.path(), self.id)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.podman.command(&["rm", "--force", "--time=0", &self.id]).output();
    }
}
