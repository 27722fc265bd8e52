//! Which workspace, and with which credentials.
//!
//! Credentials go to the workspace that they were written for: where the environment or a profile names another
//! one than the scope's `host`, what it holds besides is not used.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::profile::{self, Profile};
use crate::config::DatabricksAuth;
use crate::provider::rest::{Openness, Stamp, as_word, clean, stamp, whole, word};
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// A workspace and how it is entered.
pub(super) struct Entry {
    /// `https://host`, nothing behind it.
    pub(super) host: String,
    pub(super) credential: Credential,
    /// Files that it came from, as they were then.
    pub(super) files: Vec<(PathBuf, Stamp)>,
}

pub(super) enum Credential {
    Token(Secret),
    /// A service principal's OAuth secret, to be exchanged for a token.
    Client {
        id: String,
        secret: Secret,
    },
}

/// What the files and the environment hold now.
pub(super) async fn find(auth: &DatabricksAuth, host: Option<&str>) -> Result<Entry, Error> {
    match auth {
        DatabricksAuth::Pat { token_file } => {
            let (token, stamp) = word("token_file", token_file, Openness::Private).await?;
            let files = vec![(token_file.clone(), stamp)];
            Ok(Entry { host: given(host)?, credential: Credential::Token(token), files })
        }
        DatabricksAuth::OauthM2m { client_id, client_secret_file } => {
            let (secret, stamp) = word("client_secret_file", client_secret_file, Openness::Private).await?;
            let credential = Credential::Client { id: client_id.clone(), secret };
            Ok(Entry { host: given(host)?, credential, files: vec![(client_secret_file.clone(), stamp)] })
        }
        DatabricksAuth::Default => usual(host).await,
    }
}

fn given(host: Option<&str>) -> Result<String, Error> {
    let text = "no workspace: set `host` in the scope";
    host.map(normal).ok_or_else(|| Error::new(ErrorKind::Malformed, text))?
}

/// The environment, then a profile.
async fn usual(host: Option<&str>) -> Result<Entry, Error> {
    let ours = host.map(normal).transpose()?;
    let mut passed = Vec::new();

    let mut from_env = Profile {
        host: text_of("DATABRICKS_HOST")?,
        token: text_of("DATABRICKS_TOKEN")?.map(Zeroizing::new),
        client_id: text_of("DATABRICKS_CLIENT_ID")?,
        client_secret: text_of("DATABRICKS_CLIENT_SECRET")?.map(Zeroizing::new),
    };
    let named = text_of("DATABRICKS_CONFIG_PROFILE")?;
    let method = text_of("DATABRICKS_AUTH_TYPE")?;
    let of_env = from_env.host.as_deref().map(normal).transpose()?;
    match credential(&mut from_env, method.as_deref(), "the environment")? {
        Some(credential) => match place(ours.as_ref(), of_env.as_ref()) {
            Place::Is(host) => return Ok(Entry { host, credential, files: Vec::new() }),
            Place::Another(other) => passed.push(format!("the DATABRICKS_ variables are for {other}")),
            // A profile may still say which.
            Place::Unsaid => passed.push("the DATABRICKS_ variables name no workspace".to_owned()),
        },
        None => passed.push("no DATABRICKS_TOKEN and no DATABRICKS_CLIENT_ID with _CLIENT_SECRET".to_owned()),
    }

    let name = named.as_deref().unwrap_or("DEFAULT");
    if let Some(file) = profile_file() {
        let shown = format!("the profile {} of {}", clean(name), file.display());
        match read(&file, named.is_some()).await? {
            None => passed.push(format!("no {} is to be seen", file.display())),
            Some((text, stamp)) => match profile::find(&text, name) {
                None => passed.push(format!("{} has no profile {}", file.display(), clean(name))),
                Some(mut profile) => {
                    let of_profile = profile.host.as_deref().map(normal).transpose()?;
                    match credential(&mut profile, method.as_deref(), &shown)? {
                        None => passed.push(format!("{shown} has no token and no client_id with client_secret")),
                        Some(credential) => match place(ours.as_ref().or(of_env.as_ref()), of_profile.as_ref()) {
                            Place::Is(host) => return Ok(Entry { host, credential, files: vec![(file, stamp)] }),
                            Place::Another(other) => passed.push(format!("{shown} is for {other}")),
                            Place::Unsaid => passed.push(format!("{shown} names no workspace")),
                        },
                    }
                }
            },
        }
    }
    let text =
        format!("Databricks: no credentials for {}: {}", ours.as_deref().unwrap_or("any workspace"), passed.join("; "));
    Err(Error::new(ErrorKind::CredentialsRejected, text))
}

enum Place {
    Is(String),
    Another(String),
    Unsaid,
}

/// Where credentials go that were found beside `theirs`.
fn place(ours: Option<&String>, theirs: Option<&String>) -> Place {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours != theirs => Place::Another(theirs.clone()),
        (Some(host), _) | (None, Some(host)) => Place::Is(host.clone()),
        (None, None) => Place::Unsaid,
    }
}

