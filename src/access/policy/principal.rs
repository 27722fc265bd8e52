//! Whom a statement is about.

use std::fmt;

use thiserror::Error;

use super::glob::{Glob, GlobError};
use super::path_glob::PathGlob;
use super::subject::{Finding, Subject};

/// What the kernel gives for an id that it cannot map; nobody has it.
pub const NO_ID: u32 = u32::MAX;

/// The units that processes can be in.
const UNIT_SUFFIXES: &[&str] = &[".service", ".scope", ".socket", ".mount", ".swap"];

/// The length of the ids of containers, in hexadecimal digits.
const CONTAINER_ID: usize = 64;

/// One kind of caller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    Everyone,
    User(u32),
    /// By any of the caller's groups, supplementary ones included.
    Group(u32),
    Unit(Glob),
    /// A control group and those below it, for a process can make itself one below its own.
    Cgroup(PathGlob),
    Container(Glob),
    Executable(PathGlob),
}

/// The principals that permission bits cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    Unit,
    Cgroup,
    Container,
    Executable,
}

impl Condition {
    pub const ALL: [Self; 4] = [Self::Unit, Self::Cgroup, Self::Container, Self::Executable];

    /// What is known about it.
    pub fn finding<'a>(self, subject: &Subject<'a>) -> Finding<'a> {
        match self {
            Self::Unit => subject.evidence.unit(),
            Self::Cgroup => subject.evidence.cgroup(),
            Self::Container => subject.evidence.container(),
            Self::Executable => subject.evidence.executable(),
        }
    }
}

/// Is the caller one that the principal means?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    Yes,
    No,
    /// It cannot be known. For an allow that is no, for a deny it is yes.
    Unknown,
}

impl Principal {
    /// Which condition it is, if it is one.
    pub fn condition(&self) -> Option<Condition> {
        match self {
            Self::Everyone | Self::User(_) | Self::Group(_) => None,
            Self::Unit(_) => Some(Condition::Unit),
            Self::Cgroup(_) => Some(Condition::Cgroup),
            Self::Container(_) => Some(Condition::Container),
            Self::Executable(_) => Some(Condition::Executable),
        }
    }

    pub fn matches(&self, subject: &Subject<'_>) -> Match {
        let sure = |yes| if yes { Match::Yes } else { Match::No };
        match self {
            Self::Everyone | Self::User(_) if subject.uid == NO_ID => Match::Unknown,
            Self::Everyone => Match::Yes,
            Self::User(uid) => sure(subject.uid == *uid),
            Self::Group(gid) if subject.groups.contains(gid) => Match::Yes,
            Self::Group(_) => {
                if subject.groups_complete {
                    Match::No
                } else {
                    Match::Unknown
                }
            }
            Self::Unit(_) | Self::Cgroup(_) | Self::Container(_) | Self::Executable(_) => {
                match self.condition().map_or(Finding::Unknown, |condition| condition.finding(subject)) {
                    Finding::Is(text) => sure(self.describes(text)),
                    Finding::Absent => Match::No,
                    Finding::Unknown => Match::Unknown,
                }
            }
        }
    }

    /// Is the caller one of these?
    pub fn any(principals: &[Self], subject: &Subject<'_>) -> Match {
        principals.iter().map(|principal| principal.matches(subject)).fold(Match::No, |so_far, next| {
            match (so_far, next) {
                (Match::Yes, _) | (_, Match::Yes) => Match::Yes,
                (Match::Unknown, _) | (_, Match::Unknown) => Match::Unknown,
                (Match::No, Match::No) => Match::No,
            }
        })
    }

    /// Of a condition: does it describe what was found?
    pub(super) fn describes(&self, found: &str) -> bool {
        match self {
            Self::Everyone | Self::User(_) | Self::Group(_) => false,
            Self::Unit(glob) | Self::Container(glob) => glob.matches(found),
            Self::Cgroup(glob) => glob.matches_or_above(parts(found)),
            Self::Executable(glob) => glob.matches(parts(found)),
        }
    }

    /// Of a condition that describes one thing only: that thing, as an [`super::Evidence`] would say it.
    pub(super) fn literal(&self) -> Option<String> {
        match self {
            Self::Unit(glob) | Self::Container(glob) => glob.is_literal().then(|| glob.to_string()),
            Self::Cgroup(glob) | Self::Executable(glob) => glob.is_literal().then(|| format!("/{glob}")),
            Self::Everyone | Self::User(_) | Self::Group(_) => None,
        }
    }

