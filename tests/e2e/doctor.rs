//! `hushfs doctor` on hosts where something is really wrong; more of them need root.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

/// What a run of `hushfs doctor --json` found.
pub struct Found(pub Vec<Value>);

impl Found {
    pub fn of(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        let found = Self(json["findings"].as_array().unwrap().clone());
        let has_problem = found.0.iter().any(|finding| finding["verdict"] == "problem");
        assert_eq!(json["ok"], !has_problem);
        assert_eq!(output.status.code(), Some(i32::from(has_problem)), "{text}");
        found
    }

    pub fn by(mut command: Command) -> Self {
        Self::of(&command.output().expect("hushfs runs"))
    }

    /// What a check says, verdict by verdict.
    pub fn says(&self, check: &str, verdict: &str) -> Vec<&str> {
        let all = self.0.iter().filter(|finding| finding["check"] == check && finding["verdict"] == verdict);
        all.filter_map(|finding| finding["what"].as_str()).collect()
    }

    /// What follows from the first thing that a check says.
    pub fn why(&self, check: &str) -> &str {
        let first = self.0.iter().find(|finding| finding["check"] == check);
        first.and_then(|finding| finding["why"].as_str()).unwrap_or_default()
    }

    /// The one problem of a check: what, and the command that mends it.
    pub fn problem(&self, check: &str) -> (&str, &str) {
        let mut all = self.0.iter().filter(|finding| finding["check"] == check && finding["verdict"] == "problem");
        let (Some(problem), None) = (all.next(), all.next()) else {
            panic!("not one problem of {check}: {:?}", self.0)
        };
        (problem["what"].as_str().unwrap(), problem["mend"].as_str().unwrap_or_default())
    }
}

pub fn offline(place: &Place) -> Command {
    place.hushfs(&["doctor", "--offline", "--json"])
}

