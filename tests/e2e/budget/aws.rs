//! With AWS, behind a proxy that counts and says "too many".

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;

use super::budget;
use crate::support::cloud::Cloud;
use crate::support::daemon::{Place, errno_of_reading, eventually, xattr};
use crate::support::fault_proxy::Fault;

fn too_many(retry_after: u32) -> Fault {
    let Fault::Answer { status, body, .. } = Fault::error(400, "ThrottlingException") else { unreachable!() };
    Fault::Answer { status, body, headers: vec![format!("Retry-After: {retry_after}")] }
}

fn value(mnt: &Path, number: usize) -> PathBuf {
    mnt.join(format!("prod/secret-{number}/value"))
}

#[test]
fn a_thousand_programs_that_start_over_two_hundred_secrets_make_less_than_two_hundred_calls() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for number in 0..200 {
        cloud.create(&format!("secret-{number}"), format!("value {number}").as_bytes());
    }
    let _daemon = cloud.mount(&place, &cloud.scope("prod", "timeout = \"60s\""));
    let together = Barrier::new(1000);
    std::thread::scope(|scope| {
        for program in 0..1000 {
            let (together, number, file) = (&together, program % 200, value(&place.mnt(), program % 200));
            scope.spawn(move || {
                together.wait();
                assert_eq!(fs::read(file).unwrap(), format!("value {number}").as_bytes());
            });
        }
    });
    let made = ["GetSecretValue", "BatchGetSecretValue", "DescribeSecret", "ListSecrets"];
    let made = made.map(|operation| (operation, cloud.proxy.calls(operation)));
    assert!(cloud.proxy.all_calls() < 200, "{made:?}");
    assert_eq!(place.calls("prod", "fetch"), 200);
}

#[test]
fn a_provider_that_says_too_many_is_left_in_peace_and_no_other_scope_waits() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for number in 0..40 {
        cloud.create(&format!("secret-{number}"), b"value");
    }
    cloud.wait(cloud.account.put_parameter("/app/db/KEY", "value", ParameterType::String));
    let scopes = cloud.scope("prod", "ttl = \"1s\"\nnegative_ttl = \"100ms\"\nlist_ttl = \"1h\"")
        + &cloud.parameters("params", "/app/", "");
    let _daemon = cloud.mount(&place, &scopes);
    assert_eq!(fs::read_dir(place.mnt().join("prod")).unwrap().count(), 40);
    let known = value(&place.mnt(), 0);
    assert_eq!(fs::read(&known).unwrap(), b"value");

    for operation in ["GetSecretValue", "BatchGetSecretValue"] {
        cloud.proxy.set(operation, too_many(600));
    }
    assert_eq!(errno_of_reading(&value(&place.mnt(), 1)), Some(libc::EBUSY));
    cloud.proxy.forget_calls();
    let until = budget(&place, "prod")["throttled_until"].clone();
    assert!(until.is_string(), "{until}");
    for number in 2..40 {
        assert_eq!(errno_of_reading(&value(&place.mnt(), number)), Some(libc::EBUSY));
    }
    // Past its ttl: nobody is asked, and the last good value is served.
    eventually("it is stale", || {
        assert_eq!(fs::read(&known).unwrap(), b"value");
        (xattr(&known, "user.hushfs.stale")? == "1").then_some(())
    });
    assert_eq!(fs::read(place.mnt().join("params/db/KEY")).unwrap(), b"value");
    for operation in ["GetSecretValue", "BatchGetSecretValue", "DescribeSecret"] {
        assert_eq!(cloud.proxy.calls(operation), 0, "{operation}");
    }
    let why = place.run(&["why", value(&place.mnt(), 2).to_str().unwrap()]);
    let why = String::from_utf8(why.stdout).unwrap();
    assert!(why.contains("the provider throttles this scope, no call before 2"), "{why}");
    let status = String::from_utf8(place.run(&["status"]).stdout).unwrap();
    assert!(status.contains("throttled by the provider, no call before 2"), "{status}");
}

#[test]
fn after_a_throttle_readers_are_served_again_by_few_calls_at_a_time() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for number in 0..60 {
        cloud.create(&format!("secret-{number}"), b"value");
    }
    let _daemon =
        cloud.mount(&place, &cloud.scope("prod", "negative_ttl = \"100ms\"\nlist_ttl = \"1h\"\ntimeout = \"60s\""));
    assert_eq!(fs::read_dir(place.mnt().join("prod")).unwrap().count(), 60);
    for operation in ["GetSecretValue", "BatchGetSecretValue"] {
        cloud.proxy.set(operation, too_many(1));
    }
    assert_eq!(errno_of_reading(&value(&place.mnt(), 0)), Some(libc::EBUSY));
    for operation in ["GetSecretValue", "BatchGetSecretValue"] {
        // Long enough that calls which are let go at once are under way at once.
        cloud.proxy.set(operation, Fault::Delay(Duration::from_millis(200)));
    }
    cloud.proxy.forget_calls();
    // They come while the pause lasts, and wait for its end: none of them has to come again.
    let together = Barrier::new(59);
    std::thread::scope(|scope| {
        for number in 1..60 {
            let (together, file) = (&together, value(&place.mnt(), number));
            scope.spawn(move || {
                together.wait();
                assert_eq!(fs::read(file).unwrap(), b"value");
            });
        }
    });
    let began = cloud.proxy.began();
    assert_eq!(began[0].under_way, 1, "one goes first: {began:?}");
    assert!(began.iter().all(|call| call.under_way <= call.ended + 1), "each answer lets one more go: {began:?}");
    assert!(began.len() <= 59, "{}", began.len());
    assert_eq!(place.calls("prod", "fetch"), 60);
}

#[test]
fn while_questions_about_names_are_too_many_values_are_read_all_the_same() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for name in ["secret-1", "secret-2", "team/db"] {
        cloud.create(name, b"value");
    }
    let _daemon = cloud.mount(&place, &cloud.scope("prod", ""));
    for operation in ["DescribeSecret", "ListSecrets"] {
        cloud.proxy.set(operation, too_many(600));
    }
    assert_eq!(fs::read(value(&place.mnt(), 1)).unwrap(), b"value");
    cloud.proxy.forget_calls();
    assert_eq!(fs::read(value(&place.mnt(), 2)).unwrap(), b"value");
    let prod = place.mnt().join("prod");
    assert_eq!(fs::read_dir(&prod).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    // A key that is asked for tells what a name cannot.
    assert!(fs::metadata(prod.join("nosuch")).unwrap().is_dir());
    assert_eq!(errno_of_reading(&prod.join("nosuch/value")), Some(libc::EBUSY), "it could be a name, too");
    assert_eq!(errno_of_reading(&prod.join("team/db/value")), Some(libc::EBUSY));
    let asked = ["DescribeSecret", "ListSecrets"].map(|operation| cloud.proxy.calls(operation));
    assert_eq!(asked, [0, 0], "in the pause");
    assert!(budget(&place, "prod")["throttled_until"].is_string());
}
