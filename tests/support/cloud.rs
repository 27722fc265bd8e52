//! An AWS account behind a proxy that fails on demand, for a daemon that has only its environment to go by.

use std::process::Command;

use tokio::runtime::Runtime;

use super::aws::Account;
use super::daemon::{Daemon, Place};
use super::fault_proxy::FaultProxy;
use super::ministack::ROOT_KEYS;

pub struct Cloud {
    pub account: Account,
    pub proxy: FaultProxy,
    runtime: Runtime,
}

impl Cloud {
    pub fn start(place: &Place) -> Self {
        let account = Account::start(place.path());
        let proxy = FaultProxy::start(account.server.address());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { account, proxy, runtime }
    }

    /// Waits for a call to the account, such as `cloud.wait(cloud.account.create(…))`.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub fn create(&self, name: &str, bytes: &[u8]) {
        self.wait(self.account.create(name, bytes));
    }

    /// A scope's lines in a configuration; `more` are further lines of it.
    pub fn scope(&self, name: &str, more: &str) -> String {
        let url = self.proxy.url();
        format!(
            "[scopes.{name}]\nprovider = \"aws-secrets-manager\"\nregion = \"us-east-1\"\nendpoint_url = {url:?}\n{more}\n"
        )
    }

    /// As [`Cloud::scope`], of Parameter Store.
    pub fn parameters(&self, name: &str, path: &str, more: &str) -> String {
        let url = self.proxy.url();
        format!(
            "[scopes.{name}]\nprovider = \"aws-parameter-store\"\nregion = \"us-east-1\"\npath = {path:?}\nendpoint_url = {url:?}\n{more}\n"
        )
    }

    /// `hushfs mount` with these keys in its environment, and nothing else that names AWS.
    pub fn command(&self, place: &Place, keys: Option<(&str, &str)>) -> Command {
        let mut command = place.hushfs(&["mount"]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(&name);
            }
        }
        command.env("HOME", place.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        if let Some((id, secret)) = keys {
            command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        command
    }

    /// As [`Cloud::mount_as`], with STS and IAM there too, behind the same proxy.
    pub fn mount_with_iam<'a>(&self, place: &'a Place, configuration: &str, keys: (&str, &str)) -> Daemon<'a> {
        place.configure(configuration);
        let mut command = self.command(place, Some(keys));
        for service in ["STS", "IAM"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), self.proxy.url());
        }
        place.start(command)
    }

    /// Mounts with the keys of the account's root.
    pub fn mount<'a>(&self, place: &'a Place, configuration: &str) -> Daemon<'a> {
        self.mount_as(place, configuration, Some(ROOT_KEYS))
    }

    pub fn mount_as<'a>(&self, place: &'a Place, configuration: &str, keys: Option<(&str, &str)>) -> Daemon<'a> {
        place.configure(configuration);
        place.start(self.command(place, keys))
    }
}
