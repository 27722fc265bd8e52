//! A daemon that dies, or is restarted, under a real systemd that keeps its end of the mount: nobody sees
//! `Transport endpoint is not connected`.

use serde_json::{Value, json};

use crate::support::daemon::Place;
use crate::support::machine::Machine;

fn machine<'a>(place: &'a Place, settings: &str) -> Machine<'a> {
    let machine = Machine::new(place);
    machine.installed_hushfs(settings);
    for name in ["db", "other"] {
        machine.secret(name, "value");
    }
    machine
}

/// A line of the table of mounts, but for the file system's own options: for as long as watchers are told of what is
/// fetched anew it is writable to the kernel.
pub fn mount_of(line: &str) -> &str {
    line.split_once(" - ").expect("it is mounted").0
}

const KILL: &str = "kill -KILL $(systemctl show --property=MainPID --value hushfs.service)";

#[test]
fn after_a_sigkill_every_reader_is_answered_and_the_mount_is_the_same() {
    let place = Place::new();
    let results = machine(&place, "").run(&format!(
        "cat /secrets/prod/db/KEY
        cd /secrets/prod
        grep ' /secrets ' /proc/self/mountinfo >/results/before
        for round in 1 2 3; do
            {KILL}
            # Nobody serves it now: these wait for the next daemon.
            cat /secrets/prod/db/KEY >/results/gap-$round
            cat db/KEY >/results/below-$round
            ls /secrets/prod >/results/list-$round
        done
        grep ' /secrets ' /proc/self/mountinfo >/results/after"
    ));
    for round in 1..=3 {
        assert_eq!(results.file(&format!("gap-{round}")), "value");
        assert_eq!(results.file(&format!("below-{round}")), "value");
        assert_eq!(results.file(&format!("list-{round}")), "db\nother\n");
    }
    assert_eq!(mount_of(&results.file("before")), mount_of(&results.file("after")));
}

#[test]
fn after_a_sigkill_of_its_broker_the_daemon_is_followed_by_the_next_and_no_read_is_lost() {
    let place = Place::new();
    let results = machine(&place, "").run(
        "of() { systemctl show --property=$1 --value hushfs.service; }
        cat /secrets/prod/db/KEY
        grep ' /secrets ' /proc/self/mountinfo >/results/before
        for round in 1 2 3; do
            main=$(of MainPID)
            exec 3</secrets/prod/db/KEY
            kill -KILL $(cat /proc/$main/task/$main/children)
            cat <&3 >/results/open-$round
            cat /secrets/prod/other/KEY >/results/read-$round
            until [ $(of MainPID) != $main ] && [ $(of ActiveState) = active ]; do sleep 0.1; done
            cat /secrets/prod/db/KEY >/results/next-$round
        done
        grep ' /secrets ' /proc/self/mountinfo >/results/after
        of NRestarts >/results/restarts
        journalctl --sync
        journalctl --no-pager -u hushfs.service >/results/log",
    );
    for round in 1..=3 {
        for read in ["open", "read", "next"] {
            assert_eq!(results.file(&format!("{read}-{round}")), "value", "{read} {round}");
        }
    }
    assert_eq!(results.file("restarts"), "3\n");
    assert_eq!(results.file("log").matches("the process hushfs-broker has ended").count(), 3);
    assert_eq!(mount_of(&results.file("before")), mount_of(&results.file("after")));
}

/// The folder of `stuck` is on a file system that hangs while its own daemon is stopped.
const STUCK: &str =
    "[scopes.stuck]\nprovider = \"local\"\npath = \"/disk/prod/db\"\nallow_plaintext = true\ntimeout = \"60s\"\n";

