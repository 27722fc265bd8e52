//! Services of a real systemd as callers, of a hushfs that is a unit of it.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::grants::grant;
use crate::support::audit_log::AuditFile;
use crate::support::daemon::Place;
use crate::support::machine::{Machine, Results};
use crate::support::plain::PlainStore;

const READ: &str = "/bin/cat /secrets/prod/db/KEY";
const WORKER: &str = "User=worker";

fn machine<'a>(place: &'a Place, settings: &str) -> Machine<'a> {
    let machine = Machine::new(place);
    machine.hushfs(settings);
    machine.secret("db", "value");
    machine
}

/// Starts services one after the other; what they say is in the results.
fn start(services: &[&str]) -> String {
    services.iter().map(|service| format!("systemctl start '{service}' || true\n")).collect()
}

fn value(results: &Results, service: &str) -> bool {
    match results.said(service).as_deref() {
        Some(read) => read == "value" || panic!("{service} read {read:?}"),
        None => false,
    }
}

#[test]
fn a_service_reads_what_its_unit_is_granted_and_another_service_of_the_same_user_does_not() {
    let place = Place::new();
    let machine = machine(&place, &grant("allow", "unit:worker.service", "read", "prod/db"));
    let services = ["worker.service", "other.service", "worker2.service"];
    for service in services {
        machine.service(service, WORKER, READ);
    }
    // Again: what one has made the kernel remember is not the other's.
    let results = machine.run(&(start(&services) + &start(&services)));
    assert_eq!(services.map(|service| value(&results, service)), [true, false, false]);
}

#[test]
fn one_glob_is_every_instance_of_a_template_and_nothing_else() {
    let place = Place::new();
    let machine = machine(&place, &grant("allow", "unit:job@*.service", "read", "prod/db"));
    for template in ["job@.service", "jobs@.service", "job.service"] {
        machine.service(template, WORKER, READ);
    }
    let services = ["job@1.service", "job@a-b.service", "job.service", "jobs@1.service"];
    let results = machine.run(&start(&services));
    assert_eq!(services.map(|service| value(&results, service)), [true, true, false, false]);
}

#[test]
fn a_denied_unit_is_refused_whatever_its_user_is_granted() {
    let place = Place::new();
    let settings =
        grant("allow", "user:worker", "read", "prod/**") + &grant("deny", "unit:denied.service", "read", "prod/db");
    let machine = machine(&place, &settings);
    let services = ["worker.service", "denied.service"];
    for service in services {
        machine.service(service, WORKER, READ);
    }
    let results = machine.run(&start(&services));
    assert_eq!(services.map(|service| value(&results, service)), [true, false]);
}

#[test]
fn a_control_group_is_granted_with_all_below_it_and_nothing_beside_it() {
    let place = Place::new();
    let settings = grant("allow", "cgroup:/system.slice/worker.service", "read", "prod/db")
        + &grant("allow", "cgroup:/jobs.slice", "read", "prod/db");
    let machine = machine(&place, &settings);
    machine.service("worker.service", WORKER, READ);
    machine.service("other.service", WORKER, READ);
    machine.service("sliced.service", "User=worker\nSlice=jobs.slice", READ);
    machine.service("deeper.service", "User=worker\nSlice=jobs-night.slice", READ);
    machine.service("beside.service", "User=worker\nSlice=jobs2.slice", READ);
    let services = ["worker.service", "other.service", "sliced.service", "deeper.service", "beside.service"];
    let results = machine.run(&start(&services));
    assert_eq!(services.map(|service| value(&results, service)), [true, false, true, true, false]);
}

#[test]
fn a_user_that_is_made_for_a_service_reads_by_its_unit() {
    let place = Place::new();
    let machine = machine(&place, &grant("allow", "unit:dynamic.service", "read", "prod/db"));
    let services = ["dynamic.service", "other.service"];
    for service in services {
        machine.service(service, "DynamicUser=yes", READ);
    }
    let results = machine.run(&start(&services));
    assert_eq!(services.map(|service| value(&results, service)), [true, false]);
}

