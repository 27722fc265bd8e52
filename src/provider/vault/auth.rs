//! How we come by a token.

use std::path::PathBuf;
use std::time::Duration;

use rustify_derive::Endpoint;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::auth::kubernetes::requests::LoginWithKubernetesRequest;
use vaultrs::api::auth::oidc::requests::JWTLoginRequest;
use zeroize::Zeroizing;

use super::secret_id::{self, Unwrapped};
use super::transport::Transport;
use super::{aws, error, token, value};
use crate::config::{VaultAuth, VaultRole};
use crate::provider::rest::{self, Openness, Reply, Stamp, clean};
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// What a login gave.
pub(super) struct Granted {
    pub(super) token: Secret,
    /// None where only the server knows: nobody has asked it yet.
    pub(super) lease: Option<Lease>,
    /// The file that the token is in, to notice when it changes.
    pub(super) file: Option<(PathBuf, Option<Stamp>)>,
}

/// How long a token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    /// Seconds from now; 0 means for ever.
    pub(super) seconds: u64,
    pub(super) renewable: bool,
}

/// Vault calls the role `name`; vaultrs' request calls it otherwise, and any role would do.
#[derive(Endpoint)]
#[endpoint(path = "auth/{self.mount}/login", method = "POST")]
struct LoginWithCertRequest {
    #[endpoint(skip)]
    mount: String,
    name: Option<String>,
}

/// How we come by a token, for the scope itself or for an `[[identity]]`.
pub(super) struct Login {
    auth: VaultAuth,
    /// Of tokens: one is made by this role, with the token that `auth` finds.
    token_role: Option<String>,
}

/// vaultrs' request asks for no role alone.
#[derive(Endpoint)]
#[endpoint(path = "auth/token/create/{self.role}", method = "POST")]
struct CreateTokenRequest {
    #[endpoint(skip)]
    role: String,
}

impl Login {
    pub(super) fn of(auth: VaultAuth) -> Self {
        Self { auth, token_role: None }
    }

    /// By the same method as another role.
    ///
    /// # Errors
    /// `Malformed` where AppRole has nothing to log in with as that role.
    pub(super) fn under(auth: VaultAuth, role: &VaultRole) -> Result<Self, Error> {
        let name = role.name.clone();
        Ok(Self::of(match auth {
            VaultAuth::Token { .. } => return Ok(Self { auth, token_role: Some(name) }),
            VaultAuth::AppRole { mount, wrapped, .. } => {
                let Some((role_id_file, secret_id_file)) = role.approle.clone() else {
                    let text = format!("the role `{}` has no files of AppRole to log in with", clean(&name));
                    return Err(Error::new(ErrorKind::Malformed, text));
                };
                VaultAuth::AppRole { mount, role_id_file, secret_id_file, wrapped }
            }
            VaultAuth::Kubernetes { mount, token_file, .. } => VaultAuth::Kubernetes { mount, role: name, token_file },
            VaultAuth::Jwt { mount, token_file, .. } => VaultAuth::Jwt { mount, role: name, token_file },
            VaultAuth::Aws { mount, region, header_value, .. } => {
                VaultAuth::Aws { mount, role: name, region, header_value }
            }
            VaultAuth::Cert { mount, cert_file, key_file, .. } => {
                VaultAuth::Cert { mount, role: Some(name), cert_file, key_file }
            }
        }))
    }

    /// A login that takes something that can be used once.
    pub(super) fn uses_up(&self) -> Option<String> {
        match &self.auth {
            VaultAuth::AppRole { secret_id_file, wrapped: true, .. } => Some(format!(
                "secret_id_file {} holds a wrapping token, which can be used once, and that is for the daemon to do",
                secret_id_file.display()
            )),
            VaultAuth::AppRole { wrapped: false, .. }
            | VaultAuth::Token { .. }
            | VaultAuth::Kubernetes { .. }
            | VaultAuth::Jwt { .. }
            | VaultAuth::Aws { .. }
            | VaultAuth::Cert { .. } => None,
        }
    }

    /// The client certificate and its key, for a method that needs one.
    pub(super) async fn tls_identity(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match &self.auth {
            VaultAuth::Cert { cert_file, key_file, .. } => {
                let (mut pem, _) = rest::whole("key_file", key_file, Openness::Private).await?;
                let (certificate, _) = rest::whole("cert_file", cert_file, Openness::Any).await?;
                pem.push(b'\n');
                pem.extend_from_slice(&certificate);
                Ok(Some(pem))
            }
            VaultAuth::Token { .. }
            | VaultAuth::AppRole { .. }
            | VaultAuth::Kubernetes { .. }
            | VaultAuth::Jwt { .. }
            | VaultAuth::Aws { .. } => Ok(None),
        }
    }

    /// Logs in. Where the method is a token, finds it and asks nobody, unless for a role.
    pub(super) async fn log_in(
        &self,
        transport: &Transport,
        unwrapped: &mut Option<Unwrapped>,
        deadline: Duration,
    ) -> Result<Granted, Error> {
        let granted = login(&self.auth, transport, unwrapped, deadline).await?;
        let Some(role) = &self.token_role else { return Ok(granted) };
        let call = format!("making of a token by the role `{role}`");
        let request = CreateTokenRequest { role: role.clone() };
        let child = self::granted(&call, &transport.ask(&call, Some(&granted.token), request).await?)?;
        // Another token in the file has children of its own.
        Ok(Granted { file: granted.file, ..child })
    }
}