    /// Of a condition: what everything that it describes begins with, in the same spelling.
    pub(super) fn prefix(&self) -> String {
        match self {
            Self::Unit(glob) | Self::Container(glob) => glob.prefix().to_owned(),
            Self::Cgroup(glob) | Self::Executable(glob) => glob.prefix(),
            Self::Everyone | Self::User(_) | Self::Group(_) => String::new(),
        }
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// As it can be written, ids for names.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::User(uid) => write!(f, "uid:{uid}"),
            Self::Group(gid) => write!(f, "gid:{gid}"),
            Self::Unit(glob) => write!(f, "unit:{glob}"),
            Self::Cgroup(glob) => write!(f, "cgroup:/{glob}"),
            Self::Container(glob) => write!(f, "container:{glob}"),
            Self::Executable(glob) => write!(f, "exe:/{glob}"),
        }
    }
}

/// Names to ids. An error, in words, is when they cannot be looked up at all.
pub trait Accounts {
    fn uid(&self, user: &str) -> Result<Option<u32>, String>;
    fn gid(&self, group: &str) -> Result<Option<u32>, String>;
}

/// A host without any.
#[cfg(test)]
pub struct NoAccounts;

#[cfg(test)]
impl Accounts for NoAccounts {
    fn uid(&self, _: &str) -> Result<Option<u32>, String> {
        Ok(None)
    }

    fn gid(&self, _: &str) -> Result<Option<u32>, String> {
        Ok(None)
    }
}

/// Why a text is no principal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrincipalError {
    #[error("it does not say of what kind it is")]
    NoKind,
    #[error("there is no kind of principal called `{0}`")]
    UnknownKind(String),
    #[error("nothing follows the `:`")]
    Empty,
    #[error("it is not a number from 0 to 4294967294")]
    NotAnId,
    #[error("there is no such user on this host")]
    UnknownUser,
    #[error("there is no such group on this host")]
    UnknownGroup,
    #[error("it cannot be looked up: {0}")]
    Lookup(String),
    #[error("the path does not start with `/`")]
    RelativePath,
    #[error("no process is in a unit of that name: the name ends with none of {}", UNIT_SUFFIXES.join(", "))]
    UnitSuffix,
    #[error("a template is no unit that runs")]
    UnitTemplate,
    #[error("the id of a container has {CONTAINER_ID} digits")]
    ShortContainerId,
    #[error(transparent)]
    Glob(#[from] GlobError),
}

impl Principal {
    /// The kinds, as they are written before the `:`.
    pub const KINDS: &[&str] = &["user", "uid", "group", "gid", "unit", "cgroup", "container", "exe"];

    /// `user:NAME`, `uid:N`, `group:NAME`, `gid:N`, `unit:GLOB`, `cgroup:/GLOB`, `container:GLOB`, `exe:/GLOB`
    /// or `everyone`.
    pub fn parse(text: &str, accounts: &dyn Accounts) -> Result<Self, PrincipalError> {
        if text == "everyone" {
            return Ok(Self::Everyone);
        }
        let (kind, what) = text.split_once(':').ok_or(PrincipalError::NoKind)?;
        if !Self::KINDS.contains(&kind) {
            return Err(PrincipalError::UnknownKind(kind.to_owned()));
        }
        if what.is_empty() {
            return Err(PrincipalError::Empty);
        }
        match kind {
            "user" => match accounts.uid(what).map_err(PrincipalError::Lookup)? {
                Some(uid) if uid != NO_ID => Ok(Self::User(uid)),
                _ => Err(PrincipalError::UnknownUser),
            },
            "group" => match accounts.gid(what).map_err(PrincipalError::Lookup)? {
                Some(gid) if gid != NO_ID => Ok(Self::Group(gid)),
                _ => Err(PrincipalError::UnknownGroup),
            },
            "uid" => id(what).map(Self::User),
            "gid" => id(what).map(Self::Group),
            "unit" => unit(what),
            "container" => container(what),
            "cgroup" => Ok(Self::Cgroup(path(what)?)),
            _ => Ok(Self::Executable(path(what)?)),
        }
    }
}

fn id(text: &str) -> Result<u32, PrincipalError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let id: Option<u32> = if digits { text.parse().ok() } else { None };
    id.filter(|id| *id != NO_ID).ok_or(PrincipalError::NotAnId)
}

fn unit(text: &str) -> Result<Principal, PrincipalError> {
    let glob = Glob::parse(text)?;
    let Some(suffix) = UNIT_SUFFIXES.iter().find(|suffix| text.ends_with(**suffix)) else {
        return Err(PrincipalError::UnitSuffix);
    };
    match text.strip_suffix(suffix) {
        Some("") => Err(PrincipalError::Empty),
        Some(name) if name.ends_with('@') => Err(PrincipalError::UnitTemplate),
        _ => Ok(Principal::Unit(glob)),
    }
}

fn container(text: &str) -> Result<Principal, PrincipalError> {
    let glob = Glob::parse(text)?;
    // What `docker ps` prints is the start of an id and would match none.
    let hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if hexadecimal && (12..CONTAINER_ID).contains(&text.len()) {
        return Err(PrincipalError::ShortContainerId);
    }
    Ok(Principal::Container(glob))
}