#[test]
fn a_request_that_the_dead_daemon_had_read_is_answered_by_the_next() {
    let place = Place::new();
    let machine = machine(&place, STUCK);
    machine.write(
        "etc/hushfs/disk.toml",
        "mountpoint = \"/disk\"\n[scopes.prod]\nprovider = \"local\"\npath = \"/var/lib/store\"\nallow_plaintext = true\n",
    );
    machine.unit(
        "disk.service",
        "[Unit]\nBefore=hushfs.service\n[Service]\nType=notify\n\
         ExecStartPre=/bin/mkdir -p /disk\nExecStart=/usr/bin/hushfs mount --config /etc/hushfs/disk.toml\n",
    );
    machine.unit("hushfs.service.d/disk.conf", "[Unit]\nRequires=disk.service\n");
    let results = machine.run(&format!(
        "disk=$(systemctl show --property=MainPID --value disk.service)
        kill -STOP $disk
        while cat /proc/$disk/task/*/status | grep '^State:' | grep -qv stopped; do sleep 0.1; done
        main=$(systemctl show --property=MainPID --value hushfs.service)
        # A thread of the daemon waits for the file system that hangs.
        hangs() {{ grep -q request_wait_answer /proc/$main/task/*/wchan; }}
        hangs && exit 1
        cat /secrets/stuck/KEY/value >/results/read &
        reader=$!
        # So it has read the request.
        until hangs; do sleep 0.1; done
        {KILL}
        kill -CONT $disk
        wait $reader"
    ));
    assert_eq!(results.file("read"), "value");
}

#[test]
fn a_restart_leaves_the_mount_to_the_next_daemon_and_a_stop_takes_it_away() {
    let place = Place::new();
    let results = machine(&place, "").run(
        "cd /secrets/prod
        grep ' /secrets ' /proc/self/mountinfo >/results/before
        (for n in $(seq 200); do cat /secrets/prod/db/KEY 2>&1 || echo lost; done) >/results/reads &
        reader=$!
        systemctl restart hushfs.service
        systemctl restart hushfs.service
        cat db/KEY >/results/below
        grep ' /secrets ' /proc/self/mountinfo >/results/after
        wait $reader
        cd /
        systemctl stop hushfs.service
        grep ' /secrets ' /proc/self/mountinfo && exit 1
        systemctl show --property=NFileDescriptorStore --value hushfs.service >/results/kept",
    );
    assert_eq!(mount_of(&results.file("before")), mount_of(&results.file("after")));
    assert_eq!(results.file("below"), "value");
    assert_eq!(results.file("reads"), "value".repeat(200));
    assert_eq!(results.file("kept"), "0\n");
}

/// Opens a file, reads one byte, waits to be told, and reads the rest.
const HOLDER: &str = "exec 3</secrets/prod/db/KEY; dd bs=1 count=1 status=none <&3; touch /run/open; \
     until [ -e /run/go-on ]; do sleep 0.1; done; cat <&3";

#[test]
fn a_file_that_is_open_over_a_crash_reads_on_as_it_was() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.write("holder", HOLDER);
    let results = machine.run(&format!(
        "sh /holder >/results/held &
        holder=$!
        until [ -e /run/open ]; do sleep 0.1; done
        cd /secrets/prod/db
        {KILL}
        cat KEY >/results/from-below
        exec 4</secrets/prod/db/KEY
        systemctl restart hushfs.service
        cat <&4 >/results/over-a-restart
        touch /run/go-on
        wait $holder
        ls . >/results/listed"
    ));
    assert_eq!(results.file("held"), "value");
    assert_eq!(results.file("from-below"), "value");
    assert_eq!(results.file("over-a-restart"), "value");
    assert_eq!(results.file("listed"), "KEY\n");
}