#[test]
fn a_service_that_names_groups_of_its_own_gets_nothing_of_the_units_that_they_name() {
    let place = Place::new();
    let settings = grant("allow", "unit:worker.service", "read", "prod/db")
        + &grant("allow", "cgroup:/system.slice/worker.service", "read", "prod/db");
    let machine = machine(&place, &settings);
    machine.service("worker.service", WORKER, READ);
    // It moves itself, as the owner of its part of the tree, and says where it is.
    machine.service("ci.service", "User=worker\nDelegate=yes", "/bin/sh /ci");
    machine.write(
        "ci",
        "for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup; do\n\
             group=$tree/system.slice/ci.service\n\
             [ -d $group ] || continue\n\
             mkdir -p $group/system.slice/worker.service\n\
             echo $$ >$group/system.slice/worker.service/cgroup.procs\n\
             break\n\
         done\n\
         cat /proc/self/cgroup >/results/where\n\
         cat /secrets/prod/db/KEY\n",
    );
    let results =
        machine.run(&format!("install -m 0666 /dev/null /results/where\n{}", start(&["worker.service", "ci.service"])));
    let place_of_its_own = ":/system.slice/ci.service/system.slice/worker.service\n";
    assert!(results.file("where").contains(place_of_its_own), "{}", results.file("where"));
    assert_eq!(["worker.service", "ci.service"].map(|service| value(&results, service)), [true, false]);
}

