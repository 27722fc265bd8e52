//! Who started the daemon: whose files it reads, whom its files are shown to belong to, and who may ask it.

use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

static OWNER: OnceLock<Owner> = OnceLock::new();

/// Who it was before it became another.
pub fn owner() -> Owner {
    let now = || Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    *OWNER.get_or_init(now)
}