fn path(text: &str) -> Result<PathGlob, PrincipalError> {
    let relative = text.strip_prefix('/').ok_or(PrincipalError::RelativePath)?;
    Ok(PathGlob::parse(relative)?)
}

#[cfg(test)]
mod tests {
    use super::super::subject::{Evidence, NoEvidence};
    use super::*;

    struct Two;

    impl Accounts for Two {
        fn uid(&self, user: &str) -> Result<Option<u32>, String> {
            if user == "broken" { Err("no answer".into()) } else { Ok((user == "ann").then_some(1000)) }
        }

        fn gid(&self, group: &str) -> Result<Option<u32>, String> {
            Ok((group == "airflow").then_some(50))
        }
    }

    struct Process(Finding<'static>);

    impl Evidence for Process {
        fn unit(&self) -> Finding<'_> {
            self.0
        }

        fn cgroup(&self) -> Finding<'_> {
            self.0
        }

        fn container(&self) -> Finding<'_> {
            self.0
        }

        fn executable(&self) -> Finding<'_> {
            self.0
        }
    }

    fn parse(text: &str) -> Result<Principal, PrincipalError> {
        Principal::parse(text, &Two)
    }

    fn found(principal: &str, finding: Finding<'static>) -> Match {
        let subject = Subject { uid: 1, groups: &[], groups_complete: true, evidence: &Process(finding) };
        parse(principal).unwrap().matches(&subject)
    }

    #[test]
    fn principals_are_read_and_written_alike() {
        for text in [
            "everyone",
            "uid:0",
            "gid:50",
            "unit:worker@*.service",
            "cgroup:/docker/*",
            "container:0a1b*",
            "exe:/usr/bin/psql",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("user:ann"), Ok(Principal::User(1000)));
        assert_eq!(parse("group:airflow"), Ok(Principal::Group(50)));
    }

    #[test]
    fn a_principal_that_nobody_can_be_is_refused() {
        for (text, error) in [
            ("ann", PrincipalError::NoKind),
            ("Everyone", PrincipalError::NoKind),
            ("grup:airflow", PrincipalError::UnknownKind("grup".into())),
            ("user:", PrincipalError::Empty),
            ("user:bob", PrincipalError::UnknownUser),
            ("user:broken", PrincipalError::Lookup("no answer".into())),
            ("group:ann", PrincipalError::UnknownGroup),
            ("uid:-1", PrincipalError::NotAnId),
            ("uid:+1", PrincipalError::NotAnId),
            ("uid:4294967295", PrincipalError::NotAnId),
            ("gid:99999999999", PrincipalError::NotAnId),
            ("unit:worker", PrincipalError::UnitSuffix),
            ("unit:worker.timer", PrincipalError::UnitSuffix),
            ("unit:.service", PrincipalError::Empty),
            ("unit:worker@.service", PrincipalError::UnitTemplate),
            ("container:4f5e6a7b8c9d", PrincipalError::ShortContainerId),
            ("exe:psql", PrincipalError::RelativePath),
            ("cgroup:docker/*", PrincipalError::RelativePath),
            ("exe:/", PrincipalError::Glob(GlobError::Empty)),
            ("exe:/usr/bin/[ab]", PrincipalError::Glob(GlobError::Unsupported('['))),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_cgroup_covers_those_below_it_and_an_executable_is_one_file() {
        assert_eq!(found("cgroup:/docker/*", Finding::Is("/docker/abc/init")), Match::Yes);
        assert_eq!(found("cgroup:/docker/*", Finding::Is("/docker")), Match::No);
        assert_eq!(found("cgroup:/docker", Finding::Is("/docker2")), Match::No);
        assert_eq!(found("exe:/usr/bin/*", Finding::Is("/usr/bin/psql")), Match::Yes);
        assert_eq!(found("exe:/usr/bin", Finding::Is("/usr/bin/psql")), Match::No);
        assert_eq!(found("unit:worker@*.service", Finding::Is("worker@1.service")), Match::Yes);
    }

    #[test]
    fn what_is_absent_is_no_and_what_is_unknown_is_neither() {
        for principal in ["unit:*.service", "cgroup:/**", "container:*", "exe:/**"] {
            assert_eq!(found(principal, Finding::Absent), Match::No);
            assert_eq!(found(principal, Finding::Unknown), Match::Unknown);
        }
        let nobody = Subject { uid: NO_ID, groups: &[], groups_complete: false, evidence: &NoEvidence };
        for principal in ["everyone", "uid:1", "gid:1"] {
            assert_eq!(parse(principal).unwrap().matches(&nobody), Match::Unknown);
        }
    }
}
