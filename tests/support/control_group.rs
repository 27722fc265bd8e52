//! Control groups of the host, which end with the test: no namespace takes them away.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A control group; with all that is below it, and whatever runs there, it is removed on drop.
pub struct ControlGroup {
    path: String,
}

impl ControlGroup {
    /// A name in this run's own group. Nothing is made yet.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let run =
            std::env::var("HUSHFS_TEST_CGROUP").expect("run the tests with `make test`, or in tests/setup/sandbox");
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { path: format!("/{run}/{}-{next}", std::process::id()) }
    }

    /// As `/proc/PID/cgroup` shows it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Makes a group of this name in it (`""` for itself), in the hierarchies that systemd keeps, and has the
    /// command start there.
    pub fn hold(&self, name: &str, command: &mut Command) {
        let lists: Vec<File> = hierarchies()
            .filter(|hierarchy| hierarchy.is_systemds)
            .map(|hierarchy| {
                let folder = below(&hierarchy.root, &self.path).join(name);
                std::fs::create_dir_all(&folder)
                    .and_then(|()| File::options().write(true).open(folder.join("cgroup.procs")))
                    .unwrap_or_else(|error| panic!("cannot make the control group {}: {error}", folder.display()))
            })
            .collect();
        assert!(!lists.is_empty(), "there is no hierarchy of control groups that systemd would keep in /proc/mounts");
        // SAFETY: between fork and exec the closure makes a system call for each file, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                for list in &lists {
                    // 0 is who writes it.
                    if libc::write(list.as_raw_fd(), c"0".as_ptr().cast(), 1) != 1 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
    }

    /// Its folders in every hierarchy, each after those in it.
    fn folders(&self) -> Vec<PathBuf> {
        fn walk(folder: PathBuf, found: &mut Vec<PathBuf>) {
            let Ok(entries) = std::fs::read_dir(&folder) else { return };
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                walk(entry.path(), found);
            }
            found.push(folder);
        }
        let mut found = Vec::new();
        for hierarchy in hierarchies() {
            walk(below(&hierarchy.root, &self.path), &mut found);
        }
        found
    }
}

impl Drop for ControlGroup {
    /// What cannot be removed in a minute, the sandbox reports.
    fn drop(&mut self) {
        for _ in 0..3000 {
            let folders = self.folders();
            if folders.is_empty() {
                return;
            }
            for folder in folders {
                let processes = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                // One that is outside of our pid namespace is shown as 0.
                for pid in processes.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0) {
                    // SAFETY: no memory is passed. What is in the group was started for the test.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
                let _ = std::fs::remove_dir(folder);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

struct Hierarchy {
    root: PathBuf,
    is_systemds: bool,
}

fn hierarchies() -> impl Iterator<Item = Hierarchy> {
    let table = std::fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
    let found: Vec<Hierarchy> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (root, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
            let is_systemds = kind == "cgroup2" || options.split(',').any(|option| option == "name=systemd");
            kind.starts_with("cgroup").then(|| Hierarchy { root: root.into(), is_systemds })
        })
        .collect();
    found.into_iter()
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
