//! Whose policies IAM is asked about.

use crate::provider::text::clean;

/// A user or a role, by an ARN that IAM can simulate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Principal {
    pub(super) arn: String,
    pub(super) account: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Role,
}

/// An ARN's parts, `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
struct Arn<'a> {
    partition: &'a str,
    service: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (_region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        let whole = arn == "arn" && plain && [partition, service, account, resource].iter().all(|it| !it.is_empty());
        whole.then_some(Self { partition, service, account, resource })
    }
}

/// The account in any ARN.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    Arn::parse(arn).map(|arn| arn.account)
}

/// Ourselves, from what STS calls us. `taken_on` is the role that the scope's settings name: STS leaves a
/// role's path out. The error is why IAM cannot be asked.
pub(super) fn ourselves(caller: &str, taken_on: Option<&str>) -> Result<Principal, String> {
    let cannot = |why: &str| Err(format!("{} {why}", clean(caller)));
    let Some(arn) = Arn::parse(caller) else { return cannot("is not an ARN that IAM could be asked about") };
    let account = arn.account.to_owned();
    match (arn.service, arn.resource.split_once('/')) {
        ("iam", None) if arn.resource == "root" => cannot("is the account's root, which is above its policies"),
        ("iam", Some(("user", name))) if !name.is_empty() => {
            Ok(Principal { arn: caller.to_owned(), account, kind: Kind::User })
        }
        ("sts", Some(("assumed-role", rest))) => {
            let name = rest.split('/').next().unwrap_or_default();
            if name.is_empty() {
                return cannot("names no role");
            }
            let whole = taken_on.filter(|role| is_role_called(role, &account, name));
            let arn = whole.map_or_else(|| format!("arn:{}:iam::{account}:role/{name}", arn.partition), str::to_owned);
            Ok(Principal { arn, account, kind: Kind::Role })
        }
        _ => cannot("is neither a user nor a role: IAM simulates no others"),
    }
}

/// A role of an `[[identity]]`, asked about with the credentials of `caller`.
pub(super) fn role(role_arn: &str, caller: &str) -> Result<Principal, String> {
    let cannot = |why: &str| Err(format!("{} {why}", clean(role_arn)));
    let Some(arn) = Arn::parse(role_arn).filter(|arn| arn.service == "iam" && arn.resource.starts_with("role/")) else {
        return cannot("is not the ARN of a role");
    };
    if account_of(caller) != Some(arn.account) {
        return cannot("is of another account than ours, whose policies IAM does not simulate for us");
    }
    Ok(Principal { arn: role_arn.to_owned(), account: arn.account.to_owned(), kind: Kind::Role })
}

fn is_role_called(role_arn: &str, account: &str, name: &str) -> bool {
    Arn::parse(role_arn).is_some_and(|arn| {
        arn.service == "iam"
            && arn.account == account
            && arn.resource.strip_prefix("role/").is_some_and(|path| path.rsplit('/').next() == Some(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn_of(caller: &str, taken_on: Option<&str>) -> String {
        ourselves(caller, taken_on).unwrap().arn
    }

    #[test]
    fn a_user_is_asked_about_as_it_is_path_included() {
        let user = "arn:aws:iam::123456789012:user/ops/alice";
        assert_eq!(arn_of(user, None), user);
    }

    #[test]
    fn a_session_of_a_role_is_asked_about_as_its_role() {
        let session = "arn:aws-cn:sts::123456789012:assumed-role/reader/hushfs-web";
        assert_eq!(arn_of(session, None), "arn:aws-cn:iam::123456789012:role/reader");
        let with_path = "arn:aws-cn:iam::123456789012:role/apps/reader";
        assert_eq!(arn_of(session, Some(with_path)), with_path);
    }

    #[test]
    fn a_role_that_is_not_the_one_of_the_session_is_not_asked_about_instead() {
        let session = "arn:aws:sts::123456789012:assumed-role/reader/s";
        for other in [
            "arn:aws:iam::123456789012:role/writer",
            "arn:aws:iam::999999999999:role/reader",
            "arn:aws:iam::123456789012:user/reader",
            "reader",
            "",
        ] {
            assert_eq!(arn_of(session, Some(other)), "arn:aws:iam::123456789012:role/reader", "{other}");
        }
    }

    #[test]
    fn root_and_the_like_cannot_be_asked_about() {
        let root = ourselves("arn:aws:iam::123456789012:root", None).unwrap_err();
        assert!(root.contains("above its policies"), "{root}");
        for caller in [
            "arn:aws:sts::123456789012:federated-user/bob",
            "arn:aws:sts::123456789012:assumed-role/",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:group/g",
            "arn:aws:iam::123456789012",
            "arn:::::",
            "",
            "arn:aws:iam::1:user/a\nb",
        ] {
            let why = ourselves(caller, None).unwrap_err();
            assert!(!why.contains('\n'), "{why:?}");
        }
    }

    #[test]
    fn a_role_of_another_account_cannot_be_asked_about() {
        let caller = "arn:aws:iam::123456789012:user/daemon";
        let ours = "arn:aws:iam::123456789012:role/apps/reader";
        assert_eq!(role(ours, caller).unwrap().arn, ours);
        assert!(role("arn:aws:iam::999999999999:role/reader", caller).unwrap_err().contains("another account"));
        assert!(role("arn:aws:iam::123456789012:user/u", caller).unwrap_err().contains("not the ARN of a role"));
    }
}
