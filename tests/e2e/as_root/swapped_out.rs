//! Swap is on, and the kernel wants all memory that there is.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::doctor::{Found, offline};
use crate::support::child::Guarded;
use crate::support::daemon::{Daemon, Place, drop_capabilities, eventually, limit};
use crate::support::marked::Mark;
use crate::support::memory::{Kind, family, page_out, scan};
use crate::support::store::Store;

const SIZE: usize = 96 << 20;
const CAP_IPC_LOCK: i32 = 14;
/// What a login may lock by default.
const ORDINARY: u64 = 8 << 20;

/// A file on a disk that the kernel may write memory to. `tests/setup/sandbox` turns it off where this cannot.
struct Swap(PathBuf);

impl Swap {
    fn on() -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("swap-{}", std::process::id()));
        let swap = Self(file);
        let mut contents = File::create(&swap.0).unwrap();
        fs::set_permissions(&swap.0, PermissionsExt::from_mode(0o600)).unwrap();
        // It must have no holes.
        for _ in 0..SIZE >> 20 {
            contents.write_all(&[0; 1 << 20]).unwrap();
        }
        contents.sync_all().unwrap();
        for program in ["mkswap", "swapon"] {
            let output = Command::new(program).arg(&swap.0).output().unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
        swap
    }

    /// What has been written to it.
    fn contents(&self) -> Vec<u8> {
        let file = File::open(&self.0).unwrap();
        file.sync_all().unwrap();
        // What is in the page cache is not what is on the disk.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        fs::read(&self.0).unwrap()
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).status();
        let _ = fs::remove_file(&self.0);
    }
}

/// Kilobytes of a process that are in swap.
fn swapped(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSwap:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Has a daemon lock no more than that, root's too.
fn may_lock(command: &mut Command, most: u64) {
    drop_capabilities(command, &[CAP_IPC_LOCK]);
    limit(command, libc::RLIMIT_MEMLOCK, most);
}

/// A program that keeps a value as programs do.
fn keeper_of(mark: &Mark) -> Guarded {
    let keeps = "import sys; kept = [sys.argv[1] + str(n) for n in range(9)]; sys.stdin.read()";
    Guarded::spawn(Command::new("python3").args(["-I", "-c", keeps, &mark.value]).stdin(Stdio::piped())).unwrap()
}

/// Has the kernel write all that it may of these to the disk, and waits until the program's value is there.
fn write_out(swap: &Swap, daemon: &Daemon, program: &Guarded, kept: &Mark) {
    eventually("the other program's value is on the disk", || {
        family(daemon.child.id()).into_iter().chain([program.0.id()]).for_each(page_out);
        kept.is_in(&swap.contents()).then_some(())
    });
}

/// What the doctor says of swap that is on, while the daemon runs.
fn told(place: &Place) -> String {
    Found::by(offline(place)).why("swap").to_owned()
}

#[test]
fn memory_that_the_kernel_writes_to_swap_holds_no_value() {
    let (place, mark, other) = (Place::new(), Mark::new(), Mark::new());
    let store = Store::new(place.path());
    store.put("db.json.age", serde_json::json!({ "PASSWORD": mark.value }).to_string().as_bytes());
    place.configure(&store.scope("app"));
    let mut command = place.hushfs(&["mount"]);
    may_lock(&mut command, ORDINARY);
    let daemon = place.start(command);
    for file in ["PASSWORD", ".json", ".env"] {
        assert!(mark.is_in(&fs::read(place.mnt().join("app/db").join(file)).unwrap()));
    }
    assert_eq!(place.status()["cache"]["memory_all_locked"], false);
    let program = keeper_of(&other);

    let swap = Swap::on();
    eventually("the daemon's memory is in swap", || {
        page_out(daemon.child.id());
        (swapped(daemon.child.id()) > 1000).then_some(())
    });
    write_out(&swap, &daemon, &program, &other);
    assert_eq!(mark.sightings(&swap.contents()), []);
    let told = told(&place);
    assert!(told.contains("not what libraries hold"), "{told}");
    drop(swap);
    let copies = scan(&daemon, &mark);
    assert!(copies.of(Kind::Locked) > 0, "it was in memory all the time: {copies}");
    assert_eq!(daemon.stop().code(), Some(0));
}

/// Of what has just come from a provider over a network.
#[cfg(any(
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "azure",
    feature = "kubernetes",
    feature = "databricks"
))]
mod network {
    use super::*;
    use crate::support::backend::{Backend, KEEPS_WORN, read_all};

