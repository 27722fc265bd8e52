//! The `.env` rendering, read back by the programs it is for.
//!
//! These are dash, bash, python-dotenv and npm's dotenv. The last two are those that `make test-tools`
//! installs, unless a variable names others:
//!
//! - `HUSHFS_TEST_DOTENV_PYTHON`: a Python interpreter that has python-dotenv;
//! - `HUSHFS_TEST_DOTENV_NODE`: a `node_modules` directory that has dotenv.

#[path = "support/missing.rs"]
mod missing;

use std::fs;
use std::path::Path;
use std::process::Command;

use hushfs::config::Format;
use hushfs::secret::Secret;
use hushfs::tree::{keys, render};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Values that every reader must get right.
const PORTABLE: &[&str] = &[
    "",
    " ",
    " a b ",
    "a#b # c",
    "=",
    "export A=b",
    "\"quoted\"",
    "`tick`",
    "$HOME $(id) `id` $1 $$",
    "100%",
    "!history !!",
    "one\ntwo\n",
    "\n",
    "\n\nV0=injected\n# comment\n",
    "tab\there",
    r"a\nb",
    r"C:\dir\file",
    r#"{"a":"b\"c"}"#,
    "it's",
    "'",
    "'quoted'",
    "it's\n'two' lines # no comment\n",
    "caf\u{e9} cafe\u{301} \u{1f511} \u{2028} \u{a0}",
    "\u{1}\u{2}\u{7f}\u{81}\u{85}",
    "-----BEGIN PRIVATE KEY-----\nMIIB/+==\n-----END PRIVATE KEY-----\n",
];

/// Values with no spelling that all read alike: shells must get them right, the others no worse than
/// losing these.
const FOR_SHELLS: &[&str] = &[
    r"ends in \",
    r"\\server\share",
    "it's \"both\"",
    "it's $HOME",
    "it's `id`",
    r"it's a \ backslash",
    r"'\",
    r"'\\",
    r"\'",
    "'\"\\`$",
    "it's\n\"$(id)\"\nV0=injected\n",
    "${HOME}",
    "it's ${HOME:-x}",
    "carriage\r\nreturn\r",
    "it's\r",
];

/// The rendering of `values` as keys V0, V1 …
fn env_file(values: &[&str]) -> Vec<u8> {
    let native = values
        .iter()
        .enumerate()
        .map(|(at, value)| (format!("V{at}"), Secret::copy_from(value.as_bytes()).unwrap()))
        .collect();
    let empty = Secret::copy_from(b"").unwrap();
    let keys = keys::split(&empty, Some(native), Format::Auto).unwrap_or_else(|error| panic!("{error}"));
    render::env(&keys).unwrap().expose().to_vec()
}