/// The one credential among them; where there are two, the method says which is meant.
fn credential(of: &mut Profile, method: Option<&str>, place: &str) -> Result<Option<Credential>, Error> {
    let rejected = |why: String| Err(Error::new(ErrorKind::CredentialsRejected, why));
    let (token, client) = match method {
        None => (true, true),
        Some("pat") => (true, false),
        Some("oauth-m2m") => (false, true),
        Some(other) => {
            return rejected(format!(
                "DATABRICKS_AUTH_TYPE is {}, which hushfs does not know: it knows pat and oauth-m2m",
                clean(other)
            ));
        }
    };
    let token = of.token.take().filter(|_| token);
    let client = of.client_id.take().zip(of.client_secret.take()).filter(|_| client);
    match (token, client) {
        (Some(_), Some(_)) => {
            rejected(format!("{place} has a token and an OAuth client: say which with DATABRICKS_AUTH_TYPE"))
        }
        (Some(token), None) => Ok(Some(Credential::Token(one_word(&token, "token", place)?))),
        (None, Some((id, secret))) => {
            one_word(&id, "client_id", place)?;
            Ok(Some(Credential::Client { id, secret: one_word(&secret, "client_secret", place)? }))
        }
        (None, None) => Ok(None),
    }
}

fn one_word(text: &str, what: &str, place: &str) -> Result<Secret, Error> {
    match as_word(text.as_bytes()) {
        Some(word) => Ok(Secret::copy_from(word)?),
        None => {
            let text = format!("{what} in {place} is not one word of visible ASCII");
            Err(Error::new(ErrorKind::CredentialsRejected, text))
        }
    }
}

/// A variable that is set and not empty.
fn text_of(name: &str) -> Result<Option<String>, Error> {
    match std::env::var_os(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(Error::new(ErrorKind::CredentialsRejected, format!("{name} is not UTF-8"))),
    }
}

fn profile_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|it: &OsString| !it.is_empty()).map(PathBuf::from);
    set("DATABRICKS_CONFIG_FILE").or_else(|| Some(set("HOME")?.join(".databrickscfg")))
}

/// The file of profiles; None where there is none and none was asked for.
async fn read(file: &Path, is_wanted: bool) -> Result<Option<(Zeroizing<String>, Stamp)>, Error> {
    if !is_wanted && stamp(file).await.is_none() {
        return Ok(None);
    }
    let (bytes, stamp) = whole("the file of profiles", file, Openness::Private).await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some((Zeroizing::new(text), stamp)))
}

/// One spelling for each workspace: with a scheme, without a path.
fn normal(host: &str) -> Result<String, Error> {
    let host = host.trim();
    let refuse = |why: &str| {
        let host = clean(host);
        Error::new(ErrorKind::Malformed, format!("`{host}` is not the address of a workspace: {why}"))
    };
    let with_scheme = if host.contains("://") { host.to_owned() } else { format!("https://{host}") };
    if with_scheme.contains('@') {
        // Not shown: a password may be in it.
        return Err(Error::new(ErrorKind::Malformed, "the address of the workspace has an `@`: it takes no user"));
    }
    let url = reqwest::Url::parse(&with_scheme).map_err(|_| refuse("it is no URL"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(refuse("expected https://HOST"));
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_has_one_spelling() {
        for host in ["https://Adb-1.example", " adb-1.example/ ", "https://adb-1.example:443/?o=1#x"] {
            assert_eq!(normal(host).unwrap(), "https://adb-1.example", "{host}");
        }
        assert_eq!(normal("http://127.0.0.1:80/").unwrap(), "http://127.0.0.1");
        assert_eq!(normal("http://127.0.0.1:8080").unwrap(), "http://127.0.0.1:8080");
        for host in ["", "https://", "ftp://x", "file:///x", "https://me:pw@x", "a b"] {
            assert_eq!(normal(host).err().map(|error| error.kind), Some(ErrorKind::Malformed), "{host}");
        }
    }

    #[test]
    fn credentials_for_one_workspace_go_to_no_other() {
        let (one, two) = ("https://one".to_owned(), "https://two".to_owned());
        assert!(matches!(place(Some(&one), Some(&two)), Place::Another(other) if other == two));
        assert!(matches!(place(Some(&one), Some(&one)), Place::Is(host) if host == one));
        assert!(matches!(place(Some(&one), None), Place::Is(host) if host == one));
        assert!(matches!(place(None, Some(&two)), Place::Is(host) if host == two));
        assert!(matches!(place(None, None), Place::Unsaid));
    }

    #[test]
    fn two_credentials_at_one_place_need_a_word_on_which_is_meant() {
        let both = || Profile {
            host: None,
            token: Some(Zeroizing::new("t".into())),
            client_id: Some("i".into()),
            client_secret: Some(Zeroizing::new("s".into())),
        };
        assert!(credential(&mut both(), None, "p").is_err());
        assert!(matches!(credential(&mut both(), Some("pat"), "p"), Ok(Some(Credential::Token(_)))));
        assert!(matches!(credential(&mut both(), Some("oauth-m2m"), "p"), Ok(Some(Credential::Client { .. }))));
        assert!(credential(&mut both(), Some("azure-cli"), "p").is_err());
        let mut odd = Profile { token: Some(Zeroizing::new("CANARY two".into())), ..Profile::default() };
        let Err(error) = credential(&mut odd, None, "p") else { panic!("taken") };
        assert!(!error.detail.contains("CANARY"), "{error}");
    }
}