async fn login(
    auth: &VaultAuth,
    transport: &Transport,
    unwrapped: &mut Option<Unwrapped>,
    deadline: Duration,
) -> Result<Granted, Error> {
    match auth {
        VaultAuth::Token { file } => token::find(file.as_deref()).await,
        VaultAuth::AppRole { mount, role_id_file, secret_id_file, wrapped } => {
            let (role_id, _) = rest::word("role_id_file", role_id_file, Openness::Any).await?;
            let secret_id = secret_id::read(transport, secret_id_file, *wrapped, unwrapped).await?;
            let request = LoginWithApproleRequest { mount: mount.clone(), role_id: text(role_id.expose()), secret_id };
            let call = format!("AppRole login at `{mount}`");
            granted(&call, &transport.ask(&call, None, request).await?)
        }
        VaultAuth::Kubernetes { mount, role, token_file } => {
            let (jwt, _) = rest::word("token_file", token_file, Openness::Any).await?;
            let request =
                LoginWithKubernetesRequest { mount: mount.clone(), role: role.clone(), jwt: text(jwt.expose()) };
            let call = format!("Kubernetes login at `{mount}` as the role `{role}`");
            granted(&call, &transport.ask(&call, None, request).await?)
        }
        VaultAuth::Jwt { mount, role, token_file } => {
            let (jwt, _) = rest::word("token_file", token_file, Openness::Any).await?;
            let request = JWTLoginRequest { mount: mount.clone(), role: Some(role.clone()), jwt: text(jwt.expose()) };
            let call = format!("JWT login at `{mount}` as the role `{role}`");
            granted(&call, &transport.ask(&call, None, request).await?)
        }
        VaultAuth::Aws { mount, role, region, header_value } => {
            let request = aws::login(mount, role, region.as_deref(), header_value.as_deref(), deadline).await?;
            let call = format!("AWS login at `{mount}` as the role `{role}`");
            granted(&call, &transport.ask(&call, None, request).await?)
        }
        VaultAuth::Cert { mount, role, .. } => {
            let request = LoginWithCertRequest { mount: mount.clone(), name: role.clone() };
            let call = format!("certificate login at `{mount}`");
            granted(&call, &transport.ask(&call, None, request).await?)
        }
    }
}

/// Credentials are ASCII, see [`rest::as_word`].
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A login's answer. That it was refused is about our credentials, whatever its status.
fn granted(call: &str, reply: &Reply) -> Result<Granted, Error> {
    if !reply.is_success() {
        let mut error = error::from_reply(call, reply);
        error.kind = match error.kind {
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::CredentialsRejected => ErrorKind::CredentialsRejected,
            // Wrong ids and expired tokens are answered like wrong requests.
            ErrorKind::Malformed if reply.status == 400 => ErrorKind::CredentialsRejected,
            kind @ (ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::TooLarge
            | ErrorKind::Malformed
            | ErrorKind::NoMemory) => kind,
        };
        return Err(error);
    }
    let auth = value::auth(call, &reply.body)?;
    let lease = Lease { seconds: auth.lease_duration, renewable: auth.renewable };
    match rest::as_word(auth.client_token.as_bytes()) {
        Some(word) => Ok(Granted { token: Secret::copy_from(word)?, lease: Some(lease), file: None }),
        None => Err(error::not_understood(call)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn another_role_logs_in_by_the_same_method_and_never_as_the_scopes_own() {
        let role = |approle: Option<(PathBuf, PathBuf)>| VaultRole { name: "other".into(), approle };
        let under = |auth| Login::under(auth, &role(None)).ok().unwrap();
        let (mount, token_file) = (String::from("m"), PathBuf::from("/t"));
        let jwt = under(VaultAuth::Jwt { mount: mount.clone(), role: "own".into(), token_file: token_file.clone() });
        assert!(matches!(jwt.auth, VaultAuth::Jwt { role, .. } if role == "other"));
        let pod = under(VaultAuth::Kubernetes { mount: mount.clone(), role: "own".into(), token_file });
        assert!(matches!(pod.auth, VaultAuth::Kubernetes { role, .. } if role == "other"));
        let aws = under(VaultAuth::Aws { mount: mount.clone(), role: "own".into(), region: None, header_value: None });
        assert!(matches!(aws.auth, VaultAuth::Aws { role, .. } if role == "other"));
        let (cert_file, key_file) = (PathBuf::from("/c"), PathBuf::from("/k"));
        let cert = under(VaultAuth::Cert { mount: mount.clone(), role: None, cert_file, key_file });
        assert!(matches!(cert.auth, VaultAuth::Cert { role: Some(role), .. } if role == "other"));
        assert_eq!(under(VaultAuth::Token { file: None }).token_role.as_deref(), Some("other"));
        let approle =
            VaultAuth::AppRole { mount, role_id_file: "/own-r".into(), secret_id_file: "/own-s".into(), wrapped: true };
        assert!(Login::under(approle.clone(), &role(None)).is_err());
        let approle = Login::under(approle, &role(Some(("/r".into(), "/s".into())))).ok().unwrap();
        let VaultAuth::AppRole { role_id_file, secret_id_file, wrapped, .. } = approle.auth else { panic!("another") };
        assert!(wrapped && role_id_file == Path::new("/r") && secret_id_file == Path::new("/s"));
    }
}
