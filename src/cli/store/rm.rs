//! `hushfs store rm NAME [KEY]`

use std::io::IsTerminal;

use clap::Args;

use super::object::Object;
use super::{ask, shown};
use crate::cli::{Failure, Status};
use crate::provider::local::{FileFormat, Replace, Store};

#[derive(Debug, Args)]
pub struct RmArgs {
    /// The secret
    name: String,
    /// Only this field of a JSON object
    key: Option<String>,
    /// Do not ask, even on a terminal
    #[arg(long, short)]
    yes: bool,
}

pub fn run(store: &Store, args: RmArgs) -> Result<(), Failure> {
    let name = shown(&args.name);
    let what = args.key.as_ref().map_or(format!("`{name}`"), |key| format!("`{}` of `{name}`", shown(key)));
    let missing = |why| Failure::new(Status::NoInput, why);
    store.find(&args.name)?.map_err(missing)?;
    // Before the lock: others need not wait for an answer.
    if !args.yes && std::io::stdin().is_terminal() && !ask(&format!("remove {what}? There is no way back.")) {
        return Err(Failure::new(Status::Usage, "nothing was removed"));
    }
    let writer = store.lock()?;
    let file = writer.find(&args.name)?.map_err(missing)?;
    let Some(key) = &args.key else {
        writer.remove(&args.name)?;
        return Ok(());
    };
    if file.format != FileFormat::Json || file.plaintext {
        return Err(Failure::new(
            Status::Data,
            format!("{} is no encrypted JSON; remove the key with `hushfs store edit {name}`", file.inside),
        ));
    }
    let old = writer.fetch(&args.name)?;
    let mut object = Object::parse(old.payload.raw.expose())
        .ok_or_else(|| Failure::new(Status::Data, format!("{} holds no JSON object", old.source)))?;
    if !object.remove(key) {
        return Err(Failure::new(Status::NoInput, format!("`{name}` has no key `{}`", shown(key))));
    }
    writer.put(&args.name, FileFormat::Json, &object.to_json(), Replace::SameFormat)?;
    Ok(())
}
