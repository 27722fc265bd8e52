//! `hushfs exec` and `hushfs env`: what programs that read their environment get.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use crate::support::child::Guarded;
use crate::support::daemon::{Daemon, HUSHFS, Place, eventually};
use crate::support::store::Store;

const VALUES: &[u8] = br#"{"PASSWORD":"it's $ecret `x` \\ \"q\"","PEM":"one\ntwo\n","EMPTY":"","not-a-name":"x"}"#;

struct World {
    place: Place,
    store: Store,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        let store = Store::new(place.path());
        store.put("db.json.age", VALUES);
        store.put("api.json.age", br#"{"TOKEN":"t0ken"}"#);
        Self { place, store }
    }

    fn mount(&self) -> Daemon<'_> {
        self.place.mount(&self.store.scope("prod"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HUSHFS);
        command.arg("--config").arg(self.place.path().join("hushfs.toml")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_command_finds_the_keys_in_its_environment_and_nothing_in_its_arguments() {
    let world = World::new();
    let _daemon = world.mount();
    let print = "printf '%s|' \"$PASSWORD\" \"$PEM\" \"${EMPTY-unset}\" \"$TOKEN\"; tr '\\0' ' ' </proc/$$/cmdline";
    let output = world.run(&["exec", "--secret", "prod/db", "--secret", "prod/api", "--", "sh", "-c", print]);
    let said = stdout(&output);
    assert!(said.starts_with("it's $ecret `x` \\ \"q\"|one\ntwo\n||t0ken|"), "{said}");
    assert_eq!(said.matches("t0ken").count(), 1, "{said}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("not-a-name") && told.contains("left out") && !told.contains("ecret"), "{told}");

    let one = world.run(&["exec", "--secret", "PGPASSWORD=prod/api/TOKEN", "--", "sh", "-c", "echo $PGPASSWORD$TOKEN"]);
    assert_eq!(stdout(&one), "t0ken\n");
}

#[test]
fn its_exit_status_and_its_signals_are_its_own() {
    let world = World::new();
    let _daemon = world.mount();
    let exec = |command: &[&str]| world.run(&[&["exec", "--secret", "prod/api", "--"], command].concat());
    assert_eq!(exec(&["sh", "-c", "exit 42"]).status.code(), Some(42));
    assert_eq!(exec(&["sh", "-c", "kill -TERM $$"]).status.signal(), Some(libc::SIGTERM));
    assert_eq!(exec(&["/nonexistent"]).status.code(), Some(127));
    assert_eq!(exec(&["/etc/passwd"]).status.code(), Some(126));

    let mut command = world.command(&["exec", "--secret", "prod/api", "--", "sleep", "600"]);
    let mut child = Guarded::spawn(&mut command).unwrap();
    let id = child.0.id();
    eventually("the command runs", || {
        std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name == "sleep\n").then_some(())
    });
    // SAFETY: a signal to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(id.cast_signed(), libc::SIGTERM) }, 0);
    assert_eq!(child.0.wait().unwrap().signal(), Some(libc::SIGTERM));
}

#[test]
fn each_reader_reads_its_format_back_to_the_same_values() {
    let world = World::new();
    let _daemon = world.mount();
    let env = |format: &str| world.run(&["env", "prod/db", "--format", format]);
    let script = "eval \"$(cat)\"; printf '%s|' \"$PASSWORD\" \"$PEM\" \"${EMPTY-unset}\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), &env("sh").stdout).unwrap();
    let read = shell.wait_with_output().unwrap();
    assert_eq!(stdout(&read), "it's $ecret `x` \\ \"q\"|one\ntwo\n||");

    let dotenv = std::fs::read(world.place.mnt().join("prod/db/.env")).unwrap();
    assert_eq!(env("dotenv").stdout, dotenv);
    assert_eq!(env("systemd").stdout, dotenv);
    let json: serde_json::Value = serde_json::from_str(stdout(&env("json"))).unwrap();
    assert_eq!(json["PASSWORD"], "it's $ecret `x` \\ \"q\"");

    assert_eq!(stdout(&world.run(&["env", "prod/api", "--format", "docker"])), "TOKEN=t0ken\n");
    let refused = env("docker");
    assert_eq!(refused.status.code(), Some(65));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("PEM has a line break") && !said.contains("two"), "{said}");
}

#[test]
fn what_cannot_be_had_runs_nothing_and_says_why() {
    let world = World::new();
    let daemon = world.mount();
    let exec = |secrets: &[&str]| {
        let secrets = secrets.iter().flat_map(|secret| ["--secret", secret]);
        let arguments: Vec<&str> = ["exec"].into_iter().chain(secrets).chain(["--", "echo", "ran"]).collect();
        let output = world.run(&arguments);
        assert!(output.stdout.is_empty(), "{output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (secrets, status, said) in [
        (&["prod/none"][..], 66, "cannot read"),
        (&["prod"], 64, "SCOPE/NAME"),
        (&["../etc/passwd"], 64, "SCOPE/NAME"),
        (&["/prod/db"], 64, "SCOPE/NAME"),
        (&["A-B=prod/api/TOKEN"], 64, "environment variable"),
        (&["prod/api/TOKEN"], 64, "is a key, and no secret: hushfs exec --secret TOKEN=prod/api/TOKEN gives"),
        (&["prod/db/not-a-name"], 64, "hushfs exec --secret VARIABLE=prod/db/not-a-name gives"),
        (&["X=prod/api"], 64, "prod/api is no key but a secret, or a folder: X=prod/api/KEY is the form"),
        (&["prod/api", "prod/api"], 64, "TOKEN is given twice"),
        (&["prod/api", "TOKEN=prod/db/PASSWORD"], 64, "TOKEN is given twice"),
    ] {
        let (code, text) = exec(secrets);
        assert_eq!(code, status, "{secrets:?}: {text}");
        assert!(text.contains(said) && !text.contains("$ecret") && !text.contains("t0ken"), "{text}");
    }
    let key = world.run(&["env", "prod/api/TOKEN"]);
    let text = String::from_utf8_lossy(&key.stderr);
    assert_eq!(key.status.code(), Some(64), "{text}");
    assert!(text.contains("is a key, and no secret") && text.contains("and prod/api is the secret"), "{text}");
    daemon.stop();
    let (code, text) = exec(&["prod/api"]);
    assert_eq!(code, 66, "{text}");
    assert!(text.contains("hushfs started"), "{text}");
}
