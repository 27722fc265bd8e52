//! `hushfs store init`

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use age::secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{note, to_stdout};
use crate::cli::{Failure, Status};
use crate::config::ScopeName;
use crate::provider::local::{Store, recipients_of};

pub fn run(store: &Store) -> Result<(), Failure> {
    let path = &store.settings.path;
    let Some(identity) = &store.settings.identity else {
        return Err(Failure::new(Status::Usage, "which identity? Give --identity FILE; it is made if it is not there"));
    };
    make_folder(path)?;
    refuse_key_in_folder(path, identity)?;
    if let Some(parent) = identity.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    let made = make_identity(identity)?;
    let recipients: Vec<String> = recipients_of(identity)?.iter().map(ToString::to_string).collect();
    note(&format!("{} the identity {}", if made { "made" } else { "kept" }, identity.display()));
    to_stdout(snippet(path, identity, &recipients)?.as_bytes())
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| cannot_create(&format!("the folder {}", path.display()), &error))
}

/// Whoever copies the folder would copy the key with it.
fn refuse_key_in_folder(path: &Path, identity: &Path) -> Result<(), Failure> {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let parent = identity.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A parent that is not there yet cannot be the folder, which is; it can be below it.
    let inside = match (real(path), real(parent)) {
        (Some(path), Some(parent)) => parent.starts_with(path),
        _ => {
            std::path::absolute(parent).ok().zip(std::path::absolute(path).ok()).is_some_and(|(p, f)| p.starts_with(f))
        }
    };
    if inside {
        return Err(Failure::new(
            Status::Usage,
            format!("the identity {} would lie in the folder that it protects; keep it elsewhere", identity.display()),
        ));
    }
    Ok(())
}

/// Was one made? An existing file is never written to.
fn make_identity(path: &Path) -> Result<bool, Failure> {
    let failed = |error: &io::Error| cannot_create(&format!("the identity {}", path.display()), error);
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(failed(&error)),
    };
    let key = age::x25519::Identity::generate();
    let text = Zeroizing::new(format!(
        "# created: {}\n# public key: {}\n{}\n",
        humantime::format_rfc3339_seconds(SystemTime::now()),
        key.to_public(),
        key.to_string().expose_secret()
    ));
    if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
        // Half a key would be kept for ever.
        let _ = fs::remove_file(path);
        return Err(failed(&error));
    }
    Ok(true)
}

fn snippet(path: &Path, identity: &Path, recipients: &[String]) -> Result<String, Failure> {
    let quoted = |path: &Path| {
        let path = std::path::absolute(path).map_err(|error| Failure::new(Status::Os, error.to_string()))?;
        let text = path.to_str().ok_or_else(|| {
            Failure::new(Status::Usage, format!("{} is not UTF-8, so no configuration can name it", path.display()))
        })?;
        Ok::<_, Failure>(toml::Value::from(text).to_string())
    };
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| ScopeName::new(name).is_some());
    let name = name.unwrap_or("local");
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let name = if bare { name.to_owned() } else { toml::Value::from(name).to_string() };
    let mut text = String::new();
    for recipient in recipients {
        text.push_str(&format!("# recipient (public key): {recipient}\n"));
    }
    text.push_str(&format!(
        "[scopes.{name}]\nprovider = \"local\"\npath     = {}\nidentity = {}\n",
        quoted(path)?,
        quoted(identity)?
    ));
    Ok(text)
}

fn cannot_create(what: &str, error: &io::Error) -> Failure {
    let status = match error.kind() {
        io::ErrorKind::PermissionDenied => Status::NoPermission,
        _ => Status::CannotCreate,
    };
    Failure::new(status, format!("{what} cannot be made: {error}"))
}