#[test]
fn a_machine_seen_from_outside_is_control_groups_and_its_units_are_nobodys() {
    let place = Place::new();
    let mut machine = Machine::new(&place);
    machine.bind(&place.mnt(), "/secrets");
    let store = PlainStore::new(place.path(), "store");
    for name in ["db", "web", "billing"] {
        store.put(&format!("{name}.json"), br#"{"KEY":"value"}"#);
    }
    std::fs::set_permissions(place.mnt(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let audit = AuditFile::new(&place, "audit.log");
    let worker = format!("{}/system.slice/worker.service", machine.cgroup());
    let settings = grant("allow", "unit:worker.service", "read", "prod/web")
        + &grant("allow", &format!("cgroup:{}", machine.cgroup()), "read", "prod/db")
        + &grant("allow", &format!("cgroup:{worker}"), "read", "prod/billing")
        + &audit.section("");
    let _daemon = place.mount(&format!("allow_other = true\n{settings}{}", store.scope("prod")));
    machine.write("read", "for name in db web billing; do cat /secrets/prod/$name/KEY || echo refused; done\n");
    let services = ["worker.service", "other.service"];
    for service in services {
        machine.service(service, WORKER, "/bin/sh /read");
    }
    let results = machine.run(&start(&services));
    assert_eq!(
        services.map(|service| results.file(&format!("{service}.out"))),
        ["valuerefused\nvalue", "valuerefused\nrefused\n"]
    );
    let line = audit.about("prod/db/KEY").pop().unwrap();
    assert_eq!((&line["unit"], &line["container"]), (&json!(null), &json!(null)), "{line}");
}

#[test]
fn the_audit_log_in_the_journal_and_in_a_file_names_the_unit() {
    let place = Place::new();
    let settings = grant("allow", "unit:worker.service", "read", "prod/db")
        + "[audit]\njournald = true\nfile = \"/results/audit.log\"\nrequired = true\n";
    let machine = machine(&place, &settings);
    for service in ["worker.service", "other.service"] {
        machine.service(service, WORKER, READ);
    }
    let results = machine.run(
        &(start(&["worker.service", "other.service"])
            + "journalctl --sync\n\
               journalctl -o cat HUSHFS_UNIT=worker.service >/results/worker\n\
               journalctl -o cat HUSHFS_DECISION=deny >/results/denied\n\
               journalctl -o json HUSHFS_UNIT=worker.service HUSHFS_PATH=prod/db/KEY >/results/fields\n"),
    );
    let lines = |name: &str| -> Vec<Value> {
        results.file(name).lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    let of = |lines: &[Value], unit: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["unit"] == unit).cloned().collect()
    };
    let file = lines("audit.log");
    let worker = lines("worker");
    assert_eq!(worker, of(&file, "worker.service"), "the journal has the same records");
    let read = worker.iter().find(|line| line["path"] == "prod/db/KEY").expect("the read");
    assert_eq!((&read["decision"], &read["action"], &read["uid"]), (&json!("allow"), &json!("read"), &json!(2001)));
    let denied = lines("denied");
    assert_eq!(denied, of(&file, "other.service"));
    assert!(!denied.is_empty());
    let fields = &lines("fields")[0];
    assert_eq!(
        ["SYSLOG_IDENTIFIER", "HUSHFS_DECISION", "HUSHFS_UID", "PRIORITY", "_SYSTEMD_UNIT"].map(|name| &fields[name]),
        [&json!("hushfs"), &json!("allow"), &json!("2001"), &json!("6"), &json!("hushfs.service")]
    );
}

#[test]
fn a_unit_that_is_stopped_leaves_no_mount_and_who_requires_it_starts_after_the_mount() {
    let place = Place::new();
    let machine = machine(&place, &grant("allow", "unit:worker.service", "read", "prod/db"));
    machine.service(
        "worker.service",
        "User=worker\n[Unit]\nRequires=hushfs.service\nAfter=hushfs.service\n[Service]",
        READ,
    );
    let results = machine.run(
        "grep ' /secrets fuse' /proc/mounts >/results/mounted\n\
         find /run/hushfs -type s >/results/sockets\n\
         systemctl stop hushfs.service\n\
         systemctl show -p Result,ExecMainStatus,ActiveState hushfs.service >/results/stopped\n\
         grep -c fuse.hushfs /proc/mounts >/results/mounts-left || true\n\
         find /secrets /run/hushfs -mindepth 1 -not -name '*.lock' >/results/files-left\n\
         systemctl start worker.service\n",
    );
    let mounted = results.file("mounted");
    assert!(mounted.lines().count() == 1 && mounted.contains("fuse.hushfs"), "what is counted below: {mounted}");
    assert_ne!(results.file("sockets"), "");
    let stopped = results.file("stopped");
    for line in ["Result=success", "ExecMainStatus=0", "ActiveState=inactive"] {
        assert!(stopped.lines().any(|it| it == line), "{stopped}");
    }
    assert_eq!((results.file("mounts-left"), results.file("files-left")), ("0\n".into(), String::new()));
    assert!(value(&results, "worker.service"));
}

#[test]
fn a_path_unit_starts_its_service_when_the_version_changes() {
    let place = Place::new();
    let machine = machine(&place, "[cache]\nttl = \"1h\"\n");
    machine.unit("watch.path", "[Path]\nPathChanged=/secrets/prod/db/KEY\nUnit=told.service\n");
    machine.unit(
        "told.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'cat /secrets/prod/db/KEY >/results/told'\n",
    );
    let results = machine.run(
        "cat /secrets/prod/db/KEY >/results/before\n\
         systemctl start watch.path\n\
         echo '{\"KEY\":\"the second\"}' >/var/lib/store/.new\n\
         mv /var/lib/store/.new /var/lib/store/db.json\n\
         hushfs refresh /secrets/prod/db\n\
         until [ -s /results/told ]; do sleep 0.1; done\n",
    );
    assert_eq!((results.file("before"), results.file("told")), ("value".to_owned(), "the second".to_owned()));
}

#[test]
fn all_memory_of_the_units_daemon_is_locked_and_none_of_it_is_in_images() {
    let place = Place::new();
    let machine = Machine::new(&place);
    machine.installed_hushfs("[sandbox]\nuser = false\ncapabilities = false\n");
    // Not every machine's root may lift limits, as the unit does; whom no limit binds is the same to the daemon.
    machine.unit("hushfs.service.d/unbound.conf", "[Service]\nLimitMEMLOCK=8M\nCapabilityBoundingSet=CAP_IPC_LOCK\n");
    machine.secret("db", "value");
    let results = machine.run(
        "cat /secrets/prod/db/KEY\n\
         hushfs status --json >/results/status\n\
         cat /proc/$(systemctl show --property=MainPID --value hushfs.service)/coredump_filter >/results/filter\n\
         systemctl show --property=LimitMEMLOCK --value hushfs.service >/results/bound\n\
         rm /etc/systemd/system/hushfs.service.d/unbound.conf\n\
         systemctl daemon-reload\n\
         systemctl show --property=LimitMEMLOCK --value hushfs.service >/results/limit\n",
    );
    let status: Value = serde_json::from_str(&results.file("status")).unwrap();
    assert_eq!(status["cache"]["memory_all_locked"], true, "the unit's filter lets it");
    assert_eq!(results.file("filter").trim(), "00000000");
    assert_eq!([results.file("bound").trim(), results.file("limit").trim()], ["8388608", "infinity"]);
}
