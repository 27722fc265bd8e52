//! Real processes as callers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;

use super::*;

/// A process that ends with the test.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Runs a command that says a line when it is what the test wants.
    fn start(command: &mut Command) -> Self {
        // SAFETY: between fork and exec one system call is made and nothing allocated.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn sh(script: &str) -> Self {
        Self::start(Command::new("sh").args(["-c", script]))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn own_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn of(pid: u32) -> Evidence {
    let (uid, gid) = own_ids();
    Evidence::of(Caller { uid, gid, pid })
}

/// Waits for what another process is about to do.
fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_nothing_known(evidence: &Evidence) -> bool {
    evidence.tgid().is_none()
        && evidence.groups().is_none()
        && evidence.executable().is_none()
        && evidence.cgroup().is_none()
}

fn program(name: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join(name));
    fs::canonicalize(found.find(|path| path.exists()).unwrap()).unwrap()
}

/// Begins what runs in a user namespace of its own. Panics where none can be made, lest a test that did not run look
/// like one that passed.
fn unshare() -> Command {
    let made = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output().unwrap();
    assert!(
        made.status.success(),
        "no user namespace can be made here, see user_namespaces(7): {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Command::new("unshare")
}

#[test]
fn a_process_is_known_by_what_it_runs_and_where() {
    let mut shell = Running::sh("echo ready; read x");
    shell.line();
    let evidence = of(shell.pid());
    assert_eq!(evidence.tgid(), Some(shell.pid()));
    assert_eq!(evidence.executable().unwrap().path(), Some(program("sh").as_path()));
    let own = of(std::process::id());
    assert_eq!(evidence.cgroup().unwrap(), own.cgroup().unwrap());
    assert_eq!(evidence.groups(), own.groups());

    let gathered = of(shell.pid());
    gathered.gather();
    assert_eq!(gathered.executable(), evidence.executable());
    assert_eq!(gathered.cgroup(), evidence.cgroup());

    let directory = |of: &str| fs::File::open(of).unwrap().into();
    let told = what_runs(directory(&format!("/proc/{}/task/{0}", shell.pid())));
    assert_eq!(told.as_ref(), evidence.executable(), "by its folder");
    let other = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/sh", other.path().join("exe")).unwrap();
    assert_eq!(what_runs(directory(other.path().to_str().unwrap())), None, "no folder of /proc");
}

#[test]
fn a_thread_is_its_process_and_keeps_its_own_number() {
    let (tell, told) = channel();
    let (_end, ended) = channel::<()>();
    std::thread::spawn(move || {
        tell.send(rustix::thread::gettid()).unwrap();
        let _ = ended.recv();
    });
    let tid = told.recv().unwrap().as_raw_nonzero().get().unsigned_abs();
    assert_ne!(tid, std::process::id());
    let evidence = of(tid);
    assert_eq!(evidence.tgid(), Some(std::process::id()));
    assert_eq!(evidence.executable().unwrap().path(), Some(std::env::current_exe().unwrap().as_path()));
    assert!(evidence.cgroup().is_some());
}

#[test]
fn a_thread_that_ended_is_nobody_although_its_process_lives() {
    let (tell, told) = channel();
    let (end, ended) = channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid()).unwrap();
        let _ = ended.recv();
    });
    let tid = told.recv().unwrap().as_raw_nonzero().get().unsigned_abs();
    let evidence = of(tid);
    assert!(evidence.tgid().is_some());
    drop(end);
    thread.join().unwrap();
    // Joined is not yet gone from /proc.
    until(|| !Path::new(&format!("/proc/self/task/{tid}")).exists());
    assert!(evidence.executable().is_none() && evidence.cgroup().is_none());
    assert!(is_nothing_known(&of(tid)));
}

#[test]
fn a_caller_whose_user_or_group_is_not_the_requests_is_not_the_caller() {
    let mut shell = Running::sh("echo ready; read x");
    shell.line();
    let (uid, gid) = own_ids();
    let pid = shell.pid();
    assert!(is_nothing_known(&Evidence::of(Caller { uid: uid + 1, gid, pid })));
    assert!(is_nothing_known(&Evidence::of(Caller { uid, gid: gid + 1, pid })));
    assert!(!is_nothing_known(&Evidence::of(Caller { uid, gid, pid })));
}

