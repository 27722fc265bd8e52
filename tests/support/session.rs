//! A user's shell: `hushfs` with the variables that a test sets, and no others that name a cloud, a proxy or an
//! authority to trust.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::daemon::{Daemon, Place};
use super::own_process::is_of_a_cloud;

pub struct Session<'a> {
    pub place: &'a Place,
    variables: Vec<(OsString, OsString)>,
}

impl<'a> Session<'a> {
    /// At home in the place's folder, where no machine has a metadata service.
    pub fn new(place: &'a Place) -> Self {
        Self { place, variables: Vec::new() }
            .with("HOME", place.path())
            .with("AWS_EC2_METADATA_DISABLED", "true")
            .with("GCE_METADATA_HOST", "127.0.0.1:9")
    }

    #[must_use]
    pub fn with(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn with_all(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |session, (name, value)| session.with(name, value))
    }

    /// Trusts what this file vouches for, and nothing else.
    #[must_use]
    pub fn trusting(self, ca_file: &Path) -> Self {
        self.with("SSL_CERT_FILE", ca_file)
    }

    /// A command of the binary, as it would be typed here.
    pub fn hushfs(&self, args: &[&str]) -> Command {
        let mut command = self.place.hushfs(args);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if is_of_a_cloud(&text) || text.starts_with("SSL_CERT_") {
                command.env_remove(&name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn mount(&self, configuration: &str) -> Daemon<'a> {
        self.place.configure(configuration);
        self.place.start(self.hushfs(&["mount"]))
    }

    /// What `hushfs check --online` finds of the first scope, and its exit status.
    pub fn check(&self, configuration: &str) -> (Option<i32>, Value) {
        self.place.configure(configuration);
        let output = self.hushfs(&["check", "--online", "--json"]).output().expect("hushfs runs");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        });
        (output.status.code(), found["online"][0].clone())
    }
}
