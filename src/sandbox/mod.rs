//! What the process gives up, so that a mistake elsewhere costs less.
//!
//! `process` comes first, before any value is in memory. The rest is entered at once ([`enter`]), before the daemon has any
//! thread but its first: what one thread gives up all later ones have given up. What the daemon needs more for, such as to
//! unmount, a process of its own does that was started before: [`crate::broker`].
//!
//! A layer that a setting does not turn off holds, or the daemon does not start; only one that the kernel does not have is
//! gone without, and said to be.

mod beside;
mod capabilities;
mod foreign;
mod hidepid;
#[cfg(debug_assertions)]
pub mod hostile;
mod in_memory;
mod landlock;
mod layer;
mod owner;
mod process;
mod reach;
mod seccomp;
mod system_calls;
mod user;

use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{Access, AtFlags};
use rustix::thread::{CapabilitySet, set_no_new_privs};
use thiserror::Error;

pub use self::beside::Beside;
pub use self::in_memory::holds as is_never_swapped;
pub use self::landlock::forbid_truncation;
pub use self::layer::{Layer, State};
pub use self::owner::{Owner, owner};
pub use self::process::{harden, hide};
use self::reach::Reach;
use crate::config::{Config, OwnUser, Source};

/// What the daemon's root needs of root's power, where it has it: to read what belongs to other users (stores, tokens),
/// and to lock memory for values beyond the limit.
const KEPT: CapabilitySet = CapabilitySet::DAC_READ_SEARCH.union(CapabilitySet::IPC_LOCK);
/// What its broker needs: to mount, to look which program a caller runs, and to find the way to the mountpoint.
const KEPT_BY_BROKER: CapabilitySet =
    CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYS_PTRACE).union(CapabilitySet::DAC_READ_SEARCH);

/// Why the daemon does not start.
#[derive(Debug, Error)]
pub enum SandboxError {
    #[error(
        "cannot give up what the daemon does not need ({layer}): {error}; to go without: {layer} = false in [sandbox]"
    )]
    Layer { layer: &'static str, error: io::Error },
    /// It would keep what the one that asks gives up.
    #[error("cannot give up what the daemon does not need: {0} threads run, and only one of them would; restart it")]
    Threads(usize),
    #[error(
        "cannot count the threads in /proc/self/task, so that none keeps what the daemon gives up: {0}; mount /proc"
    )]
    Uncounted(io::Error),
}

fn failed(layer: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |error| SandboxError::Layer { layer, error }
}

/// How often, and how far apart, the threads are counted: one that has been joined is gone a moment later.
const COUNTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