#[test]
fn a_caller_in_no_pid_namespace_of_ours_is_known_by_uid_and_gid_alone() {
    for pid in [0, u32::MAX, i32::MAX as u32] {
        assert!(is_nothing_known(&of(pid)), "{pid}");
        assert!(Evidence::of_live(pid).is_none(), "{pid}");
    }
}

#[test]
fn the_dead_are_nobody() {
    let mut shell = Running::sh("echo ready; read x");
    shell.line();
    let pid = shell.pid();
    let before = of(pid);
    assert!(before.tgid().is_some());
    shell.child.kill().unwrap();
    // Ended and not reaped: it still has a number, a status and a control group.
    until(|| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z "));
    assert!(is_nothing_known(&of(pid)));
    shell.end();
    assert!(is_nothing_known(&of(pid)));
    assert!(before.executable().is_none() && before.cgroup().is_none());
}

#[test]
fn who_changes_what_it_runs_in_between_is_known_by_neither() {
    let mut shell = Running::sh("echo ready; read x; exec sleep 1000");
    shell.line();
    let (early, late) = (of(shell.pid()), of(shell.pid()));
    assert_eq!(early.executable().unwrap().path(), Some(program("sh").as_path()));
    assert!(late.tgid().is_some());
    shell.say("");
    let link = format!("/proc/{}/exe", shell.pid());
    until(|| fs::read_link(&link).is_ok_and(|exe| exe == program("sleep")));
    assert!(late.executable().is_none() && late.cgroup().is_none());
    assert_eq!(of(shell.pid()).executable().unwrap().path(), Some(program("sleep").as_path()));
}

/// The same program again: nothing that is shown to everybody tells them apart.
#[test]
fn even_the_same_program_begun_anew_is_another() {
    let mut shell = Running::sh("echo ready; read x; exec sh -c 'echo again; read x'");
    shell.line();
    let evidence = of(shell.pid());
    assert!(evidence.tgid().is_some());
    shell.say("");
    assert_eq!(shell.line(), "again");
    assert!(evidence.executable().is_none());
}

#[test]
fn a_thread_that_is_younger_than_the_request_did_not_make_it() {
    let request = since_boot();
    // The kernel counts starts in ticks of 10 ms.
    until(|| since_boot() > request + Duration::from_millis(30));
    let mut shell = Running::sh("echo ready; read x");
    shell.line();
    let (uid, gid) = own_ids();
    let caller = Caller { uid, gid, pid: shell.pid() };
    assert!(Thread::of(&caller, request).is_none());
    assert!(Thread::of(&caller, since_boot()).is_some());
}

/// It thinks it is 1; we are asked by our number for it.
#[test]
fn a_caller_in_a_pid_namespace_below_ours_is_known() {
    let script = "echo $$; read x";
    let mut unshare = Running::start(unshare().args([
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        script,
    ]));
    assert_eq!(unshare.line(), "1");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", unshare.pid())).unwrap();
    let inner: u32 = children.trim().parse().unwrap();
    let evidence = of(inner);
    assert_eq!(evidence.tgid(), Some(inner));
    assert_eq!(evidence.executable().unwrap().path(), Some(program("sh").as_path()));
    // Its own 1 is our init, and no child of ours.
    assert!(Evidence::of_live(1).is_none_or(|init| init.tgid() == Some(1)));
}

/// Anybody may have a file system in which any path is any file.
#[test]
fn a_path_that_is_true_for_the_caller_alone_is_not_taken_for_ours() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (directory.path().join("trusted"), directory.path().join("theirs"));
    fs::copy(program("sleep"), &ours).unwrap();
    fs::copy(program("sh"), &theirs).unwrap();
    let script = "mount --bind \"$0\" \"$1\" && exec \"$1\" -c 'echo ready; read x'";
    let mut liar = Running::start(
        unshare().args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).args([&theirs, &ours]),
    );
    assert_eq!(liar.line(), "ready");
    let evidence = of(liar.pid());
    let executable = evidence.executable().unwrap();
    assert_eq!(executable.shown(), ours, "so the kernel says");
    assert_eq!(executable.path(), None);
}