#[test]
fn a_file_of_a_version_that_is_gone_is_stale_and_never_another_version() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.write("holder", HOLDER);
    let results = machine.run(&format!(
        "sh /holder >/results/held 2>/results/told &
        holder=$!
        until [ -e /run/open ]; do sleep 0.1; done
        echo '{{\"KEY\":\"other\"}}' >/var/lib/store/db.json
        {KILL}
        cat /secrets/prod/db/KEY >/results/new
        touch /run/go-on
        wait $holder && exit 1"
    ));
    assert_eq!(results.file("new"), "other");
    assert_eq!(results.file("held"), "v", "what was read before");
    assert!(results.file("told").contains("Stale file handle"), "{}", results.file("told"));
}

#[test]
fn a_ledger_larger_than_any_is_not_read_and_the_next_one_is_begun_in_its_place() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.write("holder", HOLDER);
    let results = machine.run(&format!(
        "sh /holder >/results/held 2>/results/told &
        holder=$!
        until [ -e /run/open ]; do sleep 0.1; done
        main=$(systemctl show --property=MainPID --value hushfs.service)
        ledger=$(ls -l /proc/$main/fd | sed -n 's|.* \\([0-9]*\\) -> /memfd:hushfs-ledger.*|\\1|p' | head -n 1)
        truncate --size=1G /proc/$main/fd/$ledger
        {KILL}
        cat /secrets/prod/db/KEY >/results/new
        touch /run/go-on
        wait $holder && exit 1
        exec 4</secrets/prod/db/KEY
        systemctl restart hushfs.service
        cat <&4 >/results/over-a-restart
        journalctl --sync
        journalctl --no-pager -u hushfs.service >/results/log"
    ));
    assert_eq!(results.file("new"), "value");
    assert_eq!(results.file("held"), "v", "what was read before");
    assert!(results.file("told").contains("Stale file handle"), "{}", results.file("told"));
    assert_eq!(results.file("over-a-restart"), "value");
    let log = results.file("log");
    assert_eq!(log.matches("more than any that hushfs writes").count(), 1, "{log}");
}

#[test]
fn who_has_a_file_open_over_a_restart_is_told_and_its_version_may_not_be_revoked() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.write("holder", HOLDER);
    machine.write("ask", "hushfs readers /secrets/prod/db \"$@\"; echo \"status $?\" >&2\n");
    let results = machine.run(&format!(
        "sh /holder >/dev/null &
        holder=$!
        echo $holder >/results/pid
        until [ -e /run/open ]; do sleep 0.1; done
        cat /secrets/prod/db/KEY
        echo '{{\"KEY\":\"other\"}}' >/var/lib/store/.new
        mv /var/lib/store/.new /var/lib/store/db.json
        hushfs refresh /secrets/prod/db
        systemctl restart hushfs.service
        sh /ask >/results/empty 2>&1
        cat /secrets/prod/db/KEY
        sh /ask --json >/results/open
        {KILL}
        cat /secrets/prod/db/KEY
        sh /ask >/results/crashed 2>&1
        kill $holder
        wait $holder || true
        until hushfs readers /secrets/prod/db >/results/closed; do sleep 0.1; done"
    ));
    let empty = results.file("empty");
    assert!(empty.contains("which version is current is not known") && empty.ends_with("status 1\n"), "{empty}");
    let open: Value = serde_json::from_str(&results.file("open")).unwrap();
    assert_eq!((&open["had_predecessor"], &open["unknown"]), (&json!(true), &json!(0)), "{open}");
    let versions = open["secrets"][0]["versions"].as_array().unwrap();
    let old = versions.iter().find(|version| version["is_current"] == false).unwrap();
    let pid: u64 = results.file("pid").trim().parse().unwrap();
    let holder = &old["open"][0];
    assert_eq!((&old["may_be_revoked"], &holder["pid"], &holder["uid"]), (&json!(false), &json!(pid), &json!(0)));
    assert_eq!(holder["unit"], "script.service", "the process is still known by what it was: {holder}");
    let crashed = results.file("crashed");
    assert!(crashed.contains("may not be revoked: not yet: 1 file of it is open"), "{crashed}");
    assert!(crashed.contains("while an earlier daemon had this mount, is not\nstatus 1\n"), "{crashed}");
    let closed = results.file("closed");
    assert!(closed.contains("may be revoked: nobody has it open"), "{closed}");
}