fn with_a_scope() -> (Place, PlainStore) {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    store.put("db.json", br#"{"PASSWORD": "CANARY"}"#);
    place.configure(&store.scope("prod"));
    (place, store)
}

#[test]
fn where_all_is_well_it_says_so_of_each_thing_and_asks_the_providers() {
    let (place, _store) = with_a_scope();
    let found = Found::by(place.hushfs(&["doctor", "--json"]));
    assert_eq!(found.says("configuration", "ok"), ["it can be used, and has one scope"]);
    assert_eq!(found.says("device", "ok"), ["/dev/fuse can be opened"]);
    assert!(found.says("mountpoint", "ok")[0].contains("is a directory where nothing is mounted"));
    let provider = found.says("provider", "ok");
    assert!(provider[0].starts_with("prod (local) takes us for ") && provider[0].ends_with("lists 1 secret"));
    assert!(!format!("{:?}", found.0).contains("CANARY"));
    let checked = String::from_utf8(place.run(&["check", "--online"]).stdout).unwrap();
    assert!(checked.contains("  it lists 1 secret, of which 1 is granted to callers like that\n"), "{checked}");
}

#[test]
fn a_configuration_that_is_wrong_is_shown_and_the_rest_is_looked_at_all_the_same() {
    let place = Place::new();
    place.configure("allow_othr = true\n");
    let found = Found::by(offline(&place));
    let (what, mend) = found.problem("configuration");
    assert_eq!((what, mend), ("the configuration cannot be used", "hushfs check, until it says ok"));
    assert!(format!("{:?}", found.0).contains("did you mean `allow_other`?"));
    assert_eq!(found.says("device", "ok").len(), 1);
}

#[test]
fn a_mount_whose_daemon_was_killed_is_stale_until_what_it_says_is_done() {
    let (place, store) = with_a_scope();
    let mut daemon = place.mount(&store.scope("prod"));
    let alive = Found::by(offline(&place));
    assert!(alive.says("mountpoint", "ok")[0].ends_with("and answers"), "{:?}", alive.0);
    daemon.signal(libc::SIGKILL);
    daemon.wait();
    let stale = Found::by(offline(&place));
    let (what, mend) = stale.problem("mountpoint");
    assert_eq!(what, format!("the mount at {} is stale", place.mnt().display()));
    assert!(mend.starts_with(&format!("hushfs unmount {}", place.mnt().display())), "{mend}");
    // The same of a mount that this configuration knows nothing of.
    place.configure("");
    std::fs::write(place.path().join("hushfs.toml"), format!("mountpoint = {:?}\n", place.path().join("store")))
        .unwrap();
    assert!(Found::by(offline(&place)).says("mount", "problem").contains(&what));
    place.configure(&store.scope("prod"));
    assert!(place.run(&["unmount"]).status.success());
    assert!(Found::by(offline(&place)).says("mountpoint", "problem").is_empty());
}

#[test]
fn a_mountpoint_that_is_missing_a_file_or_in_use_is_told() {
    let (place, _store) = with_a_scope();
    std::fs::write(place.mnt().join("forgotten"), "").unwrap();
    let found = Found::by(offline(&place));
    assert!(found.says("mountpoint", "note")[0].ends_with("is not empty"), "{:?}", found.0);
    std::fs::remove_dir_all(place.mnt()).unwrap();
    let found = Found::by(offline(&place));
    let (what, mend) = found.problem("mountpoint");
    assert!(what.contains("No such file"), "{what}");
    assert_eq!(mend, format!("mkdir -p {}", place.mnt().display()));
    std::fs::write(place.mnt(), "").unwrap();
    assert!(Found::by(offline(&place)).problem("mountpoint").0.ends_with("is not a directory"));
}

#[test]
fn a_provider_that_cannot_be_reached_is_told_with_why() {
    let (place, store) = with_a_scope();
    std::fs::remove_dir_all(&store.path).unwrap();
    let found = Found::by(place.hushfs(&["doctor", "--json"]));
    assert!(found.problem("provider").0.starts_with("prod (local) does not answer"), "{:?}", found.0);
    assert!(Found::by(offline(&place)).says("provider", "problem").is_empty(), "offline nobody is asked");
}

#[test]
fn for_people_it_is_a_line_each_with_the_way_out_below() {
    let (place, _store) = with_a_scope();
    std::fs::remove_dir(place.mnt()).unwrap();
    let output = place.run(&["doctor", "--offline"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ok       configuration: it can be used, and has one scope\n"), "{text}");
    let mend = format!("\n         -> mkdir -p {}\n", place.mnt().display());
    assert!(text.contains("\nPROBLEM  mountpoint: ") && text.contains(&mend), "{text}");
    let problems: Vec<&str> = text.lines().filter(|line| line.starts_with("PROBLEM  ")).collect();
    // What others have mounted is looked at, too.
    assert_eq!(problems.iter().filter(|line| !line.starts_with("PROBLEM  mount: ")).count(), 1, "{text}");
    let sum = if problems.len() == 1 { "1 problem, ".to_owned() } else { format!("{} problems, ", problems.len()) };
    assert!(text.lines().last().unwrap().starts_with(&sum), "{text}");
}

#[cfg(feature = "aws")]
mod aws {
    use super::*;
    use crate::support::cloud::Cloud;
    use crate::support::fault_proxy::Fault;
    use crate::support::ministack::ROOT_KEYS;

    /// `hushfs doctor` with the environment of a daemon of this cloud.
    fn doctor(place: &Place, cloud: &Cloud, keys: (&str, &str), args: &[&str]) -> Command {
        place.configure(&cloud.scope("prod", ""));
        let daemon = cloud.command(place, Some(keys));
        let mut command = place.hushfs(&[&["doctor", "--json"], args].concat());
        for (name, value) in daemon.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        for service in ["STS", "IAM"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), cloud.proxy.url());
        }
        command
    }

    #[test]
    fn credentials_iam_and_a_wrong_clock_are_told_apart() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        cloud.create("db", b"CANARY");
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*"},
        ]});
        let keys = cloud.account.server.user("app", &policy.to_string());
        let found = Found::by(doctor(&place, &cloud, (&keys.0, &keys.1), &[]));
        assert!(found.problem("iam").0.starts_with("prod (aws-secrets-manager)"), "{:?}", found.0);
        let found = Found::by(doctor(&place, &cloud, ("AKIANOBODY", "CANARY-key"), &[]));
        assert!(found.problem("credentials").0.contains("does not take our credentials"), "{:?}", found.0);
        assert!(!format!("{:?}", found.0).contains("CANARY"), "{:?}", found.0);
        // As the services say it to a clock that is wrong.
        let message =
            "Signature expired: 20261125T000000Z is now earlier than 20261125T100000Z (20261125T101500Z - 15 min.)";
        let sts = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>SignatureDoesNotMatch</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        );
        let of_sts = Fault::Answer { status: 403, headers: vec!["Content-Type: text/xml".into()], body: sts };
        for (operation, fault) in
            [("ListSecrets", Fault::error(400, "RequestTimeTooSkewed")), ("GetCallerIdentity", of_sts)]
        {
            cloud.proxy.set(operation, fault);
            let found = Found::by(doctor(&place, &cloud, ROOT_KEYS, &[]));
            let (what, mend) = found.problem("clock");
            assert_eq!(what, "prod (aws-secrets-manager) says that our clock is wrong");
            assert!(mend.starts_with("timedatectl set-ntp true"), "{mend}");
            cloud.proxy.set(operation, Fault::Pass);
        }
    }

    #[test]
    fn offline_nobody_is_asked() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        Found::by(doctor(&place, &cloud, ROOT_KEYS, &["--offline"]));
        assert_eq!(cloud.proxy.all_calls(), 0);
    }

    #[test]
    fn a_proxy_between_a_machine_and_its_metadata_is_told_without_the_proxys_password() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        let with = |no_proxy: &str| {
            let mut command = doctor(&place, &cloud, ROOT_KEYS, &["--offline"]);
            // As on a virtual machine, which has no others than those of its metadata service.
            for other in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED"] {
                command.env_remove(other);
            }
            command.env("HTTP_PROXY", "http://user:CANARY@proxy.example:3128").env("NO_PROXY", no_proxy);
            Found::by(command)
        };
        let found = with("localhost");
        let (what, mend) = found.problem("proxy");
        assert_eq!(what, "169.254.169.254 would be asked through the proxy");
        assert_eq!(mend, "export NO_PROXY=localhost,169.254.169.254");
        assert!(found.says("proxy", "note")[0].contains("HTTP_PROXY (proxy.example:3128)"));
        assert!(!format!("{:?}", found.0).contains("CANARY"));
        let found = with(mend.strip_prefix("export NO_PROXY=").unwrap());
        assert!(found.says("proxy", "problem").is_empty(), "{:?}", found.0);
        let mut with_keys = doctor(&place, &cloud, ROOT_KEYS, &["--offline"]);
        with_keys.env("HTTP_PROXY", "http://proxy.example:3128");
        assert!(Found::by(with_keys).says("proxy", "problem").is_empty(), "it has keys");
    }
}