#[test]
fn a_program_that_was_replaced_since_is_not_the_one_at_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tool");
    fs::copy(program("sh"), &path).unwrap();
    let mut tool = Running::start(Command::new(&path).args(["-c", "echo ready; read x"]));
    tool.line();
    assert_eq!(of(tool.pid()).executable().unwrap().path(), Some(path.as_path()));
    fs::remove_file(&path).unwrap();
    fs::copy(program("sleep"), &path).unwrap();
    assert_eq!(of(tool.pid()).executable().unwrap().path(), None);
    // Nor does a file help that is called what the kernel shows.
    fs::write(directory.path().join("tool (deleted)"), "").unwrap();
    assert_eq!(of(tool.pid()).executable().unwrap().path(), None);
}

#[test]
fn a_caller_in_a_user_namespace_of_its_own_is_known_by_our_numbers() {
    let mut inner =
        Running::start(unshare().args(["--user", "--map-user=77", "--map-group=78", "sh", "-c", "id -u; read x"]));
    assert_eq!(inner.line(), "77");
    let evidence = of(inner.pid());
    assert_eq!(evidence.tgid(), Some(inner.pid()));
    assert_eq!(evidence.groups(), of(std::process::id()).groups());
    assert!(is_nothing_known(&Evidence::of(Caller { uid: 77, gid: 78, pid: inner.pid() })));
}

#[test]
fn a_live_process_can_be_asked_about_without_a_request() {
    let mut shell = Running::sh("echo ready; read x");
    shell.line();
    let evidence = Evidence::of_live(shell.pid()).unwrap();
    let (uid, gid) = own_ids();
    assert_eq!(*evidence.caller(), Caller { uid, gid, pid: shell.pid() });
    assert!(evidence.executable().is_some());
}

#[test]
fn evidence_opens_no_more_than_it_closes() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let look = || {
        let evidence = of(std::process::id());
        (evidence.groups().is_some(), evidence.executable().is_some(), evidence.cgroup().is_some())
    };
    look();
    let before = open();
    for _ in 0..50 {
        assert_eq!(look(), (true, true, true));
    }
    // Other tests of this process may open and close in between, never fifty.
    assert!(open() < before + 50);
}

/// The test runs itself in a pid namespace whose `/proc` is still ours: the same numbers, other processes.
#[test]
fn the_proc_of_another_pid_namespace_is_not_believed() {
    const INSIDE: &str = "HUSHFS_TEST_FOREIGN_PROC";
    if std::env::var_os(INSIDE).is_some() {
        assert!(fs::read_link("/proc/1/task/1/exe").is_ok() || fs::metadata("/proc/1").is_ok(), "there is a /proc");
        for pid in [1, std::process::id()] {
            assert!(Evidence::of_live(pid).is_none());
            assert!(is_nothing_known(&of(pid)));
        }
        return;
    }
    let ended = unshare()
        .args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "access::evidence::evidence_test::the_proc_of_another_pid_namespace_is_not_believed"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{ended:?}");
}

/// What only root may do.
mod as_root {
    use super::*;

    #[test]
    fn supplementary_groups_are_the_kernels() {
        let mut cat = Running::start(
            Command::new("setpriv")
                .args(["--reuid=12345", "--regid=23456", "--groups=4,60001,4294967294", "--"])
                .args(["sh", "-c", "echo ready; read x"]),
        );
        cat.line();
        let evidence = Evidence::of(Caller { uid: 12345, gid: 23456, pid: cat.pid() });
        assert_eq!(evidence.groups(), Some([4, 60001, 4_294_967_294].as_slice()));
        // Of other users, only root may see what they run.
        assert!(evidence.executable().is_some());
    }

