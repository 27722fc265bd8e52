//! `hushfs store list`

use clap::Args;
use serde_json::json;

use super::{note, shown, to_stdout};
use crate::cli::Failure;
use crate::provider::local::Store;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// One JSON object: `secrets` with `name` and `changed`, `left_out` with `file` and `reason`
    #[arg(long)]
    json: bool,
}

pub fn run(store: &Store, args: ListArgs) -> Result<(), Failure> {
    let mut listing = store.list()?;
    listing.secrets.sort_by(|a, b| a.name.cmp(&b.name));
    listing.left_out.sort();
    if args.json {
        let secrets: Vec<_> = listing
            .secrets
            .iter()
            .map(|secret| {
                let changed = secret.changed.map(|time| humantime::format_rfc3339_seconds(time).to_string());
                json!({ "name": secret.name.as_str(), "changed": changed })
            })
            .collect();
        let left_out: Vec<_> =
            listing.left_out.iter().map(|(file, reason)| json!({ "file": file, "reason": reason })).collect();
        return to_stdout(format!("{}\n", json!({ "secrets": secrets, "left_out": left_out })).as_bytes());
    }
    let names: String = listing.secrets.iter().map(|secret| shown(secret.name.as_str()) + "\n").collect();
    to_stdout(names.as_bytes())?;
    for (file, reason) in &listing.left_out {
        note(&format!("{} is left out: {reason}", shown(file)));
    }
    Ok(())
}
