//! `[sandbox]`

use std::path::{Path, PathBuf};

use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::SandboxSettings;
use crate::config::written::{Item, Value};

const PORTS: &str = "a list of TCP ports, such as [8443]";
const PATHS: &str = "a list of absolute paths";

pub fn read(section: &Section<'_>) -> SandboxSettings {
    let default = SandboxSettings::default();
    let layer = |key: &'static str, default: bool| section.boolean(key).unwrap_or(default);
    let settings = SandboxSettings {
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

/// Warns of a file or socket right in a folder that is not its own: the rules of the kernel are for the folder, with all
/// that is below. `what` the daemon may do there.
pub fn judge_folder(section: &Section<'_>, key: &'static str, path: &Path, what: &str) {
    let (Some(folder), Some(item)) = (path.parent(), section.get(key)) else { return };
    if is_shared(folder, std::env::var_os("HOME").map(PathBuf::from).as_deref()) {
        section.add(
            Diagnostic::warning(format!("{} is right in {}", section.name(key), folder.display()))
                .at(item.place.clone())
                .label(format!("whoever takes over the daemon may {what}"))
                .help("give it a folder of its own below that one"),
        );
    }
}

fn is_shared(folder: &Path, home: Option<&Path>) -> bool {
    const SHARED: &[&str] =
        &["/", "/etc", "/home", "/root", "/run", "/tmp", "/var", "/var/log", "/var/run", "/var/tmp"];
    SHARED.iter().any(|shared| folder == Path::new(shared))
        || folder.parent() == Some(Path::new("/home"))
        || home == Some(folder)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_all_and_homes_are_shared_and_others_are_not() {
        let is = |folder: &str| is_shared(Path::new(folder), Some(Path::new("/srv/me")));
        for shared in ["/", "/var/log", "/run", "/root", "/home/somebody", "/srv/me"] {
            assert!(is(shared), "{shared}");
        }
        for own in ["/var/log/hushfs", "/run/hushfs", "/home/somebody/log", "/srv/me/log"] {
            assert!(!is(own), "{own}");
        }
    }
}
