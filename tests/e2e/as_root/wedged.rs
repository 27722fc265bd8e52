//! A daemon that hangs, that the kernel runs out of memory for, or that nobody replaces: who reads is answered by the
//! next one, or told, and never waits for ever.

use super::handover::mount_of;
use crate::support::daemon::Place;
use crate::support::machine::{Machine, Results};

fn machine<'a>(place: &'a Place, settings: &str) -> Machine<'a> {
    let machine = Machine::new(place);
    machine.installed_hushfs(settings);
    machine.secret("db", "value");
    machine
}

/// For the scripts.
const PID: &str = "pid() { systemctl show --property=MainPID --value hushfs.service; }
        # Until no thread of it does anything.
        halt() {
            kill -STOP $1
            while cat /proc/$1/task/*/status | grep '^State:' | grep -qv stopped; do sleep 0.1; done
        }\n";

#[test]
fn a_daemon_that_hangs_is_killed_by_the_watchdog_and_the_next_answers() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.unit("hushfs.service.d/local.conf", "[Service]\nWatchdogSec=15s\n");
    let results = machine.run(&format!(
        "{PID}
        exec 3</secrets/prod/db/KEY
        first=$(pid)
        # It is not killed for as long as it serves: it says so three times within what systemd waits.
        heard() {{ systemctl show --property=WatchdogTimestampMonotonic --value hushfs.service; }}
        for sign in 1 2 3 4; do
            last=$(heard)
            while [ $(heard) = $last ]; do sleep 0.5; done
        done
        [ $(pid) = $first ]
        halt $first
        cat /secrets/prod/db/KEY >/results/read
        cat <&3 >/results/held
        [ $(pid) != $first ]"
    ));
    assert_eq!(results.file("read"), "value");
    assert_eq!(results.file("held"), "value");
    let journal = results.file("journal");
    assert!(journal.contains("Failed with result 'watchdog'"), "{journal}");
    assert!(!journal.contains("hangs"), "nothing was told while it served: {journal}");
    assert!(!journal.contains("refuses to lock memory"), "as it is installed it may: {journal}");
}

#[test]
fn a_daemon_that_the_kernel_kills_for_want_of_memory_is_replaced_as_after_any_crash() {
    let place = Place::new();
    let results = machine(&place, "").run(&format!(
        "{PID}
        exec 3</secrets/prod/db/KEY
        grep ' /secrets ' /proc/self/mountinfo >/results/before
        first=$(pid)
        mkdir /run/memory
        if mount -t cgroup -o memory none /run/memory; then
            group=/run/memory/hushfs-$$
            mkdir $group
            # The next page that it asks for in there is one too many. Below what is used already it could not be set.
            echo 4096 >$group/memory.limit_in_bytes
            echo $first >$group/cgroup.procs
        else
            systemctl set-property --runtime hushfs.service MemoryMax=4K
        fi
        while [ $(pid) = $first ]; do ls -R /secrets || true; cat /secrets/prod/db/.json || true; done
        systemctl set-property --runtime hushfs.service MemoryMax=infinity
        cat /secrets/prod/db/KEY >/results/read
        cat <&3 >/results/held
        grep ' /secrets ' /proc/self/mountinfo >/results/after
        [ ! -d \"${{group-}}\" ] || {{ cat $group/memory.oom_control >/results/kills; rmdir $group; }}"
    ));
    assert_eq!(results.file("read"), "value");
    assert_eq!(results.file("held"), "value");
    assert_eq!(mount_of(&results.file("before")), mount_of(&results.file("after")));
    let journal = results.file("journal");
    assert!(journal.contains("status=9/KILL") || journal.contains("oom-kill"), "{journal}");
}

#[test]
fn a_connection_that_the_kernel_has_ended_is_replaced_by_a_mount_anew() {
    let place = Place::new();
    let results = machine(&place, "").run(
        "mkdir /run/fusectl
        mount -t fusectl none /run/fusectl
        # As an administrator does who wants to be rid of it at once.
        abort() { echo 1 >/run/fusectl/$(findmnt --raw --noheadings --output MAJ:MIN /secrets | cut -d: -f2)/abort; }
        reads() { until cat /secrets/prod/db/KEY; do sleep 0.1; done; }
        cat /secrets/prod/db/KEY
        abort
        reads >/results/served
        # And while there is no daemon.
        systemctl kill --kill-who=main --signal=KILL hushfs.service
        abort
        reads >/results/unserved
        systemctl show --property=NRestarts --value hushfs.service >/results/restarts",
    );
    assert_eq!(results.file("served"), "value");
    assert_eq!(results.file("unserved"), "value");
    assert_eq!(results.file("restarts"), "2\n", "each time the first daemon that comes mounts");
    let journal = results.file("journal");
    assert!(journal.contains("the kernel has given up the mount"), "{journal}");
}

#[test]
fn who_waits_for_a_daemon_that_hangs_is_let_go_by_a_lazy_unmount() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.unit("hushfs.service.d/local.conf", "[Service]\nWatchdogSec=0\n");
    let results = machine.run(&format!(
        "{PID}
        halt $(pid)
        cat /secrets/prod/db/KEY 2>/results/told &
        reader=$!
        until grep -q request_wait_answer /proc/$reader/wchan; do sleep 0.1; done
        hushfs unmount 2>/results/advice && exit 1
        hushfs unmount --lazy
        wait $reader && exit 1
        findmnt /secrets && exit 1"
    ));
    assert!(results.file("told").contains("Software caused connection abort"), "{}", results.file("told"));
    assert!(results.file("advice").contains("hushfs unmount --lazy /secrets"), "{}", results.file("advice"));
}

#[test]
fn where_process_1_itself_waits_for_a_daemon_that_only_it_can_start_the_kernel_lets_it_go() {
    let place = Place::new();
    process_1_is_let_go(machine(&place, ""));
}

#[test]
fn where_the_kernel_does_not_let_process_1_go_the_guard_does() {
    let place = Place::new();
    // Then the kernel would wait for 86 seconds.
    let machine = machine(&place, "[cache]\ntimeout = \"60s\"\n");
    machine.unit("hushfs-guard.service.d/local.conf", "[Unit]\nConditionPathExists=\n");
    let results = process_1_is_let_go(machine);
    assert!(results.file("journal").contains("nobody has served /secrets"), "{}", results.file("journal"));
}

fn process_1_is_let_go(machine: Machine<'_>) -> Results {
    // Time enough for it to read before it starts the next daemon.
    machine.unit("hushfs.service.d/local.conf", "[Service]\nRestartSec=10s\n");
    machine.unit(
        "reader.service",
        "[Service]\nType=oneshot\nEnvironmentFile=/secrets/prod/db/.env\nExecStart=/bin/sh -c 'echo $KEY >>/results/read'\n",
    );
    let results = machine.run(
        "systemctl start reader.service
        systemctl kill --kill-who=main --signal=KILL hushfs.service
        systemctl start reader.service && exit 1
        until cat /secrets/prod/db/KEY >/results/afterwards; do sleep 0.1; done
        systemctl start reader.service",
    );
    assert_eq!(results.file("read"), "value\nvalue\n");
    assert_eq!(results.file("afterwards"), "value");
    results
}

#[test]
fn an_upgrade_to_another_program_loses_no_open_file_and_nobody_who_reads() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.unit("hushfs.service.d/local.conf", "[Service]\nExecStart=\nExecStart=/opt/hushfs mount\n");
    machine.unit("copy.service", "[Service]\nType=oneshot\nExecStart=/bin/cp /usr/bin/hushfs /opt/hushfs\n");
    machine.unit("hushfs.service.d/copy.conf", "[Unit]\nWants=copy.service\nAfter=copy.service\n");
    let results = machine.run(&format!(
        "{PID}
        systemctl mask --runtime copy.service
        exec 3</secrets/prod/db/KEY
        cd /secrets/prod
        grep ' /secrets ' /proc/self/mountinfo >/results/before
        # Another file, of other bytes, in its place, as a package puts it there.
        cp /opt/hushfs /opt/new
        echo >>/opt/new
        mv /opt/new /opt/hushfs
        (for n in $(seq 100); do cat /secrets/prod/db/KEY || echo lost; done) >/results/reads &
        reader=$!
        systemctl restart hushfs.service
        cat <&3 >/results/held
        cat db/KEY >/results/below
        wait $reader
        grep ' /secrets ' /proc/self/mountinfo >/results/after
        [ $(stat -L -c %i /proc/$(pid)/exe) = $(stat -c %i /opt/hushfs) ]"
    ));
    assert_eq!(mount_of(&results.file("before")), mount_of(&results.file("after")));
    assert_eq!(results.file("held"), "value");
    assert_eq!(results.file("below"), "value");
    assert_eq!(results.file("reads"), "value".repeat(100));
}
