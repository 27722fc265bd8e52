//! Readers that trust st_size, seek, read in pieces or keep several descriptors open get the same bytes as
//! `cat`, whether or not the value was in memory.

mod system_calls;
mod table;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::daemon::Place;
use crate::support::missing;
use crate::support::plain::PlainStore;
use table::{Expected, How, READERS, Reader};

/// Values by name.
pub fn values() -> Vec<(&'static str, Vec<u8>)> {
    let binary = |length: usize| -> Vec<u8> { (0..length).map(|at| (at * 31 + at / 251) as u8).collect() };
    vec![
        ("empty", Vec::new()),
        ("one-byte", b"x".to_vec()),
        ("newline", b"\n".to_vec()),
        ("text", b"no newline at the end".to_vec()),
        ("line", b"a newline at the end\n".to_vec()),
        ("lines", b"one\n\ntwo\n\n\n".to_vec()),
        ("nuls", b"\0a\0\0b\xff\xfe\n\0".to_vec()),
        ("4095", binary(4095)),
        ("4096", binary(4096)),
        ("4097", binary(4097)),
        ("64KiB", binary(64 << 10)),
        ("1MiB", binary(1 << 20)),
    ]
}

impl Expected {
    fn of(self, value: &[u8]) -> Vec<u8> {
        match self {
            Self::Same => value.to_vec(),
            Self::Variable => {
                let mut kept: Vec<u8> = value.iter().copied().filter(|&byte| byte != 0).collect();
                while kept.last() == Some(&b'\n') {
                    kept.pop();
                }
                kept
            }
            Self::Length => format!("{}\n", value.len()).into_bytes(),
            Self::NotEmpty => if value.is_empty() { "no\n" } else { "yes\n" }.into(),
            Self::Last(count) => value[value.len().saturating_sub(count)..].to_vec(),
            Self::Without(count) => value[count.min(value.len())..].to_vec(),
        }
    }
}

impl Reader {
    fn command(&self) -> Command {
        for (program, package) in self.needs {
            missing::program(program, package);
        }
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/readers");
        match self.how {
            How::Script(shell, script) => {
                let each = format!("set -eu\nwhile [ $# -gt 0 ]; do\n{script}\nshift 3\ndone");
                let mut command = Command::new(shell);
                command.args(["-c", &each, shell]);
                command
            }
            How::Program(file, way) => {
                let mut command = Command::new(match file {
                    "read.py" => "python3",
                    "read.mjs" => "node",
                    _ => "java",
                });
                if file == "Read.java" {
                    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
                }
                command.arg(beside.join(file)).arg(way);
                command
            }
        }
    }

    fn slug(&self) -> String {
        self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    }
}

/// A mount with a secret for each reader and value.
struct Library {
    place: Place,
    store: PlainStore,
    values: Vec<(&'static str, Vec<u8>)>,
}

impl Library {
    fn new() -> Self {
        let place = Place::new();
        let store = PlainStore::new(place.path(), "store");
        std::fs::create_dir(place.path().join("out")).unwrap();
        Self { place, store, values: values() }
    }

    fn fill(&self, readers: &[&Reader]) {
        for reader in readers {
            for (name, value) in &self.values {
                self.store.put(&format!("{}/{name}", reader.slug()), value);
            }
        }
    }

    /// Lets a reader read all its values; what it got wrong, in words.
    fn read(&self, reader: &Reader, state: &str) -> Vec<String> {
        let output =
            |name: &str| -> PathBuf { self.place.path().join("out").join(format!("{}-{name}", reader.slug())) };
        let mut command = reader.command();
        for (name, _) in &self.values {
            let secret = format!("{}/{name}", reader.slug());
            let _ = std::fs::remove_dir_all(output(name).with_extension("d"));
            let _ = std::fs::remove_file(output(name));
            command.arg(self.place.mnt().join("prod").join(&secret).join("value"));
            command.arg(output(name)).arg(self.store.path.join(&secret));
        }
        let run = command.stdin(Stdio::null()).output().unwrap();
        let mut wrong = Vec::new();
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            wrong.push(format!("{} ({state}): {}: {}", reader.name, run.status, said.trim()));
        }
        for (name, value) in &self.values {
            let got = std::fs::read(output(name));
            let expected = reader.expected.of(value);
            if !got.as_ref().is_ok_and(|got| *got == expected) {
                let length = got.map(|got| got.len());
                let what = format!("{length:?} bytes or other ones, not the right {}", expected.len());
                wrong.push(format!("{} ({state}): the value `{name}`: {what}", reader.name));
            }
        }
        wrong
    }
}

/// Runs every reader for which `mine` says so: on secrets that nobody has looked at, on those same secrets
/// again, and where every access fetches anew.
fn all_read_the_same(mine: impl Fn(&Reader) -> bool) {
    let readers: Vec<&Reader> = READERS.iter().filter(|reader| mine(reader)).collect();
    assert!(!readers.is_empty());
    let library = Library::new();
    library.fill(&readers);
    let kept = "max_bytes = \"512MiB\"\n";
    let daemon = library.place.mount(&format!("[cache]\n{kept}{}", library.store.scope("prod")));
    let mut wrong = Vec::new();
    let mut fetched = 0;
    for reader in &readers {
        wrong.extend(library.read(reader, "never fetched before"));
        fetched += library.values.len() as u64;
        let first = library.place.calls("prod", "fetch");
        wrong.extend(library.read(reader, "in memory"));
        let second = library.place.calls("prod", "fetch");
        if (first, second) != (fetched, fetched) {
            wrong.push(format!("{}: {fetched} fetches became {first}, then {second}", reader.name));
        }
    }
    assert_eq!(daemon.stop().code(), Some(0));
    let _daemon = library.place.mount(&format!("[cache]\nttl = \"0\"\n{kept}{}", library.store.scope("prod")));
    for reader in &readers {
        wrong.extend(library.read(reader, "fetched at every access"));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn is_of(reader: &Reader, file: &str) -> bool {
    matches!(reader.how, How::Program(of, _) if of == file)
}

#[test]
fn shell_tools_read_the_same_bytes_as_cat() {
    all_read_the_same(|reader| matches!(reader.how, How::Script(..)));
}

#[test]
fn python_reads_the_same_bytes_as_cat() {
    all_read_the_same(|reader| is_of(reader, "read.py"));
}

#[test]
fn node_reads_the_same_bytes_as_cat() {
    all_read_the_same(|reader| is_of(reader, "read.mjs"));
}

#[test]
fn java_reads_the_same_bytes_as_cat() {
    all_read_the_same(|reader| is_of(reader, "Read.java"));
}

#[test]
fn environment_variables_of_a_command_hold_the_value() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"PASSWORD":"it's \"quoted\" $HOME"}"#);
    let _daemon = place.mount(&store.scope("prod"));
    let script = r#"PGPASSWORD="$(cat "$1")" sh -c 'printf %s "$PGPASSWORD"'"#;
    let run = Command::new("sh").args(["-c", script, "sh"]).arg(place.mnt().join("prod/db/PASSWORD")).output();
    assert_eq!(OsString::from_vec(run.unwrap().stdout), r#"it's "quoted" $HOME"#);
}
