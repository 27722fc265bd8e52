//! The keys of secrets as environment variables, read through the mount as the caller: grants, the provider's IAM and
//! the audit log are those of any read.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Failure, Status};
use crate::config::{Source, load};
use crate::fs::located;

/// A variable and where its value is from.
pub struct Variable {
    pub name: String,
    pub value: Zeroizing<Vec<u8>>,
    pub file: PathBuf,
}

/// What a secret holds.
pub struct Variables {
    pub all: Vec<Variable>,
    /// Keys that no environment variable can be, and why not.
    pub left_out: Vec<(String, &'static str)>,
}

/// The mount to read from: the one that is named, or configured; where the configuration is not for the caller to
/// read, the only one that there is.
pub fn mountpoint(named: Option<PathBuf>, source: &Source) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named);
    }
    match load(source) {
        // Its warnings are for whoever runs the daemon.
        Ok(loaded) => Ok(loaded.config.mountpoint),
        Err(report) => match located::mounts().unwrap_or_default().as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(super::configuration::failure(&report)),
        },
    }
}

/// The directory of one version of a secret; all that is read in it is of that version.
pub fn directory(mountpoint: &Path, secret: &OsStr) -> Result<PathBuf, Failure> {
    let place = inside(mountpoint, secret)?;
    let version = fs::read_link(place.join("@current")).map_err(|error| refused(&place, &error))?;
    Ok(place.join(version))
}

/// Every key of one version of `SCOPE/NAME`.
pub fn of_secret(mountpoint: &Path, secret: &OsStr) -> Result<Variables, Failure> {
    let place = directory(mountpoint, secret)?;
    let entries = fs::read_dir(&place).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| refused(&place, &error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut variables = Variables { all: Vec::new(), left_out: Vec::new() };
    for entry in entries {
        let (name, file) = (entry.file_name(), entry.path());
        match name.to_str().filter(|name| is_name(name)) {
            None => {
                variables.left_out.push((name.to_string_lossy().escape_debug().to_string(), "not a variable's name"))
            }
            Some(name) => {
                let value = read(&file)?;
                if value.contains(&0) {
                    variables.left_out.push((name.to_owned(), "its value has a NUL byte"));
                } else {
                    variables.all.push(Variable { name: name.to_owned(), value, file });
                }
            }
        }
    }
    Ok(variables)
}

/// The file `SCOPE/NAME/KEY`, as the variable `name`.
pub fn of_file(mountpoint: &Path, name: &str, file: &OsStr) -> Result<Variable, Failure> {
    if !is_name(name) {
        let text = format!("{name:?} cannot be the name of an environment variable: use letters, digits and _");
        return Err(Failure::new(Status::Usage, text));
    }
    let file = inside(mountpoint, file)?;
    let value = read(&file)?;
    if value.contains(&0) {
        let text = format!("{} cannot be an environment variable: its value has a NUL byte", file.display());
        return Err(Failure::new(Status::Data, text));
    }
    Ok(Variable { name: name.to_owned(), value, file })
}

/// A whole file of the mount.
pub fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    fs::read(file).map(Zeroizing::new).map_err(|error| refused(file, &error))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Nothing but what is below the mountpoint.
fn inside(mountpoint: &Path, path: &OsStr) -> Result<PathBuf, Failure> {
    let parts: Vec<&[u8]> = path.as_bytes().split(|byte| *byte == b'/').collect();
    let is_plain = parts.len() >= 2 && parts.iter().all(|part| !matches!(*part, b"" | b"." | b".."));
    if !is_plain {
        let text =
            format!("{path:?} is not of the form SCOPE/NAME: as below the mountpoint, without a slash around it");
        return Err(Failure::new(Status::Usage, text));
    }
    Ok(mountpoint.join(path))
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    let (status, help) = match error.raw_os_error() {
        Some(libc::EACCES) => (Status::NoPermission, format!("; see: hushfs why {shown}")),
        Some(libc::ENOENT | libc::ENOTDIR) => {
            (Status::NoInput, "; is the mountpoint right, and hushfs started?".into())
        }
        Some(libc::ENOTCONN) => (Status::Unavailable, "; its daemon has ended: start it with hushfs mount".into()),
        _ => (Status::Unavailable, format!("; see: hushfs why {shown}, hushfs status")),
    };
    Failure::new(status, format!("cannot read {shown}: {error}{help}"))
}

/// A name and a path, of `NAME=PATH`.
pub fn pair(text: &OsStr) -> Option<(String, OsString)> {
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let (name, path) = (bytes.get(..at)?, bytes.get(at + 1..)?);
    Some((String::from_utf8_lossy(name).into_owned(), OsStr::from_bytes(path).to_owned()))
}
