//! The role of an `[[identity]]`, for one caller.

use nix::unistd::{Uid, User};

use crate::config::{ActsAs, AssumeRole, IdentityRole};
use crate::provider::Acting;

/// The longest session name that STS takes, in characters.
const LONGEST_SESSION: usize = 64;
/// The longest part of it that is the host's, so that there is room for the user.
const LONGEST_HOST: usize = 32;

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
    pub(super) fn of(acting: Acting<'_>) -> Self {
        let ActsAs::AwsRole(settings) = acting.acts_as;
        Self { settings: settings.clone(), user: acting.user }
    }

    /// Asks the host's name service for the user, which may take its time.
    pub(super) async fn session(&self, host: &str) -> Session {
        let user = match self.user {
            Some(uid) if self.texts().any(|text| text.contains("{user}")) => {
                let asked =
                    tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)).ok().flatten()).await;
                asked.ok().flatten().map_or_else(|| format!("uid{uid}"), |user| user.name)
            }
            _ => String::new(),
        };
        self.filled(host, &user)
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

    #[test]
    fn a_long_host_name_leaves_room_for_the_caller() {
        let session = filled("hushfs-{host}-{user}", &"x".repeat(300), "ann");
        assert!(session.name.ends_with("-ann") && session.name.len() <= 64, "{}", session.name);
        assert!(filled("{user}", "h", &"ü".repeat(300)).name.len() <= 64);
    }
}
