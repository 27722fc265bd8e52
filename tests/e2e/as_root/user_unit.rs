//! The unit that a user's own systemd runs, in a machine that boots.

use std::path::Path;

use crate::support::daemon::Place;
use crate::support::machine::{Machine, STORE};
use crate::support::missing;

/// Runs what follows as the user `worker`, as a login would have it.
const AS_WORKER: &str =
    "as() { setpriv --reuid=worker --regid=worker --clear-groups env HOME=/ XDG_RUNTIME_DIR=/run/user/2001 \"$@\"; }
     of() { as systemctl --user show --property=$1 --value hushfs.service; }
     install -d -o worker /.config /.config/hushfs
     cp /users.toml /.config/hushfs/hushfs.toml
     systemctl start user@2001.service\n";

fn machine(place: &Place) -> Machine<'_> {
    missing::program("fusermount3", "fuse3");
    let mut machine = Machine::new(place);
    machine.install("");
    machine.bind_program(Path::new("/usr/bin/fusermount3"), "/usr/bin/fusermount3");
    machine.secret("db", "value");
    machine.write("users.toml", STORE);
    // What a login does otherwise, by way of D-Bus; nobody logs in here.
    machine.unit(
        "user-runtime-dir@.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/install -d -m 0700 -o %i /run/user/%i\n",
    );
    machine.unit("user@.service.d/login.conf", "[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n");
    machine
}

#[test]
fn a_users_own_unit_mounts_for_this_user_alone_and_survives_a_crash_and_a_restart() {
    let place = Place::new();
    let results = machine(&place).run(&format!(
        "{AS_WORKER}
        as systemctl --user enable --now hushfs.service
        secrets=/run/user/2001/secrets
        as cat $secrets/prod/db/KEY >/results/read
        setpriv --reuid=2002 --clear-groups cat $secrets/prod/db/KEY && exit 1
        as hushfs doctor --offline --json --config /.config/hushfs/hushfs.toml >/results/doctor || true
        grep \" $secrets \" /proc/self/mountinfo >/results/before
        kill -KILL $(of MainPID)
        as cat $secrets/prod/db/KEY >/results/gap
        as systemctl --user restart hushfs.service
        as cat $secrets/prod/db/KEY >/results/anew
        as systemctl --user reload hushfs.service
        grep \" $secrets \" /proc/self/mountinfo >/results/after
        as systemctl --user stop hushfs.service
        grep \" $secrets \" /proc/self/mountinfo && exit 1
        of NFileDescriptorStore >/results/kept
        of MemorySwapMax >/results/swap"
    ));
    for name in ["read", "gap", "anew"] {
        assert_eq!(results.file(name), "value", "{name}");
    }
    assert_eq!(results.file("before"), results.file("after"), "the mount stayed");
    let doctor = results.file("doctor");
    assert!(doctor.contains("this user's hushfs.service is enabled and active"), "{doctor}");
    assert!(!doctor.contains("the daemon runs as root"), "{doctor}");
    assert_eq!(results.file("kept"), "0\n");
    assert_eq!(results.file("swap"), "0\n", "a user may not lock all of the daemon, and none of it is in swap");
}

#[test]
fn systemd_understands_every_line_of_the_users_unit() {
    let place = Place::new();
    let results = machine(&place).run(&format!(
        "{AS_WORKER}
        set +x
        as systemd-analyze --user verify --man=no /usr/lib/systemd/user/hushfs.service >/results/said 2>&1"
    ));
    assert_eq!(results.file("said"), "");
}
