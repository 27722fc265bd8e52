//! The tree: what is where, what is listed, what it says of itself.

mod hidden;
mod large;
mod metadata;
mod names;
mod read_only;
mod walks;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// The names in a directory, in order; each is there once.
fn listed(directory: &Path) -> Vec<String> {
    let names: Vec<String> = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| String::from_utf8(entry.unwrap().file_name().as_bytes().to_vec()).unwrap())
        .collect();
    let set: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(set.len(), names.len(), "something is listed twice: {names:?}");
    set.into_iter().collect()
}

fn errno<T>(result: std::io::Result<T>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    }
}

/// What a shell script writes; it must succeed and complain of nothing. `$1` is `path`.
fn sh(script: &str, path: &Path) -> String {
    let run = Command::new("bash").args(["-c", &format!("set -euo pipefail\n{script}"), "bash"]).arg(path).output();
    let run = run.expect("bash runs: install the package `bash`");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.is_empty(), "{script}: {}: {said}", run.status);
    String::from_utf8(run.stdout).expect("text")
}
