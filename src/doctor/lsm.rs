//! Security modules that judge mounts and readers besides us.

use std::path::Path;

use super::finding::Finding;
use crate::config::Config;

const NAME: &str = "lsm";
/// Where Ubuntu's profile of fusermount3 lets users mount, and what it is in.
const PROFILE: &str = "/etc/apparmor.d/fusermount3";

/// Nothing to say where there is none that matters.
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if std::fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|mode| mode.trim() == "1") {
        findings.push(
            Finding::note(NAME, "SELinux is enforcing")
                .why("files of a FUSE mount have the type fusefs_t, which confined services may not read until a policy allows it")
                .mend("ausearch -m avc -ts recent | audit2allow -M hushfs && semodule -i hushfs.pp"),
        );
    }
    let confines = Path::new("/sys/kernel/security/apparmor").exists() || Path::new("/sys/module/apparmor").exists();
    if confines && !super::is_root() && Path::new(PROFILE).exists() {
        let at = config.mountpoint.display();
        findings.push(
            Finding::note(NAME, "AppArmor has a profile for fusermount3")
                .why(format!("it lets users mount below their home and a few other places only; look whether {at} is one"))
                .mend(format!("add `mount fstype=fuse.hushfs -> {at}/,` and the same for umount to /etc/apparmor.d/local/fusermount3, and reload it")),
        );
    }
    findings
}
