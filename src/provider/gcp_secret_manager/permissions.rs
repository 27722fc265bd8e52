//! What IAM will say: `secrets.testIamPermissions`, which asks for no permission itself.
//!
//! Its answer is the permissions that we have, and the same nothing for a secret that we may not read as for one
//! that does not exist. So only of a secret that was listed or looked at is nothing a no.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::names::SecretId;
use super::{Shared, client};
use crate::config::ActsAs;
use crate::provider::{Error, ErrorKind, Known, Permission, SecretName, says_nothing_of};

/// What reading a value takes.
const ACCESS: &str = "secretmanager.versions.access";
/// Calls at once.
const AT_ONCE: usize = 8;
/// Each secret is a call, and the quota of reads is 600 a minute.
const MOST: usize = 200;

pub(super) async fn permissions(
    shared: &Shared,
    identity: Option<&ActsAs>,
    names: &[SecretName],
) -> Result<Vec<Permission>, Error> {
    if let Some(other) = identity {
        return Err(says_nothing_of(other, "Google Cloud, where each asks for itself"));
    }
    let session = shared.sessions.get(shared).await?;
    let mut answers = vec![unknown(format!("no more than {MOST} secrets are asked about at a time")); names.len()];
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = JoinSet::new();
    for (at, name) in names.iter().enumerate() {
        let Ok(id) = SecretId::new(&shared.settings.prefix, name) else {
            // Reading it is not refused: there is nothing to read.
            if let Some(place) = answers.get_mut(at) {
                *place = unknown("no secret can be called that".into());
            }
            continue;
        };
        if calls.len() >= MOST {
            break;
        }
        let request = session.client.test_iam_permissions().set_resource(shared.place.secret(&id));
        let request = client::ours(request.set_permissions([ACCESS]));
        let places = Arc::clone(&places);
        calls.spawn(async move {
            let _place = places.acquire_owned().await;
            (at, id, request.send().await)
        });
    }
    while let Some(done) = calls.join_next().await {
        let Ok((at, id, answer)) = done else { continue };
        let Some(place) = answers.get_mut(at) else { continue };
        let call = format!("TestIamPermissions of `{}`", id.as_str());
        *place = match answer {
            Ok(answer) if answer.permissions.iter().any(|it| it == ACCESS) => {
                Permission { read: Known::Yes, why: format!("IAM grants {ACCESS}") }
            }
            Ok(_) if shared.known.is_there(id.as_str()) => {
                Permission { read: Known::No, why: format!("IAM does not grant {ACCESS}") }
            }
            Ok(_) => {
                unknown(format!("IAM does not grant {ACCESS}, or there is no such secret: it says the same of both"))
            }
            Err(error) => {
                let error = shared.sessions.failed(&session, &call, &error);
                match error.kind {
                    ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::TooLarge | ErrorKind::Malformed => {
                        unknown(error.detail)
                    }
                    ErrorKind::CredentialsRejected
                    | ErrorKind::Throttled
                    | ErrorKind::Unreachable
                    | ErrorKind::TimedOut
                    | ErrorKind::NoMemory => return Err(error),
                }
            }
        };
    }
    Ok(answers)
}

fn unknown(why: String) -> Permission {
    Permission { read: Known::Unknown, why }
}