    /// Has root's daemon keep CAP_IPC_LOCK, which no limit binds. The unit has no limit instead, but not every root may lift one.
    const UNBOUND: &str = "[sandbox]\nuser = false\ncapabilities = false\n";

    /// Right after reads, while connections hold what has come through them.
    fn nothing_of_a_daemon_without_a_limit_is_swapped(provider: &str) {
        let (place, mark, other) = (Place::new(), Mark::new(), Mark::new());
        let backend = Backend::start(provider, &place, &mark);
        let scope = backend.scope() + "ttl = \"1h\"\n";
        let mounted = |is_bound: bool| {
            place.configure(&if is_bound { scope.clone() } else { format!("{UNBOUND}{scope}") });
            let mut command = place.hushfs(&["mount"]);
            backend.environment(&mut command);
            command.env(KEEPS_WORN, "1");
            if is_bound {
                may_lock(&mut command, ORDINARY);
            }
            let daemon = place.start(command);
            read_all(&place, &mark, &mark.value);
            daemon
        };
        let program = keeper_of(&other);

        let daemon = mounted(false);
        let swap = Swap::on();
        write_out(&swap, &daemon, &program, &other);
        assert_eq!(swapped(daemon.child.id()), 0, "kB of the daemon are in swap");
        assert_eq!(mark.sightings(&swap.contents()), []);
        assert_eq!(place.status()["cache"]["memory_all_locked"], true);
        let told = told(&place);
        assert!(told.starts_with("all of the daemon's memory is locked"), "{told}");
        assert!(!place.log().contains("cannot lock all memory"), "{}", place.log());
        assert_eq!(daemon.stop().code(), Some(0));

        // It is not that there is nothing; what is released does not keep it for as long.
        if cfg!(debug_assertions) {
            let daemon = mounted(true);
            eventually("what connections hold is on the disk where not all may be locked", || {
                page_out(daemon.child.id());
                mark.is_in(&swap.contents()).then_some(())
            });
            assert_eq!(daemon.stop().code(), Some(0));
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn where_all_may_be_locked_nothing_that_came_from_aws_secrets_manager_is_in_swap() {
        nothing_of_a_daemon_without_a_limit_is_swapped("aws-secrets-manager");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn where_all_may_be_locked_nothing_that_came_from_aws_parameter_store_is_in_swap() {
        nothing_of_a_daemon_without_a_limit_is_swapped("aws-parameter-store");
    }

    #[cfg(feature = "gcp")]
    #[test]
    fn where_all_may_be_locked_nothing_that_came_from_google_cloud_is_in_swap() {
        nothing_of_a_daemon_without_a_limit_is_swapped("gcp-secret-manager");
    }

    #[cfg(feature = "vault")]
    #[test]
    fn where_all_may_be_locked_nothing_that_came_from_vault_is_in_swap() {
        nothing_of_a_daemon_without_a_limit_is_swapped("vault");
    }

    #[cfg(feature = "azure")]
    #[test]
    fn where_all_may_be_locked_nothing_that_came_from_azure_key_vault_is_in_swap() {
        nothing_of_a_daemon_without_a_limit_is_swapped("azure-key-vault");
    }

    #[cfg(feature = "kubernetes")]
    #[test]
    fn where_all_may_be_locked_nothing_that_came_from_kubernetes_is_in_swap() {
        nothing_of_a_daemon_without_a_limit_is_swapped("kubernetes");
    }

    #[cfg(feature = "databricks")]
    #[test]
    fn where_all_may_be_locked_nothing_that_came_from_databricks_is_in_swap() {
        nothing_of_a_daemon_without_a_limit_is_swapped("databricks");
    }
}
