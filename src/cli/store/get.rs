//! `hushfs store get NAME [KEY]`

use clap::Args;

use super::{shown, to_stdout};
use crate::cli::{Failure, Status};
use crate::config::Format;
use crate::provider::VersionSelector;
use crate::provider::local::Store;
use crate::tree::keys::split;

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The secret
    name: String,
    /// One of its keys, as the file of that name would show it; by default the whole value
    key: Option<String>,
}

pub fn run(store: &Store, args: GetArgs) -> Result<(), Failure> {
    let payload = store.fetch(&args.name, &VersionSelector::Current)?.payload;
    let Some(key) = &args.key else { return to_stdout(payload.raw.expose()) };
    // As the mount would show it.
    let keys = split(&payload.raw, payload.keys, Format::Auto)?;
    let found = keys.iter().find(|candidate| candidate.name == *key);
    let found = found
        .ok_or_else(|| Failure::new(Status::NoInput, format!("`{}` has no key `{}`", shown(&args.name), shown(key))))?;
    to_stdout(found.value.expose())
}
