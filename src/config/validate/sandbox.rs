//! `[sandbox]`

use std::path::PathBuf;

use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::{OwnUser, SandboxSettings};
use crate::config::written::{Item, Value};

const PORTS: &str = "a list of TCP ports, such as [8443]";
const PATHS: &str = "a list of absolute paths";

pub fn read(section: &Section<'_>) -> SandboxSettings {
    let default = SandboxSettings::default();
    let layer = |key: &'static str, default: bool| section.boolean(key).unwrap_or(default);
    let settings = SandboxSettings {
        user: user(section).unwrap_or(default.user),
        capabilities: layer("capabilities", default.capabilities),
        no_new_privileges: layer("no_new_privileges", default.no_new_privileges),
        landlock: layer("landlock", default.landlock),
        seccomp: layer("seccomp", default.seccomp),
        read: paths(section, "read"),
        write: paths(section, "write"),
        programs: paths(section, "programs"),
        connect: ports(section),
    };
    // The kernel takes both only from who cannot gain by starting a program, or is root.
    if let (false, true, Some(item)) =
        (settings.no_new_privileges, settings.landlock || settings.seccomp, section.get("no_new_privileges"))
    {
        section.add(
            Diagnostic::error(format!("{} is off and another layer needs it", section.name("no_new_privileges")))
                .at(item.place.clone())
                .label("`landlock` and `seccomp` hold only where no new privileges can be had")
                .help("set landlock = false and seccomp = false as well"),
        );
    }
    settings
}

/// A layer as the others are, which can be given a name.
fn user(section: &Section<'_>) -> Option<OwnUser> {
    const EXPECTED: &str = "true, false or the name of a user";
    match section.get("user")?.value {
        Value::Boolean(is_wanted) => Some(if is_wanted { OwnUser::Usual } else { OwnUser::No }),
        _ => section.string("user", EXPECTED).map(|(name, _)| OwnUser::Named(name.to_owned())),
    }
}

fn paths(section: &Section<'_>, key: &'static str) -> Vec<PathBuf> {
    let absolute = |(text, item): (&str, &Item)| {
        if text.starts_with('/') {
            return Some(PathBuf::from(text));
        }
        section.refuse(key, item, "absolute paths, which start with `/`");
        None
    };
    section.texts(key, PATHS).unwrap_or_default().into_iter().filter_map(absolute).collect()
}

fn ports(section: &Section<'_>) -> Vec<u16> {
    let Some(item) = section.get("connect") else { return Vec::new() };
    let Value::Array(elements) = &item.value else {
        section.add(section.wrong_type("connect", item, PORTS));
        return Vec::new();
    };
    let port = |element: &Item| match element.value {
        Value::Integer(Some(number)) if (1..=i128::from(u16::MAX)).contains(&number) => u16::try_from(number).ok(),
        Value::Integer(_) => {
            section.refuse("connect", element, "ports from 1 to 65535");
            None
        }
        _ => {
            section.add(section.wrong_type("connect", element, PORTS));
            None
        }
    };
    elements.iter().filter_map(port).collect()
}
