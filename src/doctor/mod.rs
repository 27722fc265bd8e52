//! What on this host would keep hushfs from working, or from keeping its promises, and the command that mends it.
//!
//! A file per check. A check looks and changes nothing, needs no daemon, and says of what is as it should be that it
//! is. Only [`online`] and what `providers` makes of it ask anybody outside of this host.

mod allow_other;
mod clock;
mod configuration;
mod device;
mod finding;
mod fusermount;
mod kernel;
mod lsm;
mod memory;
mod mountpoint;
pub mod online;
mod procfs;
mod providers;
mod proxy;
mod sandbox;
mod swap;
mod unit;

use crate::config::{Config, Source, load};

pub use finding::{Finding, Verdict};

/// Everything that can be said without asking a provider, and the configuration, if it can be used.
pub fn of_host(source: &Source) -> (Vec<Finding>, Option<Config>) {
    let loaded = load(source);
    let mut findings = configuration::check(&loaded);
    let config = loaded.ok().map(|loaded| loaded.config);
    findings.extend([kernel::check(), device::check(), fusermount::check()]);
    // What they are about is in the configuration.
    if let Some(config) = &config {
        findings.extend(allow_other::check(config));
        findings.extend(mountpoint::check(config));
        findings.extend(memory::check(config));
        findings.extend(procfs::check(config, source));
        findings.extend(lsm::check(config));
        findings.extend(proxy::check(config));
        findings.extend(sandbox::check(config, source));
    }
    findings.extend(swap::check(memory::is_all_locked(config.as_ref())));
    findings.push(clock::check());
    findings.extend(unit::check());
    (findings, config)
}

/// What the providers say: who we are to them, and what of the configured access they would refuse.
pub async fn of_providers(config: &Config) -> Vec<Finding> {
    match online::ask(config).await {
        Ok(answers) => answers.iter().flat_map(providers::judge).collect(),
        Err((scope, error)) => vec![providers::unusable(&scope, &error)],
    }
}

/// Are we root? Then much is not needed that other users need.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
