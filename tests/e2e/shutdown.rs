//! The end of a mount while a thousand readers wait for a provider that hangs: each gets an error, and nothing stays.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::cloud::Cloud;
use crate::support::daemon::{Daemon, Place, errno_of_reading, eventually, is_mounted, waits_for_fuse};
use crate::support::fault_proxy::Fault;

const READERS: usize = 1000;
/// After a lazy unmount 3 s of it are a timer. The rest is to answer a thousand, and to end: a few tenths of a second of
/// work, so a machine with several times as much to do as it has processors is in time as well.
const PROMISE: Duration = Duration::from_secs(5);
/// How long `hushfs unmount` waits for an answer of the mount.
const TAKEN_FOR_HUNG: Duration = Duration::from_secs(2);
/// Nobody's time is up before the test's.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// Long enough that all wait before the first has its answer, on a busy machine, too.
const SHORT: Duration = Duration::from_secs(20);

/// How many threads of this process wait for an answer of a FUSE daemon.
fn waiting() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads").filter_map(Result::ok);
    tasks.filter(|task| waits_for_fuse(&task.path())).count()
}

/// Has a thousand readers wait, each for a secret of its own, ends the mount with `end`, and gives what they got.
fn with_a_thousand_waiting(timeout: Duration, end: impl FnOnce(&Place, &Daemon)) -> Vec<Option<i32>> {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let mut daemon = cloud.mount(&place, &cloud.scope("slow", &format!("timeout = \"{}s\"", timeout.as_secs())));
    let scope = place.mnt().join("slow");
    cloud.proxy.set("*", Fault::Hang);
    let done = AtomicUsize::new(0);
    let all_are_there = Barrier::new(READERS);
    let read = |path: &Path| {
        all_are_there.wait();
        let errno = errno_of_reading(path);
        done.fetch_add(1, Ordering::SeqCst);
        errno
    };
    let errnos = std::thread::scope(|threads| {
        let reader = |number: usize| {
            let path = scope.join(format!("cold-{number}/value"));
            let builder = std::thread::Builder::new().stack_size(128 * 1024);
            builder.spawn_scoped(threads, move || read(&path)).expect("a thread")
        };
        let readers: Vec<_> = (0..READERS).map(reader).collect();
        eventually("all wait", || (waiting() == READERS).then_some(()));
        eventually("the provider hangs", || (cloud.proxy.all_calls() > 0).then_some(()));
        assert_eq!(done.load(Ordering::SeqCst), 0, "nobody has an answer");
        let start = Instant::now();
        end(&place, &daemon);
        let ended = Instant::now();
        let errnos: Vec<_> = readers.into_iter().map(|reader| reader.join().expect("an errno")).collect();
        let answered = start.elapsed();
        assert_eq!(daemon.wait().code(), Some(0), "{}", place.log());
        println!("the last reader was gone after {answered:?}, the daemon after {:?}", start.elapsed());
        // Of a short one it is promised that nobody waits for longer; else what ends the mount takes its own time.
        let (since, most) = if timeout == SHORT { (start, timeout + PROMISE) } else { (ended, PROMISE) };
        assert!(since.elapsed() < most, "{:?}", since.elapsed());
        errnos
    });
    assert!(!is_mounted(&place.mnt()));
    assert!(!place.log().contains("defect"), "{}", place.log());
    errnos
}

fn run(mut command: Command) -> bool {
    command.status().expect("it runs").success()
}

/// `hushfs unmount`. None where that took so long that the mount may have been taken for hung, as on a busy machine.
fn unmount(place: &Place, options: &[&str]) -> Option<Output> {
    // Answered after whatever was asked before.
    place.status();
    let start = Instant::now();
    let output = place.run(&[&["unmount"], options].concat());
    (start.elapsed() < TAKEN_FOR_HUNG).then_some(output)
}

/// What the first attempt gives in which no mount can have been taken for hung.
fn unless_taken_for_hung<T>(attempt: impl Fn() -> Option<T>) -> T {
    (0..3).find_map(|_| attempt()).expect("a mount that answers in time")
}

