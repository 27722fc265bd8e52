//! Who is killed or interrupted while a provider hangs leaves at once, and takes nobody's answer along. The scope's
//! `timeout` is longer than any test: whoever leaves here has not waited for it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::support::child::Guarded;
use crate::support::cloud::Cloud;
use crate::support::daemon::{Daemon, Place, eventually};
use crate::support::fault_proxy::Fault;

/// Says which signals it took, and what it read or why it did not.
const READER: &str = "
import os, signal, sys
def took(number, frame):
    print('took', signal.Signals(number).name, flush=True)
for number in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGPROF):
    signal.signal(number, took)
try:
    print('opening', flush=True)
    with open(sys.argv[1]) as file:
        print('read', file.read(), flush=True)
except KeyboardInterrupt:
    print('interrupted', flush=True)
";

struct World {
    place: Place,
    cloud: Cloud,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        for name in ["db", "other", "third", "known"] {
            cloud.create(name, b"value");
        }
        Self { place, cloud }
    }

    /// A mount whose provider hangs when it is asked for a value.
    fn mount(&self) -> Daemon<'_> {
        let daemon = self.cloud.mount(&self.place, &self.cloud.scope("slow", "timeout = \"1h\""));
        assert_eq!(std::fs::read(self.file("known")).unwrap(), b"value");
        self.cloud.proxy.forget_calls();
        self.cloud.proxy.set("GetSecretValue", Fault::Hang);
        daemon
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.mnt().join("slow").join(name).join("value")
    }

    fn until_it_hangs(&self) {
        self.until_it_hangs_for(1);
    }

    /// Until the provider has been asked for so many values.
    fn until_it_hangs_for(&self, calls: usize) {
        eventually("the provider is asked", || (self.cloud.proxy.calls("GetSecretValue") >= calls).then_some(()));
    }
}

fn cat(path: &Path) -> Guarded {
    Guarded::spawn(Command::new("cat").arg(path).stdout(Stdio::null()).stderr(Stdio::null())).expect("cat runs")
}

fn reader(path: &Path) -> (Guarded, impl FnMut() -> String + use<>) {
    let mut command = Command::new("python3");
    command.args(["-c", READER]).arg(path).stdout(Stdio::piped());
    let mut child = Guarded::spawn(&mut command).expect("python3 runs");
    let mut lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
    let mut line = move || lines.next().map_or_else(String::new, |line| line.expect("text"));
    assert_eq!(line(), "opening");
    (child, line)
}

/// Until the kernel waits for an answer of the daemon's, for this process.
fn until_it_waits(child: &Guarded) {
    let wchan = format!("/proc/{}/wchan", child.0.id());
    eventually("it waits", || std::fs::read_to_string(&wchan).ok()?.contains("request_wait_answer").then_some(()));
}

fn send(child: &Guarded, signal: i32) {
    // SAFETY: a signal to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.0.id().cast_signed(), signal) }, 0);
}

fn end_of(child: &mut Guarded) -> ExitStatus {
    eventually("the reader is gone", || child.0.try_wait().expect("its status"))
}

#[test]
fn a_reader_who_is_killed_is_gone_at_once() {
    use std::os::unix::process::ExitStatusExt;
    let world = World::new();
    let _daemon = world.mount();
    let rounds = [("db", libc::SIGKILL), ("other", libc::SIGTERM), ("third", libc::SIGINT)];
    for (before, (name, signal)) in rounds.into_iter().enumerate() {
        let mut reader = cat(&world.file(name));
        // One secret for each round: only this reader asks for it.
        world.until_it_hangs_for(before + 1);
        send(&reader, signal);
        assert_eq!(end_of(&mut reader).signal(), Some(signal));
    }
    // Who comes later waits for what is under way.
    for (name, signal) in rounds {
        let mut reader = cat(&world.file(name));
        until_it_waits(&reader);
        send(&reader, signal);
        assert_eq!(end_of(&mut reader).signal(), Some(signal));
    }
    assert_eq!(world.cloud.proxy.calls("GetSecretValue"), rounds.len(), "the fetches go on without them, once each");
    assert!(!world.place.log().contains("defect"));
}

#[test]
fn a_program_that_catches_an_interrupt_is_told_at_once() {
    let world = World::new();
    let _daemon = world.mount();
    let (mut child, mut line) = reader(&world.file("db"));
    world.until_it_hangs();
    send(&child, libc::SIGINT);
    assert_eq!(line(), "interrupted");
    assert!(end_of(&mut child).success());
}

#[test]
fn a_signal_that_ends_nothing_does_not_end_the_wait_and_a_later_one_that_does_is_not_missed() {
    let world = World::new();
    let _daemon = world.mount();
    let (mut first, mut first_says) = reader(&world.file("db"));
    let (mut second, _) = reader(&world.file("other"));
    world.until_it_hangs_for(2);
    for signal in [libc::SIGUSR1, libc::SIGCHLD, libc::SIGPROF] {
        send(&first, signal);
        send(&second, signal);
    }
    send(&second, libc::SIGKILL);
    end_of(&mut second);
    assert!(first.0.try_wait().expect("its status").is_none(), "it waits");
    send(&first, libc::SIGINT);
    let said: Vec<String> = (0..4).map(|_| first_says()).collect();
    assert!(said.contains(&"interrupted".to_owned()), "{said:?}");
    end_of(&mut first);
}

#[test]
fn whoever_waits_for_the_same_secret_is_answered_though_the_first_reader_was_killed() {
    let world = World::new();
    let _daemon = world.mount();
    world.cloud.proxy.set("GetSecretValue", Fault::Delay(std::time::Duration::from_millis(1500)));
    let mut first = cat(&world.file("db"));
    world.until_it_hangs();
    let (_second, mut second_says) = reader(&world.file("db"));
    send(&first, libc::SIGKILL);
    end_of(&mut first);
    assert_eq!(second_says(), "read value");
    assert_eq!(world.cloud.proxy.calls("GetSecretValue"), 1);
}

#[test]
fn whoever_is_killed_while_it_waits_leaves_nothing_open() {
    let world = World::new();
    let _daemon = world.mount();
    let mut readers: Vec<Guarded> = (0..20).map(|_| cat(&world.file("db"))).collect();
    world.until_it_hangs();
    // All of them: the kernel has those who look up the same name wait for the first, and not for us.
    readers.iter().for_each(|reader| send(reader, libc::SIGKILL));
    for reader in &mut readers {
        end_of(reader);
    }
    assert_eq!(world.place.status()["open"], 0);
    assert_eq!(std::fs::read(world.file("known")).unwrap(), b"value", "and the mount answers");
}
