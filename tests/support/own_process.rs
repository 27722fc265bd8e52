//! A test in a process of its own, with an environment of its own.
//!
//! The SDKs read their configuration from the process environment, which tests that share a process
//! cannot change safely. Such a test starts its own binary again for itself alone.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in the process that runs the body: the folder that is this test's own.
const FOLDER: &str = "HUSHFS_TEST_OWN_PROCESS";

/// The path of the function that it stands in, as the test harness names it.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here).trim_end_matches("::here");
        path.split_once("::").map_or(path, |(_crate, name)| name)
    }};
}

/// Runs `body` in a new process whose home and AWS configuration are an empty folder, given to `body`;
/// nothing of the caller's environment that names a cloud or a proxy is left, and no metadata server is there. Panics if it
/// fails there.
pub fn run(test: &str, body: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return body(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(std::env::current_exe().expect("the test's own binary"));
    command.args(["--exact", test, "--nocapture", "--include-ignored"]);
    for (name, _) in std::env::vars_os() {
        if is_of_a_cloud(&name.to_string_lossy()) {
            command.env_remove(&name);
        }
    }
    command
        .env(FOLDER, folder.path())
        .env("HOME", folder.path())
        .env("AWS_CONFIG_FILE", folder.path().join("config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", folder.path().join("credentials"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("GCE_METADATA_HOST", "127.0.0.1:9");
    let mut child = super::child::Guarded::spawn(&mut command).expect("the test's own binary starts");
    let status = child.0.wait().expect("the test's process ends");
    assert!(status.success(), "{test} failed in its own process: {status}");
}

/// Does a variable say how a cloud is reached, or as whom?
pub fn is_of_a_cloud(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let clouds =
        ["AWS_", "AZURE_", "GOOGLE_", "GCE_", "DATABRICKS_", "IDENTITY_", "IMDS_", "KUBECONFIG", "KUBERNETES_", "MSI_"];
    clouds.iter().any(|cloud| name.starts_with(cloud)) || name.ends_with("_PROXY")
}
