//! The role of an `[[identity]]`, for one caller.

use nix::errno::Errno;
use nix::unistd::{Uid, User};
use tokio::sync::Semaphore;

use crate::config::{ActsAs, AssumeRole, IdentityRole};
use crate::provider::{Acting, Error, ErrorKind};

/// The longest session name that STS takes, in characters.
const LONGEST_SESSION: usize = 64;
/// The longest part of it that is the host's, so that there is room for the user.
const LONGEST_HOST: usize = 32;

/// Questions to the host's name service at a time. Nothing ends one that hangs, and it holds a thread of those that
/// all of the daemon has for what blocks.
static LOOKUPS: Semaphore = Semaphore::const_new(8);

/// A role, and for whom it is taken on.
#[derive(Debug, Clone)]
pub(super) struct Role {
    settings: IdentityRole,
    user: Option<u32>,
}

/// A role as STS is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) role_arn: String,
    pub(super) external_id: Option<String>,
    pub(super) name: String,
}

impl Role {
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if it is no role.
    pub(super) fn of(acting: Acting<'_>) -> Result<Self, Error> {
        match acting.acts_as {
            ActsAs::AwsRole(settings) => Ok(Self { settings: settings.clone(), user: acting.user }),
            ActsAs::GcpServiceAccount(_) | ActsAs::VaultRole(_) | ActsAs::KubernetesServiceAccount(_) => {
                Err(acting.is_nobody_at("AWS"))
            }
        }
    }

    /// Asks the host's name service for the user, which may take its time.
    ///
    /// # Errors
    /// It does not say: the session would not be called after the caller, and be given what that one is not.
    pub(super) async fn session(&self, host: &str) -> Result<Session, Error> {
        let user = match self.user {
            Some(uid) if self.texts().any(|text| text.contains("{user}")) => {
                name_of(uid, |uid| Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name))).await?
            }
            _ => String::new(),
        };
        Ok(self.filled(host, &user))
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        [Some(self.settings.session_name.as_str()), self.settings.external_id.as_deref()].into_iter().flatten()
    }

    fn filled(&self, host: &str, user: &str) -> Session {
        let uid = self.user.map(|uid| uid.to_string()).unwrap_or_default();
        let fill = |text: &str| {
            let filled = text.replace("{host}", &plain(host, LONGEST_HOST)).replace("{uid}", &uid);
            filled.replace("{user}", &plain(user, LONGEST_SESSION))
        };
        Session {
            role_arn: self.settings.role_arn.clone(),
            external_id: self.settings.external_id.as_deref().map(fill),
            name: fill(&self.settings.session_name).chars().take(LONGEST_SESSION).collect(),
        }
    }
}

/// What a user is called; by number where the host has no such user.
async fn name_of(uid: u32, ask: fn(u32) -> Result<Option<String>, Errno>) -> Result<String, Error> {
    let fail = |why: String| {
        let text = format!("the host's name service does not say who the user {uid} is: {why}");
        Err(Error::new(ErrorKind::Unreachable, text))
    };
    let Ok(permit) = LOOKUPS.acquire().await else { return fail("it was given up".into()) };
    let asked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        ask(uid)
    });
    match asked.await {
        Ok(Ok(Some(name))) => Ok(name),
        // getpwnam(3) has these for a user who is not there.
        Ok(Ok(None) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM)) => Ok(format!("uid{uid}")),
        Ok(Err(error)) => fail(error.to_string()),
        Err(_) => fail("it was given up".into()),
    }
}

/// A session of a scope's own role is called after the host.
pub(super) fn own_session(role: &AssumeRole, host: &str) -> Session {
    Session {
        role_arn: role.role_arn.clone(),
        external_id: role.external_id.clone(),
        name: format!("hushfs-{}", plain(host, LONGEST_SESSION)).chars().take(LONGEST_SESSION).collect(),
    }
}

/// Of the characters that STS takes in a session's name, and no longer than `most`.
fn plain(text: &str, most: usize) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "=,.@-_".contains(c) { c } else { '-' };
    text.trim().chars().map(allowed).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(host: &str) -> String {
        let role = AssumeRole { role_arn: "arn:aws:iam::123456789012:role/x".into(), external_id: None };
        own_session(&role, host).name
    }

    #[test]
    fn any_host_name_makes_a_session_name_that_sts_takes() {
        assert_eq!(own("web-1.example\n"), "hushfs-web-1.example");
        assert_eq!(own(""), "hushfs-");
        assert_eq!(own("ü b/c"), "hushfs---b-c");
        assert_eq!(own(&"x".repeat(300)).len(), 64);
    }

    fn filled(session_name: &str, host: &str, user: &str) -> Session {
        let settings = IdentityRole {
            role_arn: "arn:aws:iam::123456789012:role/airflow".into(),
            external_id: Some("{host}:{uid}".into()),
            session_name: session_name.into(),
        };
        Role { settings, user: Some(1000) }.filled(host, user)
    }

    #[test]
    fn a_session_names_the_host_and_the_caller() {
        let session = filled("hushfs-{host}-{user}", "web-1\n", "ann");
        assert_eq!(session.name, "hushfs-web-1-ann");
        assert_eq!(session.external_id.as_deref(), Some("web-1:1000"));
    }

    #[tokio::test]
    async fn a_user_whose_name_is_not_known_is_not_called_something_else() {
        assert_eq!(name_of(7, |_| Ok(Some("ann".into()))).await.unwrap(), "ann");
        for nobody in [|_| Ok(None), |_| Err(Errno::ENOENT)] {
            assert_eq!(name_of(7, nobody).await.unwrap(), "uid7");
        }
        let error = name_of(7, |_| Err(Errno::EMFILE)).await.unwrap_err();
        assert!(error.kind == ErrorKind::Unreachable && error.detail.contains("user 7"), "{error}");
    }

    #[test]
    fn a_name_service_that_hangs_holds_a_few_threads_however_many_ask() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        use std::time::Duration;

        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let all = (0..100).map(|uid| {
                let hangs = name_of(uid, |_| {
                    ASKED.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1500));
                    Ok(None)
                });
                tokio::spawn(tokio::time::timeout(Duration::from_millis(500), hangs))
            });
            for one in all.collect::<Vec<_>>() {
                assert!(one.await.unwrap().is_err());
            }
            assert!((1..=8).contains(&ASKED.load(Ordering::SeqCst)));
        });
    }

    #[test]
    fn a_long_host_name_leaves_room_for_the_caller() {
        let session = filled("hushfs-{host}-{user}", &"x".repeat(300), "ann");
        assert!(session.name.ends_with("-ann") && session.name.len() <= 64, "{}", session.name);
        assert!(filled("{user}", "h", &"ü".repeat(300)).name.len() <= 64);
    }
}
