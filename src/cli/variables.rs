//! The keys of secrets as environment variables, read through the mount as the caller: grants, the provider's IAM and
//! the audit log are those of any read.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};
use zeroize::Zeroizing;

use super::undumpable::hide;
use super::{Failure, Status};
use crate::config::{Source, load};
use crate::fs::located;

/// A variable and where its value is from.
pub struct Variable {
    pub name: String,
    pub value: Zeroizing<Vec<u8>>,
    pub file: PathBuf,
}

/// What secrets hold.
pub struct Variables {
    pub all: Vec<Variable>,
    pub left_out: Vec<LeftOut>,
}

/// A key that no environment variable can be, and why not.
pub struct LeftOut {
    pub key: String,
    pub secret: OsString,
    pub why: &'static str,
}

/// So many files are open at a time: half of what this process may have, which is 1024 most often.
fn most_open() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(1024);
    usize::try_from(limit / 2).unwrap_or(usize::MAX).min(512)
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
    let version = fs::read_link(place.join("@current")).map_err(|error| no_secret(&place, secret, &error))?;
    Ok(place.join(version))
}

/// Files that are open, and not read yet.
///
/// As many as may be are opened before one is read. Who may read is judged when a file is opened, perhaps by what the process runs; and
/// from the first value on this process is hidden, which a user's own daemon cannot look into.
#[derive(Default)]
pub struct Unread {
    files: Vec<Opened>,
    left_out: Vec<LeftOut>,
}

struct Opened {
    name: String,
    path: PathBuf,
    /// None of those that are opened when it is their turn: there were too many.
    file: Option<File>,
    /// The secret of which every key is asked for; None where this one is.
    secret: Option<OsString>,
}

impl Unread {
    /// Every key of one version of `SCOPE/NAME`.
    pub fn add_secret(&mut self, mountpoint: &Path, secret: &OsStr) -> Result<(), Failure> {
        let place = directory(mountpoint, secret)?;
        let entries = fs::read_dir(&place).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(|error| refused(&place, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            match name.to_str().filter(|name| is_name(name)) {
                None => self.left_out.push(LeftOut {
                    key: name.to_string_lossy().escape_debug().to_string(),
                    secret: secret.to_owned(),
                    why: "not a variable's name",
                }),
                Some(name) => self.open(name, path, Some(secret.to_owned()))?,
            }
        }
        Ok(())
    }

    /// The file `SCOPE/NAME/KEY`, as the variable `name`.
    pub fn add_file(&mut self, mountpoint: &Path, name: &str, file: &OsStr) -> Result<(), Failure> {
        if !is_name(name) {
            let text = format!("{name:?} cannot be the name of an environment variable: use letters, digits and _");
            return Err(Failure::new(Status::Usage, text));
        }
        let path = inside(mountpoint, file)?;
        if path.is_dir() {
            let file = file.display();
            let text = format!(
                "{file} is no key but a secret, or a folder: {name}={file}/KEY is the form for one key, and --secret \
                 {file} gives every key of a secret"
            );
            return Err(Failure::new(Status::Usage, text));
        }
        self.open(name, path, None)
    }

    fn open(&mut self, name: &str, path: PathBuf, secret: Option<OsString>) -> Result<(), Failure> {
        let file = if self.files.len() < most_open() {
            Some(File::open(&path).map_err(|error| refused(&path, &error))?)
        } else {
            None
        };
        self.files.push(Opened { name: name.to_owned(), path, file, secret });
        Ok(())
    }

    /// Hides the process, and reads them all.
    pub fn read(self) -> Result<Variables, Failure> {
        hide()?;
        let mut variables = Variables { all: Vec::new(), left_out: self.left_out };
        for Opened { name, path, file, secret } in self.files {
            let value = contents(file, &path)?;
            match (value.contains(&0), secret) {
                (false, _) => variables.all.push(Variable { name, value, file: path }),
                (true, Some(secret)) => {
                    variables.left_out.push(LeftOut { key: name, secret, why: "its value has a NUL byte" });
                }
                (true, None) => {
                    let text =
                        format!("{} cannot be an environment variable: its value has a NUL byte", path.display());
                    return Err(Failure::new(Status::Data, text));
                }
            }
        }
        Ok(variables)
    }
}

/// A whole file of the mount. The process is hidden before there is anything of it.
pub fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let opened = File::open(file).map_err(|error| refused(file, &error))?;
    hide()?;
    contents(Some(opened), file)
}

fn contents(file: Option<File>, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut value = Zeroizing::new(Vec::new());
    let file = file.map_or_else(|| File::open(path), Ok);
    let read = file.and_then(|mut file| file.read_to_end(&mut value));
    read.map_err(|error| refused(path, &error))?;
    Ok(value)
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

/// What keeps `secret` from being read as one. `error` is that of its link to the current version.
fn no_secret(place: &Path, secret: &OsStr, error: &io::Error) -> Failure {
    if error.raw_os_error() != Some(libc::ENOTDIR) || !place.is_file() {
        return refused(place, error);
    }
    let name = place.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let what = if name.starts_with('.') { "a file of a secret" } else { "a key" };
    let variable = if is_name(name) { name } else { "VARIABLE" };
    let all = Path::new(secret).parent().unwrap_or(Path::new("SCOPE/NAME")).display();
    let secret = secret.display();
    let text = format!(
        "{secret} is {what}, and no secret: hushfs exec --secret {variable}={secret} gives this one, and {all} is the \
         secret with all of its keys"
    );
    Failure::new(Status::Usage, text)
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