fn require_one_thread() -> Result<(), SandboxError> {
    let mut threads = 0;
    for _ in 0..COUNTS {
        threads = std::fs::read_dir("/proc/self/task").map_err(SandboxError::Uncounted)?.count();
        if threads == 1 {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(SandboxError::Threads(threads))
}

/// What holds of this process.
#[derive(Debug)]
struct Entered {
    layers: Vec<Layer>,
    /// What it was let through to; None where nothing is withheld.
    reach: Option<Reach>,
}

static ENTERED: OnceLock<Entered> = OnceLock::new();

/// What came of each layer; none before the sandbox is entered.
pub fn layers() -> &'static [Layer] {
    ENTERED.get().map_or(&[], |entered| &entered.layers)
}

/// What this process cannot do that it would have to with another configuration, in words: only a new one can. Empty
/// where nothing is lacking.
pub fn lacks(config: &Config, source: &Source) -> Vec<String> {
    let reach = ENTERED.get().and_then(|entered| entered.reach.as_ref());
    reach.map_or_else(Vec::new, |reach| reach.lacks(&Reach::of(config, source)))
}

/// What to say besides of a file or folder that cannot be opened: what keeps us from it, where it is not its permissions.
/// Landlock answers as they do, and nobody would look for it. Begins with `; `, and is empty where there is nothing to say.
pub fn why_withheld(path: &Path, error: &io::Error) -> &'static str {
    let withholds = || ENTERED.get().is_some_and(|entered| entered.reach.is_some());
    // Landlock has no word in this question, which is asked for the rights that a file is opened with.
    let may = || rustix::fs::accessat(rustix::fs::CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok();
    if error.raw_os_error() == Some(libc::EACCES) && withholds() && may() {
        "; its permissions allow it, so it is withheld by the sandbox that the daemon has entered (or by SELinux or AppArmor): \
         restart hushfs, which then looks anew at what it needs, or name the folder with `read` in [sandbox]"
    } else {
        ""
    }
}

/// Enters the sandbox, for good. To be called by the only thread that there is.
///
/// # Errors
/// Where there is another thread, and where a layer that is wanted, and that the kernel has, does not hold.
pub fn enter(config: &Config, source: &Source) -> Result<(), SandboxError> {
    require_one_thread()?;
    let settings = &config.sandbox;
    // What a library asks the kernel once, and must not ask in vain.
    let _ = (rustix::param::page_size(), rustix::param::clock_ticks_per_second());
    let mut layers = Vec::new();
    layers.push(if settings.no_new_privileges {
        set_no_new_privs(true).map_err(|errno| failed("no_new_privileges")(errno.into()))?;
        Layer::on("no_new_privileges", "")
    } else {
        Layer::off("no_new_privileges")
    });
    let reach = Reach::of(config, source);
    let user = user::enter(&settings.user, &reach).map_err(failed(user::NAME))?;
    let is_another = user.state == State::On;
    layers.push(user);
    // To look up a user is a library's affair, which may have started one.
    require_one_thread()?;
    layers.push(if settings.capabilities {
        capabilities::keep(KEPT).map_err(failed("capabilities"))?;
        let left = rustix::thread::capabilities(None).map_err(|errno| failed("capabilities")(errno.into()))?.permitted;
        let detail =
            if left.is_empty() { "none kept".to_owned() } else { format!("kept: {}", capabilities::names(left)) };
        Layer::on("capabilities", detail)
    } else {
        if is_another {
            // By it the kernel takes them from everybody who does not ask for them.
            capabilities::hold(KEPT).map_err(failed(user::NAME))?;
        }
        Layer::off("capabilities")
    });
    in_memory::enter();
    layers.push(if settings.landlock {
        for path in &reach.unreachable {
            tracing::warn!(
                "{} is not there, and can be reached only by a daemon that starts when it is",
                path.display()
            );
        }
        landlock::enter(&reach).map_err(failed(landlock::NAME))?
    } else {
        Layer::off(landlock::NAME)
    });
    // The last, for what the others do is in no list.
    layers.push(if settings.seccomp {
        seccomp::enter(!reach.programs.is_empty()).map_err(failed(seccomp::NAME))?
    } else {
        Layer::off(seccomp::NAME)
    });
    for layer in &layers {
        match layer.state {
            State::On | State::Unneeded => {}
            State::Partial | State::Unavailable | State::Missing | State::Off => {
                tracing::warn!("sandbox: {} is {}: {}", layer.name, layer.state.as_str(), layer.detail);
            }
        }
    }
    // It is entered once: a second time would be a mistake of ours, and changes nothing.
    let is_withheld =
        layers.iter().any(|it| it.name == landlock::NAME && matches!(it.state, State::On | State::Partial));
    let _ = ENTERED.set(Entered { layers, reach: is_withheld.then_some(reach) });
    Ok(())
}

/// The version of Landlock that has all that is used of it.
pub const LANDLOCK_KNOWN: i32 = landlock::KNOWN as i32;

/// Which version of Landlock this kernel has; None where it has none.
pub fn landlock_version() -> Option<i32> {
    landlock::version()
}

/// Would `/proc` hide from this process who asks, once nobody may be traced any more?
pub fn proc_hides_processes(config: &Config, source: &Source) -> bool {
    // Whose daemon becomes another user takes the group along that sees them.
    let takes_group = || {
        let becomes_another = rustix::process::geteuid().is_root() && config.sandbox.user != OwnUser::No;
        becomes_another && obstacle_to_user(config, source).is_none()
    };
    landlock::is_blind() && !(matches!(hidepid::shows(), hidepid::Shows::ToGroup(_)) && takes_group())
}

/// What keeps root's daemon from becoming another user; None where nothing does, and where it is not to.
pub fn obstacle_to_user(config: &Config, source: &Source) -> Option<String> {
    user::obstacle(&config.sandbox.user, &Reach::of(config, source))
}

/// Does this kernel filter system calls, and is there a list for its architecture?
pub fn has_seccomp() -> bool {
    seccomp::is_available()
}

/// What the broker gives up of what the settings say. fusermount3, which mounts for who is not root, is setuid, and so is no
/// program that has given up new privileges.
///
/// # Errors
/// Where the kernel refuses what every kernel allows, or something between us and it does.
pub fn confine_broker(layers: Beside) -> Result<(), SandboxError> {
    let no_new_privileges = layers.no_new_privileges && rustix::process::geteuid().is_root();
    confine(Beside { no_new_privileges, ..layers }, KEPT_BY_BROKER)
}

/// What the process gives up that touches files for the broker.
///
/// # Errors
/// As [`confine_broker`].
pub fn confine_toucher(layers: Beside) -> Result<(), SandboxError> {
    confine(layers, CapabilitySet::DAC_READ_SEARCH)
}

fn confine(layers: Beside, kept: CapabilitySet) -> Result<(), SandboxError> {
    if layers.no_new_privileges {
        set_no_new_privs(true).map_err(|errno| failed("no_new_privileges")(errno.into()))?;
    }
    if layers.capabilities {
        capabilities::keep(kept).map_err(failed("capabilities"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_thread_is_noticed() {
        // Tests run in threads of their own beside the first.
        assert!(matches!(require_one_thread(), Err(SandboxError::Threads(2..))));
    }
}
