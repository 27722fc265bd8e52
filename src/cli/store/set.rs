//! `hushfs store set NAME [KEY]`

use std::ffi::OsString;

use clap::Args;

use super::object::{Object, string};
use super::{input, note, shown};
use crate::cli::{Failure, Status};
use crate::provider::local::{FileFormat, Replace, Store};

#[derive(Debug, Args)]
pub struct SetArgs {
    /// The secret, such as `db` or `team/db`
    name: String,
    /// One field of the JSON object `NAME.json.age`, which is made if it is not there
    key: Option<String>,
    /// The value is JSON: an object for the whole secret, any JSON value for a field
    #[arg(long)]
    json: bool,
    /// Taken only to say why a value is not taken here
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

pub fn run(store: &Store, args: SetArgs) -> Result<(), Failure> {
    if !args.rest.is_empty() {
        return Err(Failure::new(
            Status::Usage,
            "a value is never an argument: every user of this host could read it in the process list, and the shell \
             would keep it in its history. Pipe it in, or type it at the prompt",
        ));
    }
    let name = shown(&args.name);
    match &args.key {
        None => whole(store, &args, &name),
        Some(key) => field(store, &args, &name, key),
    }
}

fn whole(store: &Store, args: &SetArgs, name: &str) -> Result<(), Failure> {
    let format = if args.json { FileFormat::Json } else { FileFormat::Bytes };
    let value = input::value(name, store.max)?;
    if args.json && Object::parse(value.expose()).is_none() {
        return Err(Failure::new(Status::Data, "standard input is not a JSON object"));
    }
    store.lock()?.put(&args.name, format, value.expose(), Replace::SameFormat).map_err(|error| {
        let failure = Failure::from(error);
        match failure.status {
            Status::CannotCreate => Failure::new(
                failure.status,
                format!(
                    "{failure}, with another format; remove it first (`hushfs store rm`), or see `hushfs store edit`"
                ),
            ),
            _ => failure,
        }
    })?;
    Ok(())
}

fn field(store: &Store, args: &SetArgs, name: &str, key: &str) -> Result<(), Failure> {
    let value = input::value(&format!("{name} {}", shown(key)), store.max)?;
    let json = if args.json {
        serde_json::from_slice::<&serde_json::value::RawValue>(value.expose())
            .map_err(|_| Failure::new(Status::Data, "standard input is not one JSON value"))?
            .get()
            .to_owned()
    } else {
        let text = std::str::from_utf8(value.expose()).map_err(|_| {
            Failure::new(
                Status::Data,
                "the value is not UTF-8, which a JSON field cannot hold; store it as a secret of its own: \
                 `hushfs store set NAME` without a key",
            )
        })?;
        if text.ends_with('\n') && text.lines().count() == 1 {
            // A shell's echo adds it; a password seldom has one.
            note("the value ends in a newline, and is stored with it; printf %s, in the place of echo, adds none");
        }
        string(text)
    };
    let writer = store.lock()?;
    let old = match writer.find(&args.name)? {
        Err(_) => None,
        Ok(file) if file.format == FileFormat::Json && !file.plaintext => Some(writer.fetch(&args.name)?),
        Ok(file) => {
            return Err(Failure::new(
                Status::Data,
                format!(
                    "`{name}` is in {}, where a field cannot be set; use `hushfs store edit {name}`, or remove it and \
                     make it anew with fields",
                    file.inside
                ),
            ));
        }
    };
    let mut object = match &old {
        None => Object::empty(),
        Some(old) => Object::parse(old.payload.raw.expose())
            .ok_or_else(|| Failure::new(Status::Data, format!("{} holds no JSON object", old.source)))?,
    };
    object.set(key, json);
    writer.put(&args.name, FileFormat::Json, &object.to_json(), Replace::SameFormat)?;
    Ok(())
}
