//! Can a user who is not root mount?

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::finding::Finding;

const NAME: &str = "fusermount3";
const SETUID: u32 = 0o4000;

pub fn check() -> Finding {
    if super::is_root() {
        return Finding::ok(NAME, "root mounts without it");
    }
    let Some(path) = find() else {
        return Finding::problem(NAME, "fusermount3 is not in the PATH")
            .why("it mounts for users other than root")
            .mend("apt-get install fuse3, or the package fuse3 of your distribution");
    };
    let shown = path.display();
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.uid() == 0 && metadata.mode() & SETUID != 0 => Finding::ok(NAME, format!("{shown}")),
        Ok(_) => Finding::problem(NAME, format!("{shown} does not run as root"))
            .why("it is not setuid root, so the kernel lets it mount nothing")
            .mend(format!("chown root {shown} && chmod u+s {shown}")),
        Err(error) => Finding::problem(NAME, format!("{shown} cannot be looked at: {error}")),
    }
}

fn find() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&paths).map(|directory| directory.join("fusermount3"));
    candidates.find(|path| std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0))
}
