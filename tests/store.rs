//! `hushfs store` through the real binary, against the real `age`.
#![cfg(feature = "local")]

use std::fs;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::termios::LocalModes;
use tempfile::TempDir;

const AGE: &str = "age is not installed: run the tests with `make test`, or install the package age";
const VALUE: &[u8] = b"hunter2-\x00\xff\r\n";
const TEXT: &str = "correct horse \"battery\" \\ staple é\n";

struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let f = Self { dir: tempfile::tempdir().unwrap() };
        assert_status(&f.run(&["init"], b""), 0);
        f
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("dev")
    }

    fn file(&self, inside: &str) -> PathBuf {
        self.folder().join(inside)
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("keys/dev.key")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hushfs"));
        command.arg("store").arg("--path").arg(self.folder()).arg("--identity").arg(self.key()).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        with_parent(&mut command);
        command
    }

    fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        run(self.command(args), stdin)
    }

    fn ok(&self, args: &[&str], stdin: &[u8]) -> Vec<u8> {
        let output = self.run(args, stdin);
        assert_status(&output, 0);
        output.stdout
    }

    fn edit(&self, name: &str, editor: &str) -> Output {
        let mut command = self.command(&["edit", name]);
        command.env("EDITOR", editor).env_remove("VISUAL");
        run(command, b"")
    }

    /// What the real `age` makes of a file.
    fn decrypted(&self, inside: &str) -> Vec<u8> {
        let output =
            Command::new("age").arg("-d").arg("-i").arg(self.key()).arg(self.file(inside)).output().expect(AGE);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Every file in the folder, hidden ones too.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![self.folder()];
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    found.push(path.strip_prefix(self.folder()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

/// The child ends with the test, even if that is killed.
fn with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing but the child's own attribute.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

fn run(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn assert_status(output: &Output, status: i32) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(!text.contains("panicked") && !text.contains("hunter2") && !text.contains("battery"), "{text}");
    assert!(!text.contains("AGE-SECRET-KEY"), "{text}");
}

#[track_caller]
fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn age_to(recipient: &str, output: &Path, value: &[u8]) {
    let mut command = Command::new("age");
    command.arg("-r").arg(recipient).arg("-o").arg(output).stdin(Stdio::piped());
    assert!(run(command, value).status.success());
}

fn recipient(key: &Path) -> String {
    let output = Command::new("age-keygen").arg("-y").arg(key).output().expect(AGE);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn keygen(path: &Path) -> String {
    assert!(Command::new("age-keygen").arg("-o").arg(path).output().expect(AGE).status.success());
    recipient(path)
}

#[test]
fn init_makes_a_private_folder_and_key_and_prints_a_configuration() {
    let f = Fixture::new();
    assert_eq!(mode(&f.folder()), 0o700);
    assert_eq!(mode(&f.key()), 0o600);
    assert_eq!(mode(f.key().parent().unwrap()), 0o700);
    let before = fs::read(f.key()).unwrap();
    let printed = String::from_utf8(f.ok(&["init"], b"")).unwrap();
    assert_eq!(fs::read(f.key()).unwrap(), before, "an identity was overwritten");
    assert!(printed.contains(&recipient(&f.key())), "{printed}");
    assert!(!printed.contains("AGE-SECRET-KEY"));
    let snippet: toml::Table = printed.parse().unwrap();
    let scope = &snippet["scopes"]["dev"];
    assert_eq!(scope["provider"].as_str(), Some("local"));
    assert_eq!(scope["path"].as_str(), f.folder().to_str());
    assert_eq!(scope["identity"].as_str(), f.key().to_str());
}

#[test]
fn the_configuration_that_init_prints_finds_the_folder() {
    let f = Fixture::new();
    let config = f.dir.path().join("hushfs.toml");
    fs::write(&config, f.ok(&["init"], b"")).unwrap();
    let with_config = |args: &[&str], stdin: &[u8]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hushfs"));
        command.arg("store").arg("--config").arg(&config).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        with_parent(&mut command);
        run(command, stdin)
    };
    assert_status(&with_config(&["set", "db"], VALUE), 0);
    assert_eq!(with_config(&["get", "db", "--scope", "dev"], b"").stdout, VALUE);
    assert_eq!(f.decrypted("db.age"), VALUE);
    assert_status(&with_config(&["get", "db", "--scope", "nobody"], b""), 64);
}

#[test]
fn init_keeps_the_key_out_of_the_folder() {
    let f = Fixture::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hushfs"));
    command.args(["store", "init", "--path"]).arg(f.folder()).arg("--identity").arg(f.file("sub/key"));
    let output = command.output().unwrap();
    assert_status(&output, 64);
    assert!(!f.file("sub").exists() && !f.file("sub/key").exists());
}

#[test]
fn what_is_set_is_read_back_exactly_here_and_by_age() {
    let f = Fixture::new();
    let large = vec![b'x'; 1 << 20];
    for value in [VALUE, b"", b"\n", &large] {
        f.ok(&["set", "team/db"], value);
        assert_eq!(f.ok(&["get", "team/db"], b""), value);
        assert_eq!(f.decrypted("team/db.age"), value);
    }
    assert_eq!(mode(&f.file("team")), 0o700);
    assert_eq!(mode(&f.file("team/db.age")), 0o600);
    assert_eq!(f.files(), ["team/db.age"]);
}

#[test]
fn files_made_by_age_are_read_and_keep_their_mode_when_changed() {
    let f = Fixture::new();
    age_to(&recipient(&f.key()), &f.file("made.json.age"), br#"{"b": 1.50, "a": {"x" : [1, 2]}, "n": null}"#);
    fs::set_permissions(f.file("made.json.age"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(f.ok(&["get", "made", "b"], b""), b"1.50");
    assert_eq!(f.ok(&["get", "made", "a"], b""), br#"{"x":[1,2]}"#);
    assert_eq!(f.ok(&["get", "made", "n"], b""), b"");
    f.ok(&["set", "made", "b"], TEXT.as_bytes());
    assert_eq!(f.ok(&["get", "made", "b"], b""), TEXT.as_bytes());
    assert_eq!(mode(&f.file("made.json.age")), 0o640);
    let text = String::from_utf8(f.decrypted("made.json.age")).unwrap();
    assert!(text.find("\"b\"").unwrap() < text.find("\"a\"").unwrap(), "fields moved: {text}");
}

#[test]
fn fields_are_added_changed_and_removed() {
    let f = Fixture::new();
    f.ok(&["set", "db", "user"], b"u");
    f.ok(&["set", "db", "password"], TEXT.as_bytes());
    f.ok(&["set", "db", "port", "--json"], b"5432");
    assert_eq!(f.ok(&["get", "db", "password"], b""), TEXT.as_bytes());
    let object: serde_json::Value = serde_json::from_slice(&f.decrypted("db.json.age")).unwrap();
    assert_eq!(object, serde_json::json!({ "user": "u", "password": TEXT, "port": 5432 }));
    f.ok(&["rm", "db", "user"], b"");
    assert_status(&f.run(&["get", "db", "user"], b""), 66);
    assert_status(&f.run(&["rm", "db", "user"], b""), 66);
    assert_eq!(f.ok(&["get", "db", "port"], b""), b"5432");
    let refused = f.run(&["set", "db", "binary"], VALUE);
    assert_status(&refused, 65);
    assert!(stderr(&refused).contains("UTF-8"));
    assert_status(&f.run(&["set", "db", "port", "--json"], b"not json hunter2"), 65);
    assert_eq!(f.ok(&["get", "db", "port"], b""), b"5432");
}

#[test]
fn a_newline_at_the_end_is_kept_and_spoken_of() {
    let f = Fixture::new();
    let said = |stdin: &[u8]| String::from_utf8(f.run(&["set", "db", "PASSWORD"], stdin).stderr).unwrap();
    assert!(said(b"hunter2\n").contains("ends in a newline"));
    assert_eq!(f.ok(&["get", "db", "PASSWORD"], b""), b"hunter2\n");
    for plain in [&b"hunter2"[..], b"two\nlines\n", b""] {
        assert_eq!(said(plain), "");
    }
}

#[test]
fn a_field_is_not_set_where_it_cannot_be() {
    let f = Fixture::new();
    f.ok(&["set", "bytes"], VALUE);
    f.ok(&["import", "-", "--name", "env", "--format", "env"], b"A=1\n");
    f.ok(&["import", "-", "--name", "list", "--format", "json"], b"[1]");
    for name in ["bytes", "env", "list"] {
        assert_status(&f.run(&["set", name, "key"], b"x"), 65);
    }
    assert_eq!(f.ok(&["get", "bytes"], b""), VALUE);
    let refused = f.run(&["set", "env"], b"x");
    assert_status(&refused, 73);
    assert!(stderr(&refused).contains("store rm"));
    assert_eq!(f.files(), ["bytes.age", "env.env.age", "list.json.age"]);
}

#[test]
fn whole_json_is_checked() {
    let f = Fixture::new();
    f.ok(&["set", "db", "--json"], br#"{"a":1}"#);
    assert_eq!(f.decrypted("db.json.age"), br#"{"a":1}"#);
    for bad in [&b"[1]"[..], b"hunter2", b"", b"{\"hunter2\":"] {
        assert_status(&f.run(&["set", "db", "--json"], bad), 65);
    }
    assert_eq!(f.ok(&["get", "db", "a"], b""), b"1");
}

#[test]
fn a_value_in_the_arguments_is_refused_and_not_repeated() {
    let f = Fixture::new();
    for args in [&["set", "db", "key", "hunter2"][..], &["set", "db", "key", "x", "hunter2"]] {
        let refused = f.run(args, b"");
        assert_status(&refused, 64);
        assert!(stderr(&refused).contains("process list"));
    }
    for option in ["--value=hunter2", "-punter2", "--json=hunter2"] {
        assert_status(&f.run(&["set", "db", "key", option], b""), 64);
    }
    assert!(f.files().is_empty());
}

/// A terminal of its own for one command.
struct Terminal {
    child: Child,
    master: fs::File,
    shown: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        let (mut master, mut slave) = (0, 0);
        let null = std::ptr::null_mut();
        // SAFETY: both pointers are to integers of ours; the others may be null.
        assert_eq!(unsafe { libc::openpty(&mut master, &mut slave, null, null.cast(), null.cast()) }, 0);
        // SAFETY: openpty has just made these descriptors, and nothing else owns them.
        let (master, slave) = unsafe { (fs::File::from_raw_fd(master), fs::File::from_raw_fd(slave)) };
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        // SAFETY: both calls are async-signal-safe and about the child alone.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(std::io::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The command still holds the terminal's other end; the reader ends when nobody has it.
        drop(command);
        let shown = Arc::new(Mutex::new(String::new()));
        let (to, mut from) = (Arc::clone(&shown), master.try_clone().unwrap());
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self { child, master, shown, reader }
    }

    /// Types a line once `prompt` is there and, if told so, the terminal has stopped to show what is typed.
    fn answer(&mut self, prompt: &str, hidden: bool, line: &str) {
        self.wait_for(prompt, hidden);
        self.master.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn wait_for(&mut self, prompt: &str, hidden: bool) {
        while self.child.try_wait().unwrap().is_none() {
            // First the prompt: what the terminal does before it is there says nothing of what it does then.
            let is_asked = self.shown.lock().unwrap().contains(prompt);
            let echo = rustix::termios::tcgetattr(&self.master).unwrap().local_modes.contains(LocalModes::ECHO);
            if is_asked && echo != hidden {
                return;
            }
            std::thread::yield_now();
        }
        panic!("it ended without asking `{prompt}`: {}", self.shown.lock().unwrap());
    }

    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap().code();
        self.reader.join().unwrap();
        let shown = self.shown.lock().unwrap().clone();
        assert!(!shown.contains("hunter2"), "{shown}");
        (status, shown)
    }
}

#[test]
fn a_value_is_typed_twice_on_a_terminal_and_never_shown() {
    let f = Fixture::new();
    let typed = |again: &str| {
        let mut terminal = Terminal::run(f.command(&["set", "typed"]));
        terminal.answer("Value of typed: ", true, "hunter2");
        terminal.answer("again: ", true, again);
        terminal.end().0
    };
    assert_eq!(typed("hunter3"), Some(65));
    assert!(f.files().is_empty());
    assert_eq!(typed("hunter2"), Some(0));
    assert_eq!(f.ok(&["get", "typed"], b""), b"hunter2");
}

/// The command below a shell that says on the terminal how it ended and what the terminal does then. The shell's own end
/// would have the kernel put the terminal in order.
fn below_a_shell(command: &Command, options: &str, and_then: &str) -> Command {
    let script = format!("trap : INT TERM HUP QUIT; \"$@\"; echo \"status $?\"; stty -a; {and_then}");
    let mut shell = Command::new("bash");
    shell.arg(options).arg(script).arg("sh").arg(command.get_program()).args(command.get_args());
    with_parent(&mut shell);
    shell
}

/// The words of `stty -a`.
fn shows_what_is_typed(shown: &str) -> bool {
    let mut words = shown.split_whitespace().filter(|word| matches!(*word, "echo" | "-echo"));
    words.next() == Some("echo")
}

#[test]
fn a_prompt_that_ends_by_a_signal_leaves_a_terminal_that_shows_what_is_typed() {
    use rustix::process::{Signal, kill_process_group};
    let f = Fixture::new();
    for (signal, status) in [
        (None, 130),
        (Some(Signal::INT), 130),
        (Some(Signal::TERM), 143),
        (Some(Signal::HUP), 129),
        (Some(Signal::QUIT), 131),
    ] {
        let mut terminal = Terminal::run(below_a_shell(&f.command(&["set", "typed"]), "-c", ":"));
        terminal.wait_for("Value of typed: ", true);
        match signal {
            // What ^C is to a terminal.
            None => terminal.master.write_all(b"\x03").unwrap(),
            Some(signal) => kill_process_group(rustix::termios::tcgetpgrp(&terminal.master).unwrap(), signal).unwrap(),
        }
        let (_, shown) = terminal.end();
        assert!(shown.contains(&format!("status {status}")), "{signal:?}: {shown}");
        assert!(shows_what_is_typed(&shown), "{signal:?}: {shown}");
    }
    assert!(f.files().is_empty());
}

#[test]
fn a_prompt_that_is_stopped_shows_what_is_typed_until_it_goes_on() {
    use rustix::process::{Signal, kill_process_group};
    // In the background it stops by itself.
    let until_it_has = "until jobs | grep -q Stopped; do sleep 0.1; done";
    for goes_on in ["fg; echo over", &format!("bg; {until_it_has}; fg; echo over")] {
        let f = Fixture::new();
        let mut terminal = Terminal::run(below_a_shell(&f.command(&["set", "typed"]), "-mc", goes_on));
        terminal.wait_for("Value of typed: ", true);
        kill_process_group(rustix::termios::tcgetpgrp(&terminal.master).unwrap(), Signal::TSTP).unwrap();
        // The last word of `stty`.
        terminal.answer("-extproc", true, "hunter2");
        terminal.answer("again: ", true, "hunter2");
        let (_, shown) = terminal.end();
        assert!(shown.contains("status 148") && shows_what_is_typed(&shown), "{shown}");
        assert_eq!(f.ok(&["get", "typed"], b""), b"hunter2");
    }
}

#[test]
fn a_prompt_that_is_stopped_can_be_ended() {
    use rustix::process::{Signal, kill_process_group};
    let f = Fixture::new();
    // What `kill %1` is where people type.
    let ends = "kill -TERM %1; kill -CONT %1; wait -f %1; echo ended $?";
    let mut terminal = Terminal::run(below_a_shell(&f.command(&["set", "typed"]), "-mc", ends));
    terminal.wait_for("Value of typed: ", true);
    kill_process_group(rustix::termios::tcgetpgrp(&terminal.master).unwrap(), Signal::TSTP).unwrap();
    let (_, shown) = terminal.end();
    assert!(shown.contains("status 148") && shown.contains("ended 143"), "{shown}");
    assert!(shows_what_is_typed(&shown) && f.files().is_empty(), "{shown}");
}

#[test]
fn the_key_of_a_configured_scope_is_made_whatever_is_missing_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let scope = |name: &str| {
        let (folder, key) = (at(name), at(&format!("keys/{name}.key")));
        format!("[scopes.{name}]\nprovider = \"local\"\npath = {folder:?}\nidentity = {key:?}\n")
    };
    fs::write(at("hushfs.toml"), format!("mountpoint = {:?}\n{}{}", at("mnt"), scope("dev"), scope("other"))).unwrap();
    let hushfs = |args: &[&str], stdin: &[u8]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hushfs"));
        command.args(args).arg("--config").arg(at("hushfs.toml"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        with_parent(&mut command);
        run(command, stdin)
    };
    let says = |args: &[&str]| {
        let output = hushfs(args, b"");
        assert_status(&output, 78);
        stderr(&output)
    };
    let said = says(&["check"]);
    assert!(said.contains("`hushfs store init --scope dev` makes it"), "{said}");
    assert_status(&hushfs(&["store", "init", "--scope", "dev"], b""), 0);
    assert!(at("keys/dev.key").exists() && !at("keys/other.key").exists());
    assert_status(&hushfs(&["store", "set", "db", "--scope", "dev"], b"word"), 0);
    assert_eq!(hushfs(&["store", "get", "db", "--scope", "dev"], b"").stdout, b"word");
    for command in ["check", "mount"] {
        let said = says(&[command]);
        assert!(said.contains("--scope other` makes it") && !said.contains("--scope dev"), "{command}: {said}");
    }
    // Without its key nothing is read or written.
    let refused = hushfs(&["store", "set", "db", "--scope", "other"], b"word");
    assert_eq!((refused.status.success(), at("other/db.age").exists()), (false, false));
}

#[test]
fn binary_is_not_written_to_a_terminal() {
    let f = Fixture::new();
    f.ok(&["set", "binary"], b"\x1b[2Jhunter2");
    f.ok(&["set", "text"], b"plain words");
    assert_eq!(Terminal::run(f.command(&["get", "binary"])).end().0, Some(65));
    let (status, shown) = Terminal::run(f.command(&["get", "text"])).end();
    assert_eq!((status, &*shown), (Some(0), "plain words"));
}

#[test]
fn on_a_terminal_a_removal_is_asked_for() {
    let f = Fixture::new();
    f.ok(&["set", "db"], b"x");
    for (answer, status) in [("n", 64), ("", 64), ("y", 0)] {
        assert_eq!(f.files(), ["db.age"]);
        let mut terminal = Terminal::run(f.command(&["rm", "db"]));
        terminal.answer("remove `db`?", false, answer);
        assert_eq!(terminal.end().0, Some(status));
    }
    assert!(f.files().is_empty());
    f.ok(&["set", "db"], b"x");
    assert_eq!(Terminal::run(f.command(&["rm", "db", "--yes"])).end().0, Some(0));
}

#[test]
fn lists_are_sorted_and_say_what_is_left_out() {
    let f = Fixture::new();
    f.ok(&["set", "b"], b"x");
    f.ok(&["set", "a/c"], b"x");
    fs::write(f.file("plain.json"), "{\"p\":\"hunter2\"}").unwrap();
    let output = f.run(&["list"], b"");
    assert_status(&output, 0);
    assert_eq!(output.stdout, b"a/c\nb\n");
    assert!(stderr(&output).contains("plain.json"));
    let listing: serde_json::Value = serde_json::from_slice(&f.ok(&["list", "--json"], b"")).unwrap();
    assert_eq!(listing["secrets"][0]["name"], "a/c");
    assert!(listing["secrets"][0]["changed"].as_str().unwrap().ends_with('Z'));
    assert_eq!(listing["left_out"][0]["file"], "plain.json");
}

#[test]
fn a_removed_secret_is_gone_with_its_duplicates_and_empty_folders() {
    let f = Fixture::new();
    f.ok(&["set", "a/b/c"], b"x");
    age_to(&recipient(&f.key()), &f.file("a/b/c.json.age"), b"{}");
    f.ok(&["set", "a/other"], b"x");
    f.ok(&["rm", "a/b/c"], b"");
    assert_status(&f.run(&["get", "a/b/c"], b""), 66);
    assert_eq!(f.files(), ["a/other.age"]);
    assert!(!f.file("a/b").exists());
    assert_status(&f.run(&["rm", "a/b/c"], b""), 66);
    f.ok(&["rm", "a/other", "--yes"], b"");
    assert!(f.folder().exists() && !f.file("a").exists());
}

#[test]
fn imports_take_name_and_format_from_the_file() {
    let f = Fixture::new();
    let source = |file: &str, bytes: &[u8]| {
        let path = f.dir.path().join(file);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    f.ok(&["import", &source("db.json", b"{\"a\":1}")], b"");
    f.ok(&["import", &source("app.env", b"A='x'\n")], b"");
    f.ok(&["import", &source("conf.yml", b"port: 0o14\n")], b"");
    f.ok(&["import", &source("cert.pem", VALUE)], b"");
    assert_eq!(f.files(), ["app.env.age", "cert.pem.age", "conf.yaml.age", "db.json.age"]);
    assert_eq!(f.decrypted("cert.pem.age"), VALUE);
    assert_eq!(f.ok(&["get", "app", "A"], b""), b"x");
    assert_eq!(f.ok(&["get", "conf", "port"], b""), b"0o14");

    let again = source("db.json", b"{\"a\":2}");
    let refused = f.run(&["import", &again], b"");
    assert_status(&refused, 73);
    assert!(stderr(&refused).contains("--force"));
    assert_eq!(f.ok(&["get", "db", "a"], b""), b"1");
    f.ok(&["import", &again, "--force"], b"");
    assert_eq!(f.ok(&["get", "db", "a"], b""), b"2");
    f.ok(&["import", "-", "--name", "db", "--format", "yaml", "--force"], b"a: 3\n");
    assert_eq!(f.ok(&["get", "db", "a"], b""), b"3");
    assert!(!f.file("db.json.age").exists(), "the replaced secret is still there");
}

#[test]
fn what_could_not_be_served_is_not_imported() {
    let f = Fixture::new();
    let import = |format: &str, bytes: &[u8]| {
        let output = f.run(&["import", "-", "--name", "x", "--format", format], bytes);
        assert_status(&output, 65);
        stderr(&output)
    };
    assert!(import("json", b"{\n\"hunter2\"").contains("line 2"));
    assert!(import("env", b"A=1\nhunter2 hunter2").contains("line 2"));
    assert!(import("yaml", b"a: [hunter2").contains("line"));
    assert!(import("json", br#"{"a":"ENC[x]","sops":{"mac":"ENC[y]"}}"#).contains("sops -d"));
    f.ok(&["set", "ok"], b"x");
    assert!(import("bytes", &fs::read(f.file("ok.age")).unwrap()).contains("age file already"));
    import("bytes", &vec![0; (1 << 20) + 1]);
    assert_eq!(f.files(), ["ok.age"]);
    assert_status(&f.run(&["import", "-"], b"x"), 64);
    assert_status(&f.run(&["import", "/nonexistent/file"], b""), 66);
}

#[test]
fn names_that_would_lead_astray_are_refused() {
    let f = Fixture::new();
    for name in ["../x", "/etc/x", "a/../b", "a//b", ".hidden", "a/.b", "", "a/", "x\ny", "x.json", "y.env"] {
        let refused = f.run(&["set", name], b"hunter2");
        assert_status(&refused, 64);
        assert_status(&f.run(&["get", name], b""), 66);
    }
    assert!(f.files().is_empty());
    assert_eq!(fs::read_dir(f.dir.path()).unwrap().count(), 2);
    for name in ["with space", "é", "-- dash", "100%", "@at", "x.age", "cert.pem", "quote'\"", "$HOME"] {
        f.ok(&["set", "--", name], name.as_bytes());
        assert_eq!(f.ok(&["get", "--", name], b""), name.as_bytes());
    }
    assert_status(&f.run(&["set", &"x".repeat(300)], b"x"), 74);
}

#[test]
fn nothing_is_written_through_a_link_out_of_the_folder() {
    let f = Fixture::new();
    let outside = f.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, f.file("link")).unwrap();
    symlink(outside.join("file.age"), f.file("file.age")).unwrap();
    assert_ne!(f.run(&["set", "link/x"], b"hunter2").status.code(), Some(0));
    f.ok(&["set", "file"], b"x");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(f.ok(&["get", "file"], b""), b"x");
}

#[test]
fn concurrent_sets_lose_nothing() {
    let f = Fixture::new();
    let keys: Vec<String> = (0..24).map(|i| format!("key{i}")).collect();
    let children: Vec<Child> = keys
        .iter()
        .map(|key| {
            let mut child = f.command(&["set", "db", key]).spawn().unwrap();
            child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
            child
        })
        .collect();
    for child in children {
        assert_status(&child.wait_with_output().unwrap(), 0);
    }
    let object: serde_json::Value = serde_json::from_slice(&f.decrypted("db.json.age")).unwrap();
    for key in &keys {
        assert_eq!(object[key], *key);
    }
    assert_eq!(f.files(), ["db.json.age"]);
}

#[test]
fn the_folders_recipients_come_before_the_identitys_own() {
    let f = Fixture::new();
    let colleague = f.dir.path().join("colleague");
    let theirs = keygen(&colleague);
    fs::write(f.file(".age-recipients"), format!("# us\n{theirs}\n\n{}\n", recipient(&f.key()))).unwrap();
    f.ok(&["set", "shared"], VALUE);
    assert_eq!(f.decrypted("shared.age"), VALUE);
    let output = Command::new("age").arg("-d").arg("-i").arg(&colleague).arg(f.file("shared.age")).output().expect(AGE);
    assert_eq!(output.stdout, VALUE);
    assert_eq!(f.ok(&["list"], b""), b"shared\n");

    fs::write(f.file(".age-recipients"), "age1hunter2\n").unwrap();
    let refused = f.run(&["set", "shared"], b"x");
    assert_status(&refused, 65);
    assert!(stderr(&refused).contains("line 1"));
    fs::write(f.file(".age-recipients"), format!("{theirs}\n")).unwrap();
    f.ok(&["set", "theirs"], b"x");
    assert_status(&f.run(&["get", "theirs"], b""), 77);
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let f = Fixture::new();
    f.ok(&["set", "good"], &[b'x'; 200_000]);
    let bytes = fs::read(f.file("good.age")).unwrap();
    fs::write(f.file("cut.age"), &bytes[..100_000]).unwrap();
    fs::write(f.file("text.age"), "not age").unwrap();
    fs::write(f.file("huge.age"), vec![0; 4 << 20]).unwrap();
    age_to(&keygen(&f.dir.path().join("other")), &f.file("other.age"), b"x");
    for (name, status) in [("cut", 65), ("text", 65), ("huge", 65), ("other", 77), ("nobody", 66)] {
        let refused = f.run(&["get", name], b"");
        assert_status(&refused, status);
        assert!(refused.stdout.is_empty() && stderr(&refused).contains(name));
    }
    fs::set_permissions(f.key(), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = f.run(&["get", "good"], b"");
    assert_status(&refused, 77);
    assert!(stderr(&refused).contains("chmod 600"));
    fs::remove_dir_all(f.folder()).unwrap();
    let refused = f.run(&["list"], b"");
    assert_status(&refused, 66);
    assert!(stderr(&refused).contains("store init"));
}

#[test]
fn an_edit_is_encrypted_again_and_leaves_no_plaintext() {
    let f = Fixture::new();
    f.ok(&["set", "db", "word"], b"old");
    let seen = f.dir.path().join("seen");
    let script = f.dir.path().join("editor");
    let lines = [
        &format!("exec > '{}'", seen.display()),
        "echo \"$1\"; stat -f -c %T \"$1\"; stat -c %a \"$1\"",
        "sed -i s/old/new/ \"$1\"; cp \"$1\" \"$1~\"",
    ];
    fs::write(&script, lines.join("\n")).unwrap();
    assert_status(&f.edit("db", &format!("sh '{}'", script.display())), 0);
    assert_eq!(f.ok(&["get", "db", "word"], b""), b"new");
    let seen = fs::read_to_string(seen).unwrap();
    let mut words = seen.split_whitespace();
    let path = Path::new(words.next().unwrap()).to_owned();
    assert_eq!(path.file_name().unwrap(), "db.json");
    assert_eq!(words.next(), Some("tmpfs"));
    assert_eq!(words.next(), Some("600"));
    assert!(!path.parent().unwrap().exists(), "the plaintext is still there");
}

#[test]
fn an_edit_that_changes_nothing_or_fails_leaves_the_secret_alone() {
    let f = Fixture::new();
    f.ok(&["set", "db", "word"], b"old");
    let before = fs::read(f.file("db.json.age")).unwrap();
    assert_status(&f.edit("db", "true"), 0);
    assert_status(&f.edit("db", "false"), 69);
    assert_status(&f.edit("db", "/nonexistent/editor"), 69);
    assert_status(&f.edit("db", "rm"), 66);
    assert_status(&f.edit("db", "sh -c 'echo hunter2 > $0'"), 65);
    assert_eq!(fs::read(f.file("db.json.age")).unwrap(), before);
    assert_status(&f.edit("nobody", "true"), 66);
    let hushfs = env!("CARGO_BIN_EXE_hushfs");
    let meanwhile = format!(
        "sed -i s/old/mine/ \"$1\"; printf theirs | '{hushfs}' store --path '{}' --identity '{}' set db word; :",
        f.folder().display(),
        f.key().display()
    );
    let script = f.dir.path().join("editor");
    fs::write(&script, meanwhile).unwrap();
    assert_status(&f.edit("db", &format!("sh '{}'", script.display())), 65);
    assert_eq!(f.ok(&["get", "db", "word"], b""), b"theirs");
}

#[test]
fn an_interrupted_edit_removes_its_plaintext() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let f = Fixture::new();
        f.ok(&["set", "db"], b"hunter2");
        let ready = f.dir.path().join("ready");
        rustix::fs::mknodat(rustix::fs::CWD, &ready, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(fs::metadata(&ready).unwrap().file_type().is_fifo());
        let script = f.dir.path().join("editor");
        fs::write(&script, format!("printf %s \"$1\" > '{}'; exec sleep 60", ready.display())).unwrap();
        let mut command = f.command(&["edit", "db"]);
        command.env("EDITOR", format!("sh '{}'", script.display())).env_remove("VISUAL").stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let plaintext = PathBuf::from(fs::read_to_string(&ready).unwrap());
        assert_eq!(fs::read(&plaintext).unwrap(), b"hunter2");
        // SAFETY: the child has not been waited for, so the id is its own.
        assert_eq!(unsafe { libc::kill(child.id().cast_signed(), signal) }, 0);
        let output = child.wait_with_output().unwrap();
        assert_status(&output, 69);
        assert!(!plaintext.parent().unwrap().exists(), "the plaintext is still there");
        assert_eq!(f.ok(&["get", "db"], b""), b"hunter2");
    }
}

#[test]
fn an_edit_is_refused_where_no_memory_file_system_is() {
    let f = Fixture::new();
    f.ok(&["set", "db"], b"hunter2");
    // A root where /dev/shm is a disk would be needed to see the refusal; the variable alone must not be
    // enough to have the plaintext put on one.
    let mut command = f.command(&["edit", "db"]);
    command.env("EDITOR", "sh -c 'case $0 in /dev/shm/*) exit 0;; *) exit 1;; esac'").env_remove("VISUAL");
    command.env("XDG_RUNTIME_DIR", "/proc");
    assert_status(&run(command, b""), 0);
}
