//! The control group, and the systemd unit and the container that it stands for.
//!
//! Nobody leaves their control group but by the will of whoever owns the ones above. What those own who are
//! given a group of their own (a user's systemd, a unit with `Delegate=`) they may arrange and name as they
//! like. So a unit is only what systemd itself looks for, from the top down, and not any name further in.

use super::thread::Thread;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: String,
    unit: Option<String>,
    user_unit: Option<String>,
    container: Option<Container>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// `docker`, `podman`, `containerd` or `cri-o`, where its name tells.
    pub runtime: Option<&'static str>,
    /// It lies in a group that someone else than root may have been given: the id is what they say it is.
    pub delegated: bool,
}

impl Cgroup {
    pub(super) fn of(thread: &Thread) -> Option<Self> {
        Self::from_lines(&String::from_utf8(thread.read("cgroup")?).ok()?)
    }

    /// From lines of `HIERARCHY:CONTROLLERS:PATH`.
    ///
    /// The hierarchy that systemd keeps counts: its own in the hybrid layout, else the unified one. Where
    /// systemd's is there and holds nothing, nobody keeps it.
    pub(super) fn from_lines(lines: &str) -> Option<Self> {
        let path_of = |wanted: &str| {
            lines.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                (controllers == wanted).then_some(path)
            })
        };
        let path = match (path_of("name=systemd"), path_of("")) {
            (Some("/"), Some(unified)) => unified,
            (Some(systemd), _) => systemd,
            (None, unified) => unified?,
        };
        Self::from_path(path)
    }

    pub(super) fn from_path(path: &str) -> Option<Self> {
        // A path with `..` is outside the cgroup namespace that we see from.
        let is_sound = path.starts_with('/') && !path.ends_with(" (deleted)");
        if !is_sound || path.split('/').any(|part| part == ".." || part == ".") {
            return None;
        }
        let mut parts = path.split('/').filter(|part| !part.is_empty()).skip_while(|part| is_slice(part));
        let unit = parts.next().and_then(unit_name);
        let user_unit = match unit {
            Some(manager) if manager.starts_with("user@") && manager.ends_with(".service") => {
                parts.find(|part| !is_slice(part)).and_then(unit_name)
            }
            _ => None,
        };
        Some(Self {
            path: path.to_owned(),
            unit: unit.map(str::to_owned),
            user_unit: user_unit.map(str::to_owned),
            container: Container::in_path(path),
        })
    }

    /// From the root of the cgroup namespace that the daemon is in.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The unit of the system's manager. For everything that a user's own manager runs it is
    /// `user@UID.service`.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The unit of a user's own manager: a name that the user chose. It lies in [`Self::unit`].
    pub fn user_unit(&self) -> Option<&str> {
        self.user_unit.as_deref()
    }

    /// The outermost container.
    pub fn container(&self) -> Option<&Container> {
        self.container.as_ref()
    }
}

fn is_slice(part: &str) -> bool {
    unescaped(part).strip_suffix(".slice").is_some_and(|name| !name.is_empty())
}

/// systemd puts a `_` before a name that the kernel might take for a file of its own.
fn unescaped(part: &str) -> &str {
    part.strip_prefix('_').unwrap_or(part)
}

/// The unit that a group of this name is of, if it is one's.
fn unit_name(part: &str) -> Option<&str> {
    let name = unescaped(part);
    let (stem, kind) = name.rsplit_once('.')?;
    let is_kind = matches!(kind, "service" | "scope" | "socket" | "mount" | "swap");
    let is_name = !stem.is_empty()
        && name.len() <= 255
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte));
    (is_kind && is_name).then_some(name)
}

impl Container {
    fn in_path(path: &str) -> Option<Self> {
        let mut delegated = false;
        let mut under_docker = false;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if let Some((id, runtime)) = container_id(part) {
                let runtime = runtime.or(under_docker.then_some("docker"));
                return Some(Self { id: id.to_owned(), runtime, delegated });
            }
            delegated |= unit_name(part).is_some();
            under_docker = part == "docker";
        }
        None
    }
}

/// The id in a group's name, and the runtime that names groups so. The groups of `conmon`, which only
/// watches a container, are not the container's.
fn container_id(part: &str) -> Option<(&str, Option<&'static str>)> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, id) = match name.rfind(['-', ':']) {
        Some(at) => (name.get(..at)?, name.get(at + 1..)?),
        None => ("", name),
    };
    if id.len() != 64 || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    match prefix {
        "" if part.len() == id.len() => Some((id, None)),
        "docker" => Some((id, Some("docker"))),
        "libpod" | "libpod-payload" => Some((id, Some("podman"))),
        "cri-containerd" | "nerdctl" | "containerd" => Some((id, Some("containerd"))),
        "crio" => Some((id, Some("cri-o"))),
        _ if prefix.ends_with(":cri-containerd") => Some((id, Some("containerd"))),
        _ => None,
    }
}

#[cfg(test)]
#[path = "cgroup_test.rs"]
mod tests;