/// What `command` prints for each name, given the file and the names as its last arguments.
fn read_back(mut command: Command, file: &Path, count: usize) -> Vec<String> {
    let names = (0..count).map(|at| format!("V{at}"));
    let output = command.arg(file).args(names).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    assert_eq!(errors, "", "{command:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut values: Vec<String> = text.split('\0').map(str::to_owned).collect();
    assert_eq!(values.pop().as_deref(), Some(""), "every value ends in a NUL");
    values
}

fn shells() -> Vec<Command> {
    let script = r#"set -eu; . "$1"; shift; for name; do eval "printf '%s\\0' \"\$$name\""; done"#;
    missing::program("dash", "dash");
    missing::program("bash", "bash");
    let mut commands = Vec::new();
    for (shell, options) in [("dash", &[][..]), ("bash", &[]), ("bash", &["--posix"])] {
        for locale in ["C", "C.UTF-8"] {
            let mut command = Command::new(shell);
            command.args(options).args(["-c", script, shell]).env("LC_ALL", locale);
            commands.push(command);
        }
    }
    commands
}

fn dotenv_readers() -> Vec<Command> {
    let script = "import sys, dotenv\n\
        read = dotenv.dotenv_values(sys.argv[1])\n\
        for name in sys.argv[2:]: sys.stdout.buffer.write((read.get(name) or '').encode() + b'\\0')";
    let mut python = Command::new(missing::tool("HUSHFS_TEST_DOTENV_PYTHON", "venv/bin/python"));
    // The warnings that it logs are about lines that it is told are not for it.
    python.args(["-c", &format!("import logging; logging.disable()\n{script}")]);

    missing::program("node", "nodejs");
    let script = "const [modules, file, ...names] = process.argv.slice(1);\n\
        const read = require(modules + '/dotenv').parse(require('fs').readFileSync(file));\n\
        process.stdout.write(names.map(name => (read[name] ?? '') + '\\0').join(''));";
    let mut node = Command::new("node");
    node.args(["-e", script, "--"]).arg(missing::tool("HUSHFS_TEST_DOTENV_NODE", "node_modules"));
    vec![python, node]
}

/// Do shells read every value back, and the dotenv readers all that the file does not say is not theirs?
fn check(values: &[&str], shells: Vec<Command>, dotenv_readers: Vec<Command>) -> Result<(), TestCaseError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = env_file(values);
    fs::write(file.path(), &text).unwrap();
    for shell in shells {
        let who = format!("{shell:?}");
        let read = read_back(shell, file.path(), values.len());
        prop_assert_eq!(&read, values, "{}", who);
    }
    let text = String::from_utf8(text).unwrap();
    let portable = text.split("# The next line is for shells and systemd only").next().unwrap_or_default();
    for reader in dotenv_readers {
        let who = format!("{reader:?}");
        let read = read_back(reader, file.path(), values.len());
        for (at, (read, value)) in read.iter().zip(values).enumerate() {
            if format!("\n{portable}").contains(&format!("\nV{at}=")) {
                prop_assert_eq!(read, value, "{}", who);
            }
        }
    }
    Ok(())
}

#[test]
fn every_reader_reads_ordinary_values_back() {
    let text = String::from_utf8(env_file(PORTABLE)).unwrap();
    assert!(!text.contains("# The next line"), "{text}");
    check(PORTABLE, shells(), dotenv_readers()).unwrap();
}

#[test]
fn shells_read_back_what_others_cannot() {
    let text = String::from_utf8(env_file(FOR_SHELLS)).unwrap();
    assert_eq!(text.matches("# The next line").count(), FOR_SHELLS.len(), "{text}");
    check(FOR_SHELLS, shells(), Vec::new()).unwrap();
}

#[test]
fn a_huge_value_is_read_back() {
    let value = "0123456789abcde\n".repeat(1 << 16);
    check(&[&value, "neighbour"], shells(), dotenv_readers()).unwrap();
}

mod properties {
    use super::*;

    #[test]
    fn arbitrary_values_are_read_back() {
        let value = prop_oneof![
            2 => "['\"\\\\$`{}\n#= \ta-]{0,12}",
            1 => "[^\u{0}]{0,24}",
            1 => "[a\\\\'\n]{0,8}",
        ];
        // A reader that is not there fails here, once, rather than on every value that is tried.
        drop((shells(), dotenv_readers()));
        // Many values to a file, so that one that ends too early or too late meets a neighbour.
        // Fewer cases than others have, for each starts eight programs.
        let cases = (Config::default().cases / 50).max(24);
        let config = Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
        TestRunner::new(config)
            .run(&prop::collection::vec(value, 1..80), |values| {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                check(&values, shells(), dotenv_readers())
            })
            .unwrap();
    }
}

/// A name that a shell keeps to itself must not end the reading of the file, nor run what a value says.
#[test]
fn names_that_shells_keep_to_themselves_are_left_out() {
    let names = ["RANDOM", "OPTIND", "UID", "EUID", "PPID", "SHELLOPTS", "HISTCMD", "SRANDOM", "BASHOPTS", "LINENO"];
    let mut native = vec![("V0".to_owned(), Secret::copy_from(b"read").unwrap())];
    for name in names {
        native.push((name.to_owned(), Secret::copy_from(b"a[$(echo ran >&2)]").unwrap()));
    }
    let empty = Secret::copy_from(b"").unwrap();
    let keys = keys::split(&empty, Some(native), Format::Auto).unwrap_or_else(|error| panic!("{error}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), render::env(&keys).unwrap().expose()).unwrap();
    for shell in shells() {
        assert_eq!(read_back(shell, file.path(), 1), ["read"]);
    }
}
