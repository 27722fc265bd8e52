//! What every daemon reaches: what the C library asks about names, users and hosts, the authorities that TLS trusts, the
//! kernel's own files.

use std::path::{Path, PathBuf};

use super::{Reach, environment, existing};

/// All of `/etc`, and not only the files of it that are asked for: `resolv.conf`, `passwd` and their like are replaced by
/// renaming, and rules can be had for what is there now or for the folder.
const READ: &[&str] = &[
    "/etc",
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/proc",
    "/run/NetworkManager",
    "/run/host/userdb",
    "/run/resolvconf",
    "/run/systemd",
    "/run/nscd",
    "/run/userdb",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/var/db",
    "/var/lib/ca-certificates",
    "/var/lib/extrausers",
    "/var/lib/misc",
    "/var/lib/sss",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];
/// Links that lead to where the host keeps the file.
const LINKS: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/localtime"];
/// Where programs and what they load are.
const PROGRAMS: &[&str] = &["/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/opt", "/nix/store"];
/// Of names, over TCP where an answer is long.
const DNS: u16 = 53;

pub fn add(reach: &mut Reach) {
    reach.read.extend(READ.iter().filter_map(|path| Path::new(path).canonicalize().ok()));
    for link in LINKS {
        if let Some(folder) = Path::new(link).canonicalize().ok().as_deref().and_then(Path::parent).and_then(existing) {
            reach.read.insert(folder);
        }
    }
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "CREDENTIALS_DIRECTORY"] {
        if let Some(path) = environment::path(name) {
            reach.folder(&path);
        }
    }
    if let Some(file) = environment::path("SSL_CERT_FILE") {
        reach.file(&file);
    }
    reach.connect.insert(DNS);
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        if let Some(address) = environment::text(name) {
            reach.address(&address);
        }
    }
}

/// What programs that are started need: others, which they start in their turn, and what they load.
pub fn add_programs(reach: &mut Reach) {
    let folders: Vec<PathBuf> = PROGRAMS.iter().filter_map(|path| Path::new(path).canonicalize().ok()).collect();
    reach.read.extend(folders.iter().cloned().chain(reach.programs.iter().cloned()));
    reach.programs.extend(folders);
}
