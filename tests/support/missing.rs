//! What a test cannot do without. Its absence is a failure: a test that did not run must not look like one
//! that passed.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// Panics unless this program is in PATH; `package` is the Debian package that has it.
pub fn program(name: &str, package: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(found, "{name} is not installed: run the tests with `make test`, or install the package {package}");
}

/// The path in this environment variable, or `usual` in the folder that `make test-tools` fills.
/// Panics if there is nothing.
pub fn tool(variable: &str, usual: &str) -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(usual);
    let path = std::env::var_os(variable).map_or_else(usual, PathBuf::from);
    assert!(
        path.exists(),
        "there is no {}: run the tests with `make test`, which installs it (`make test-tools`), or say in {variable} where it is",
        path.display()
    );
    path
}
