//! The same on AWS Secrets Manager.

use std::fs;

use super::{command, outcomes, pairs, read, says};
use crate::support::cloud::Cloud;
use crate::support::daemon::{Place, errno_of_reading};
use crate::support::fault_proxy::Fault;

const LONG: &str = "ttl = \"1h\"\nlist_ttl = \"1h\"\nnegative_ttl = \"1h\"";

#[test]
fn a_rotation_in_aws_is_seen_after_a_refresh_with_both_versions_named() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for name in ["db", "web", "gone"] {
        cloud.create(name, br#"{"KEY":"old"}"#);
    }
    let _daemon = cloud.mount(&place, &cloud.scope("prod", LONG));
    let prod = place.mnt().join("prod");
    for name in ["db", "web", "gone"] {
        assert_eq!(read(&prod.join(name).join("KEY")), "old");
    }
    assert_eq!(errno_of_reading(&prod.join("new/KEY")), Some(libc::ENOENT));
    let new = cloud.wait(cloud.account.rotate("db", br#"{"KEY":"new"}"#));
    cloud.wait(cloud.account.delete("gone"));
    cloud.create("new", br#"{"KEY":"there"}"#);
    assert_eq!(read(&prod.join("db/KEY")), "old");

    let (status, answer) = says("refresh", &prod);
    assert_eq!(status, Some(0));
    let expected = [("prod/db", "changed"), ("prod/gone", "gone"), ("prod/web", "unchanged")];
    assert_eq!(outcomes(&answer), pairs(&expected));
    assert_eq!(answer["values"][0]["after"], new.as_str());
    assert_eq!(read(&prod.join("db/KEY")), "new");
    assert_eq!(read(&prod.join("new/KEY")), "there");
    assert_eq!(errno_of_reading(&prod.join("gone/KEY")), Some(libc::ENOENT));
    assert_eq!(fs::read_dir(&prod).unwrap().count(), 3);
}

#[test]
fn while_the_provider_is_down_a_refresh_fails_and_the_last_good_value_stays() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for name in ["db", "web"] {
        cloud.create(name, br#"{"KEY":"old"}"#);
    }
    let _daemon = cloud.mount(&place, &cloud.scope("prod", &format!("{LONG}\ntimeout = \"10s\"")));
    let prod = place.mnt().join("prod");
    assert_eq!((read(&prod.join("db/KEY")), read(&prod.join("web/KEY"))), ("old".into(), "old".into()));
    for operation in ["GetSecretValue", "BatchGetSecretValue"] {
        cloud.proxy.set(operation, Fault::error(503, "ServiceUnavailable"));
    }
    let (status, answer) = says("refresh", &prod);
    assert_eq!(status, Some(69));
    assert_eq!(outcomes(&answer), pairs(&[("prod/db", "failed"), ("prod/web", "failed")]));
    assert_eq!(answer["values"][0]["error"]["kind"], "unreachable");
    assert_eq!(answer["values"][0]["before"], answer["values"][0]["after"]);
    assert_eq!(read(&prod.join("db/KEY")), "old");
    let people = String::from_utf8(command(&["refresh"], &prod.join("db")).stdout).unwrap();
    assert!(people.starts_with("failed    prod/db: ") && people.contains(" is kept: unreachable: "), "{people}");

    // One that hangs costs no more than the scope's timeout, however many values there are.
    for operation in ["GetSecretValue", "BatchGetSecretValue"] {
        cloud.proxy.set(operation, Fault::Hang);
    }
    let (status, answer) = says("refresh", &prod);
    assert_eq!(status, Some(69));
    assert_eq!(answer["values"][0]["error"]["kind"], "timed_out");

    // A refusal is no outage.
    for operation in ["GetSecretValue", "BatchGetSecretValue"] {
        cloud.proxy.set(operation, Fault::error(400, "AccessDeniedException"));
    }
    let (status, answer) = says("refresh", &prod);
    assert_eq!(status, Some(77));
    assert_eq!(outcomes(&answer), pairs(&[("prod/db", "refused"), ("prod/web", "refused")]));
    assert_eq!(errno_of_reading(&prod.join("db/KEY")), Some(libc::EACCES));

    for operation in ["GetSecretValue", "BatchGetSecretValue"] {
        cloud.proxy.set(operation, Fault::Pass);
    }
    assert_eq!(says("refresh", &prod).0, Some(0));
    assert_eq!(read(&prod.join("db/KEY")), "old");
}

#[test]
fn a_hundred_values_are_refreshed_in_far_fewer_calls_than_there_are_values() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for n in 0..100 {
        cloud.create(&format!("s-{n}"), br#"{"KEY":"x"}"#);
    }
    let _daemon = cloud.mount(&place, &cloud.scope("prod", LONG));
    let prod = place.mnt().join("prod");
    for n in 0..100 {
        read(&prod.join(format!("s-{n}/KEY")));
    }
    let calls = || cloud.proxy.calls("GetSecretValue") + cloud.proxy.calls("BatchGetSecretValue");
    let before = calls();
    let (status, answer) = says("refresh", &prod);
    assert_eq!(status, Some(0));
    assert_eq!(outcomes(&answer).len(), 100);
    let made = calls() - before;
    assert!(made < 50, "{made} calls");
}

#[test]
fn a_name_that_may_not_be_looked_for_is_not_said_to_be_there() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let _daemon = cloud.mount(&place, &cloud.scope("prod", LONG));
    cloud.proxy.set("*", Fault::error(400, "AccessDeniedException"));
    for mistyped in ["prod/bd", "prod/bd/KEY"] {
        let (status, answer) = says("refresh", &place.mnt().join(mistyped));
        assert_eq!((status, &answer["unknown"]["kind"]), (Some(77), &"denied".into()), "{mistyped}: {answer}");
    }
}