#[test]
fn whoever_watched_before_a_crash_is_told_and_a_file_system_left_writable_is_read_only_again() {
    let place = Place::new();
    let machine = machine(&place, "");
    machine.unit("watch.path", "[Path]\nPathChanged=/secrets/prod/db/KEY\nUnit=told.service\n");
    machine.unit(
        "told.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'cat /secrets/prod/db/KEY >/results/told'\n",
    );
    let results = machine.run(&format!(
        "cat /secrets/prod/db/KEY
        systemctl start watch.path
        # As a daemon leaves it that dies while it tells of a change.
        mount -i -o remount,rw /secrets
        grep ' /secrets ' /proc/self/mountinfo >/results/writable
        {KILL}
        echo '{{\"KEY\":\"other\"}}' >/var/lib/store/.new
        mv /var/lib/store/.new /var/lib/store/db.json
        cat /secrets/prod/db/KEY
        until [ -s /results/told ]; do sleep 0.1; done
        until grep ' /secrets .* hushfs ro,' /proc/self/mountinfo; do sleep 0.1; done"
    ));
    assert!(results.file("writable").contains(" hushfs rw,"), "what is mended: {}", results.file("writable"));
    assert_eq!(results.file("told"), "other");
}

/// Whoever waits for an answer of a dead daemon does not end, and systemd starts none before it has.
#[test]
fn a_daemon_that_is_killed_while_watchers_are_told_is_followed_by_the_next() {
    let place = Place::new();
    let results = machine(&place, "").run(&format!(
        "for round in 1 2 3 4 5 6 7 8; do
            cat /secrets/prod/db/KEY
            echo '{{\"KEY\":\"'$round'\"}}' >/var/lib/store/.new
            mv /var/lib/store/.new /var/lib/store/db.json
            hushfs refresh /secrets/prod/db
            {KILL}
        done
        cat /secrets/prod/db/KEY >/results/last"
    ));
    assert_eq!(results.file("last"), "8");
}

#[test]
fn where_no_daemon_comes_back_readers_are_told_and_the_next_start_mends_it() {
    let place = Place::new();
    let machine = machine(&place, "");
    let results = machine.run(&format!(
        "cat /secrets/prod/db/KEY
        mv /etc/hushfs/hushfs.toml /etc/hushfs/aside
        {KILL}
        # Once systemd has given the unit up it lets go of the mount.
        cat /secrets/prod/db/KEY 2>/results/told && exit 1
        until systemctl is-failed hushfs.service; do sleep 0.1; done
        mv /etc/hushfs/aside /etc/hushfs/hushfs.toml
        systemctl reset-failed hushfs.service
        systemctl start hushfs.service
        cat /secrets/prod/db/KEY >/results/mended"
    ));
    let told = results.file("told");
    assert!(told.contains("not connected") || told.contains("Software caused connection abort"), "{told}");
    assert_eq!(results.file("mended"), "value");
}

#[test]
fn a_mount_that_cannot_show_what_the_configuration_now_grants_is_replaced() {
    let place = Place::new();
    let machine = machine(&place, "");
    let granted = "[[grant]]\nprincipals = [\"user:worker\"]\nactions = [\"read\"]\nresources = [\"prod/db\"]\n";
    machine.write("etc/hushfs/granted", granted);
    machine.service("worker.service", "User=worker", "/bin/cat /secrets/prod/db/KEY");
    let results = machine.run(
        "cat /etc/hushfs/granted >>/etc/hushfs/hushfs.toml
        systemctl restart hushfs.service
        systemctl start worker.service",
    );
    assert!(results.file("journal").contains("is replaced"), "{}", results.file("journal"));
    assert_eq!(results.said("worker.service").as_deref(), Some("value"));
}
