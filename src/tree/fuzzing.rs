//! Names, and values as keys.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use super::name::{MAX_LEN, components, secret_name};
use super::{Below, FileName, SecretPath, keys as cut, render, spelled};
use crate::config::Format;
use crate::fuzzing::choice;
use crate::provider::SecretName;
use crate::secret::Secret;

/// A name has one spelling, and comes back from it; whatever a caller looks up is taken apart without harm.
pub fn names(bytes: &[u8]) {
    let looked_up = OsStr::from_bytes(bytes);
    if let Some(name) = FileName::parse(looked_up) {
        assert_eq!(name.as_str().as_bytes(), bytes);
        assert_eq!(FileName::escape(&name.unescape()), Some(name));
    }
    let parts: Vec<&OsStr> = bytes.split(|byte| *byte == b'/').map(OsStr::from_bytes).collect();
    let _ = spelled(&parts);
    let _ = Below::spelled(&parts);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match FileName::escape(text) {
        Some(name) => {
            assert_eq!(name.unescape(), text);
            assert!(name.as_str().len() <= MAX_LEN && !name.as_str().starts_with(['.', '@']), "{name}");
            assert!(!name.as_str().contains(|c: char| c == '/' || c.is_control()), "{name}");
            assert_eq!(FileName::parse(OsStr::new(name.as_str())), Some(name));
        }
        None => assert!(text.is_empty() || text.len() * 3 > MAX_LEN),
    }
    if let Some(path) = SecretPath::parse(text) {
        assert_eq!(SecretPath::of(path.name()).as_ref(), Some(&path));
    }
    let Some(name) = SecretName::new(text) else { return };
    if let Some(path) = components(&name) {
        assert_eq!(secret_name(&path), Some(name));
    }
}

/// A value becomes files, each of a name of its own, and `.json` and `.env` have the same values.
pub fn keys(bytes: &[u8]) {
    let (first, bytes) = choice(bytes);
    let format = [Format::Auto, Format::Json, Format::Raw][usize::from(first % 3)];
    let raw = secret(bytes);
    let keys = match cut::split(&raw, None, format) {
        Ok(keys) => keys,
        Err(error) => {
            assert!(format == Format::Json && !error.detail.contains(char::is_control), "{error}");
            return;
        }
    };
    if format != Format::Raw {
        as_another_reader_has_it(bytes, &keys);
    }
    written_and_read(&keys);
}

/// A shell reads from `.env` what is in it.
pub fn env_by_shell(bytes: &[u8]) {
    // The parts between bytes that are no text: as many values.
    let native = bytes.split(|byte| *byte == 0xFF).take(64).enumerate();
    let native = native.map(|(at, value)| (format!("V{at}"), secret(value))).collect();
    let keys = cut::split(&secret(b""), Some(native), Format::Auto).expect("memory");
    let file = render::env(&keys).expect("memory");
    let script = r#"
        . /dev/stdin || exit 1
        at=0
        while [ $at -lt 64 ]; do
            eval 'if [ "${V'$at'+set}" ]; then printf "%s=%s\0" "V$at" "$V'$at'"; fi'
            at=$((at + 1))
        done"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env_clear().env("PATH", "/usr/bin:/bin");
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
    shell.stdin.take().expect("a pipe").write_all(file.expose()).expect("it reads to the end");
    let output = shell.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{:?}", String::from_utf8_lossy(file.expose()));
    let read: BTreeMap<&[u8], &[u8]> = output.stdout.split(|byte| *byte == 0).filter_map(pair).collect();
    let written = || keys.iter().filter(|key| is_possible(key.value.expose()));
    assert_eq!(read.len(), written().count());
    for key in written() {
        assert_eq!(read.get(key.name.as_bytes()).copied(), Some(key.value.expose()), "{}", key.name);
    }
}

fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..at], &text[at + 1..]))
}

/// May an environment variable hold it?
fn is_possible(value: &[u8]) -> bool {
    !value.contains(&0) && std::str::from_utf8(value).is_ok()
}

/// serde_json's own reading of an object: it has the same fields, and the same strings in them.
fn as_another_reader_has_it(bytes: &[u8], keys: &cut::Keys) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(bytes) else { return };
    let shown: BTreeMap<&str, &[u8]> = keys.iter().map(|key| (key.name.as_str(), key.value.expose())).collect();
    // A lone surrogate in what is skipped, or a value that is no object of ours, is one file.
    if keys.left_out().is_empty() && shown.len() != fields.len() {
        assert!(shown.len() == 1 && shown.contains_key("value"));
        return;
    }
    for (name, value) in &fields {
        match (shown.get(name.as_str()), value) {
            (Some(ours), serde_json::Value::String(text)) => assert_eq!(*ours, text.as_bytes()),
            (Some(ours), serde_json::Value::Null) => assert!(ours.is_empty()),
            (Some(ours), serde_json::Value::Array(_) | serde_json::Value::Object(_)) => {
                assert_eq!(serde_json::from_slice::<serde_json::Value>(ours).ok().as_ref(), Some(value));
            }
            (Some(_), _) => {}
            (None, _) => assert!(keys.left_out().iter().any(|(left_out, _)| left_out == name), "{name:?} is lost"),
        }
    }
}

fn written_and_read(keys: &cut::Keys) {
    let files: Vec<&FileName> = keys.iter().map(|key| &key.file).collect();
    assert!(files.is_sorted_by(|a, b| a < b));
    let json = render::json(keys).expect("memory");
    let read: BTreeMap<String, serde_json::Value> = serde_json::from_slice(json.expose()).expect("JSON");
    assert_eq!(read.len(), keys.len());
    for key in keys.iter() {
        match (std::str::from_utf8(key.value.expose()), &read[&key.name]) {
            (Ok(text), serde_json::Value::String(found)) => assert_eq!(text, found),
            (Err(_), serde_json::Value::Object(_)) => {}
            (_, found) => panic!("{:?} is {found:?}", key.name),
        }
    }
    let env = render::env(keys).expect("memory");
    #[cfg(feature = "local")]
    for (name, value) in crate::provider::local::fuzzing::variables(env.expose()) {
        let key = keys.iter().find(|key| key.name == name).expect("it is one of ours");
        assert_eq!(key.value.expose(), value, "{name}");
    }
    drop(env);
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::copy_from(bytes).expect("memory")
}
