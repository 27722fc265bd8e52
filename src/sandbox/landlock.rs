//! Landlock: which files may be opened, to which ports of TCP may be connected, and that no process outside is signalled,
//! looked into, or spoken to over a socket without a path. None is listened on: sockets are bound before.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::hidepid::{self, Shows};
use super::layer::{Layer, State};
use super::reach::Reach;
use crate::words::counted;

/// The setting.
pub const NAME: &str = "landlock";
/// What of it we know and ask for: files, ioctl, network, scopes (Linux 6.12).
pub const KNOWN: ABI = ABI::V6;
/// `LANDLOCK_CREATE_RULESET_VERSION`.
const ASK_FOR_VERSION: u32 = 1;

/// For this thread, and for those that it starts; for good.
///
/// # Errors
/// Where a kernel that has it refuses it.
pub fn enter(reach: &Reach) -> io::Result<Layer> {
    if is_blind() {
        // Shown to who may look into them alone, which Landlock takes from everybody. Without it nobody who asks is known.
        return Err(io::Error::other(
            "/proc is mounted with hidepid, and callers could not be told apart: mount it with hidepid=0, or with \
             hidepid=invisible and the gid= of a group of the daemon's",
        ));
    }
    // Something that keeps us from it is not a kernel that lacks it.
    match probe() {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)) => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let status = restrict(reach).map_err(io::Error::other)?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    };
    let (state, detail) = match status.ruleset {
        RulesetStatus::FullyEnforced => {
            let (folders, ports) = (reach.read.len(), reach.connect.len());
            (State::On, format!("{}, {}", counted(folders, "folder"), counted(ports, "port")))
        }
        RulesetStatus::PartiallyEnforced => (
            State::Partial,
            format!("version {abi} of it, and it has all that is used from version {} on", KNOWN as i32),
        ),
        RulesetStatus::NotEnforced => (State::Unavailable, "it came with Linux 5.13, and must be in lsm=".to_owned()),
    };
    Ok(Layer { name: NAME.to_owned(), state, detail })
}

fn restrict(reach: &Reach) -> Result<landlock::RestrictionStatus, RulesetError> {
    // A socket without a path is outside unless nobody there is to be told.
    let tells_abstractly = std::env::var_os("NOTIFY_SOCKET").is_some_and(|at| at.as_encoded_bytes().starts_with(b"@"));
    let scopes = if tells_abstractly { Scope::Signal.into() } else { Scope::AbstractUnixSocket | Scope::Signal };
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(scopes)?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write =
        AccessFs::from_all(KNOWN) & !make_bitflags!(AccessFs::{Execute | IoctlDev | MakeChar | MakeBlock | Refer});
    let mut ruleset = ruleset;
    for (paths, access) in [(&reach.read, read), (&reach.write, write), (&reach.programs, read | AccessFs::Execute)] {
        ruleset = allow(ruleset, paths, access)?;
    }
    ruleset = allow(ruleset, &[PathBuf::from("/dev/null")].into(), make_bitflags!(AccessFs::{ReadFile | WriteFile}))?;
    for port in &reach.connect {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    ruleset.restrict_self()
}

fn allow(
    mut ruleset: RulesetCreated,
    paths: &BTreeSet<PathBuf>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        // Gone since, or not for this user: then there is nothing to reach.
        let (Ok(found), Ok(descriptor)) = (path.metadata(), PathFd::new(path)) else { continue };
        let access = if found.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
        if !access.is_empty() {
            ruleset = ruleset.add_rule(PathBeneath::new(descriptor, access))?;
        }
    }
    Ok(ruleset)
}

/// What this thread opens from now on can be shortened by nobody that it is given to, either (Linux 6.2). For good.
///
/// # Errors
/// Where a kernel that has it refuses it.
pub fn forbid_truncation() -> io::Result<()> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let entered = ruleset.handle_access(AccessFs::Truncate).and_then(|it| it.create()?.restrict_self());
    entered.map(drop).map_err(io::Error::other)
}

/// Of the kernel; None where it has none, or has it turned off.
pub fn version() -> Option<i32> {
    probe().ok()
}

fn probe() -> io::Result<i32> {
    // SAFETY: asked for the version alone, the call reads no memory.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, ASK_FOR_VERSION) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(answer).map_err(io::Error::other) }
}

/// Does `/proc` show other processes to none of this process's groups?
pub fn is_blind() -> bool {
    let group = match hidepid::shows() {
        Shows::All => return false,
        Shows::ToGroup(group) => group,
        Shows::ToTracers => return true,
    };
    let groups = rustix::process::getgroups().unwrap_or_default();
    !groups.iter().chain([&rustix::process::getegid()]).any(|of| of.as_raw() == group)
}
