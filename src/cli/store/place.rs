//! Which folder is meant.

use std::path::PathBuf;

use clap::Args;

use crate::cli::configuration::loaded;
use crate::cli::{Failure, Status};
use crate::config::{CacheSettings, LocalSettings, ProviderSettings, Source, load_without_files};
use crate::provider::local::Store;

#[derive(Debug, Args)]
pub struct Place {
    /// A scope of the configuration with the provider `local`; by default the only one
    #[arg(long, global = true, value_name = "NAME", conflicts_with_all = ["path", "identity"])]
    scope: Option<String>,
    /// The folder, without a configuration
    #[arg(long, global = true, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The age identity file that goes with --path
    #[arg(long, global = true, value_name = "FILE", requires = "path")]
    identity: Option<PathBuf>,
}

/// The folder that the command line or the configuration names.
pub fn locate(place: &Place, source: &Source) -> Result<Store, Failure> {
    match &place.path {
        Some(path) => Ok(Store {
            settings: LocalSettings { path: path.clone(), identity: place.identity.clone(), allow_plaintext: false },
            max: CacheSettings::default().max_secret_bytes,
        }),
        None => from_configuration(place.scope.as_deref(), source),
    }
}

fn from_configuration(wanted: Option<&str>, source: &Source) -> Result<Store, Failure> {
    let hint = "name one with --scope, or give --path DIR and --identity FILE";
    // `init` makes files that are missing, and those of other scopes are nothing to this one.
    let config = loaded(load_without_files(source))?;
    let local = config.scopes.values().filter_map(|scope| match &scope.provider {
        ProviderSettings::Local(settings) => Some((scope, settings)),
        _ => None,
    });
    let mut fitting = local.filter(|(scope, _)| wanted.is_none_or(|wanted| scope.name.as_str() == wanted));
    let usage = |text: String| Err(Failure::new(Status::Usage, text));
    match (fitting.next(), fitting.next(), wanted) {
        (Some((scope, settings)), None, _) => {
            Ok(Store { settings: settings.clone(), max: scope.cache.max_secret_bytes })
        }
        (None, _, Some(wanted)) => usage(format!("the configuration has no local scope `{wanted}`; {hint}")),
        (None, _, None) => usage(format!("the configuration has no local scope; {hint}")),
        (Some(_), Some(_), _) => usage(format!("the configuration has several local scopes; {hint}")),
    }
}