/// Whoever waited got the end of the connection.
fn all_were_cut_off(errnos: &[Option<i32>]) {
    let cut = [Some(libc::ECONNABORTED), Some(libc::ENOTCONN)];
    assert!(errnos.iter().all(|errno| cut.contains(errno)), "{errnos:?}");
}

/// Whoever waited got an answer, when its time was up.
fn all_timed_out(errnos: &[Option<i32>]) {
    assert!(errnos.iter().all(|errno| *errno == Some(libc::ETIMEDOUT)), "{errnos:?}");
}

#[test]
fn sigterm_cuts_off_a_thousand_who_wait_and_leaves_nothing() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        all_were_cut_off(&with_a_thousand_waiting(FOR_EVER, |_, daemon| daemon.signal(signal)));
    }
}

#[test]
fn a_lazy_unmount_lets_a_thousand_go_who_wait_long_before_their_time_is_up() {
    let errnos = unless_taken_for_hung(|| {
        let mut output = None;
        let errnos = with_a_thousand_waiting(FOR_EVER, |place, _| output = unmount(place, &["--lazy"]));
        output.map(|output| {
            assert!(output.status.success(), "{output:?}");
            errnos
        })
    });
    all_timed_out(&errnos);
}

#[test]
fn what_is_open_is_read_on_after_a_lazy_unmount_which_ends_the_daemon_when_it_is_closed() {
    unless_taken_for_hung(is_read_on_after_a_lazy_unmount);
}

fn is_read_on_after_a_lazy_unmount() -> Option<()> {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let mut daemon = cloud.mount(&place, &cloud.scope("slow", "timeout = \"1h\""));
    let scope = place.mnt().join("slow");
    let mut open = fs::File::open(scope.join("db/value")).expect("it opens");
    cloud.proxy.set("*", Fault::Hang);
    let (output, errno) = std::thread::scope(|threads| {
        let waiting = threads.spawn(|| errno_of_reading(&scope.join("cold/value")));
        eventually("it waits", || (cloud.proxy.calls("DescribeSecret") > 0).then_some(()));
        (unmount(&place, &["--lazy"]), waiting.join().expect("an errno"))
    });
    let output = output?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(errno, Some(libc::ETIMEDOUT));
    let mut value = String::new();
    open.read_to_string(&mut value).expect("it is read");
    assert_eq!(value, "value");
    drop(open);
    assert_eq!(daemon.wait().code(), Some(0));
    Some(())
}

#[test]
fn an_unmount_while_a_thousand_wait_says_that_it_is_in_use_and_succeeds_after_their_time_is_up() {
    let errnos = with_a_thousand_waiting(SHORT, |place, _| {
        // One that is taken for hung stays as it is.
        let refused = unless_taken_for_hung(|| unmount(place, &[]));
        assert_eq!(refused.status.code(), Some(71));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--lazy"));
        eventually("it is in use no more", || place.run(&["unmount"]).status.success().then_some(()));
    });
    all_timed_out(&errnos);
}

/// What only root may run.
mod as_root {
    use super::*;

    #[test]
    fn umount_and_fusermount_end_it_as_the_commands_of_hushfs_do() {
        let ways: [(&str, &[&str]); 2] = [("umount", &["-l"]), ("fusermount3", &["-u", "-z"])];
        for (program, options) in ways {
            let errnos = with_a_thousand_waiting(FOR_EVER, |place, _| {
                let mut command = Command::new(program);
                command.args(options).arg(place.mnt());
                assert!(run(command), "{program}");
            });
            all_timed_out(&errnos);
        }
        let errnos = with_a_thousand_waiting(SHORT, |place, _| {
            eventually("it is in use no more", || {
                let mut command = Command::new("fusermount3");
                command.arg("-u").arg(place.mnt()).stderr(std::process::Stdio::null());
                run(command).then_some(())
            });
        });
        all_timed_out(&errnos);
    }
}