    /// A process with the number that another had, made on purpose.
    #[test]
    fn who_has_a_dead_callers_number_is_not_the_caller() {
        let (pid, held, unread, _successor) = loop {
            let mut shell = Running::sh("echo ready; read x");
            shell.line();
            let pid = shell.pid();
            let (held, unread) = (of(pid), of(pid));
            assert!(held.tgid().is_some());
            until(|| since_boot() > unread.seen + Duration::from_millis(30));
            shell.end();
            match Successor::with(pid) {
                Ok(successor) => break (pid, held, unread, successor),
                // Somebody else has been given it meanwhile.
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "it takes Linux 5.5: {error}"),
            }
        };
        assert!(!is_nothing_known(&of(pid)), "somebody has the number");
        assert!(held.executable().is_none() && held.cgroup().is_none());
        assert!(is_nothing_known(&unread));
    }

    struct Successor(libc::pid_t);

    impl Successor {
        fn with(pid: u32) -> std::io::Result<Self> {
            let wanted = libc::pid_t::try_from(pid).unwrap();
            // SAFETY: all zeroes are a valid clone_args.
            let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
            arguments.exit_signal = libc::SIGCHLD as u64;
            arguments.set_tid = std::ptr::from_ref(&wanted) as u64;
            arguments.set_tid_size = 1;
            // SAFETY: like fork; the child makes system calls only and never returns. `arguments` and `wanted`
            // outlive the call.
            let made = unsafe { libc::syscall(libc::SYS_clone3, &arguments, size_of_val(&arguments)) };
            if made == 0 {
                // SAFETY: the child, which allocates nothing.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    loop {
                        libc::pause();
                    }
                }
            }
            if made > 0 { Ok(Self(wanted)) } else { Err(std::io::Error::last_os_error()) }
        }
    }

    impl Drop for Successor {
        fn drop(&mut self) {
            // SAFETY: a child of ours that nobody else waits for.
            unsafe {
                libc::kill(self.0, libc::SIGKILL);
                libc::waitpid(self.0, std::ptr::null_mut(), 0);
            }
        }
    }

    /// A control group that is gone when the test is.
    struct Group(PathBuf);

    impl Group {
        /// Below ours in the hierarchy that counts.
        fn new() -> Self {
            let name = format!("hushfs-test-{}.scope", std::process::id());
            let own = of(std::process::id()).cgroup().unwrap().path().trim_matches('/').to_owned();
            let lines = fs::read_to_string("/proc/self/cgroup").unwrap();
            let is_systemds =
                lines.lines().any(|line| line.ends_with(&format!(":name=systemd:/{own}"))) && !own.is_empty();
            let roots: &[&str] =
                if is_systemds { &["/sys/fs/cgroup/systemd"] } else { &["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] };
            let is_unified = |root: &&&str| is_systemds || Path::new(root).join("cgroup.controllers").exists();
            let root = roots.iter().find(is_unified).expect("the hierarchy that counts");
            let group = Path::new(root).join(own).join(name);
            fs::create_dir(&group)
                .unwrap_or_else(|error| panic!("cannot make the control group {}: {error}", group.display()));
            Self(group)
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            // It is empty as soon as the kernel is done with what was in it.
            for _ in 0..500 {
                if fs::remove_dir(&self.0).is_ok() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    #[test]
    fn a_caller_is_found_in_the_control_group_that_it_was_put_in() {
        let group = Group::new();
        let mut shell = Running::sh("echo ready; read x");
        shell.line();
        let before = of(shell.pid());
        assert!(before.cgroup().is_some());
        fs::write(group.0.join("cgroup.procs"), shell.pid().to_string()).unwrap();
        let evidence = of(shell.pid());
        let name = group.0.file_name().unwrap().to_str().unwrap();
        let cgroup = evidence.cgroup().unwrap();
        assert!(cgroup.path().ends_with(name), "{cgroup:?}");
        assert_ne!(before.cgroup(), Some(cgroup));
        if cgroup.path() == format!("/{name}") {
            assert_eq!(cgroup.unit(), Some(name));
        }
    }
}
