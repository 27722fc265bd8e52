//! The main job, on AWS Secrets Manager: what is read, what a refusal says, what it costs, what is stale.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::cloud::Cloud;
use crate::support::daemon::{Place, errno_of_reading, eventually, xattr};
use crate::support::fault_proxy::Fault;
use crate::support::ministack::ROOT_KEYS;
use crate::support::ports;

/// More than the ttl of the scopes here that have a short one.
const PAST_TTL: Duration = Duration::from_millis(1300);

fn text(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

#[track_caller]
fn assert_errno(path: &Path, errno: i32) {
    let got = errno_of_reading(path).map(std::io::Error::from_raw_os_error);
    let wanted = std::io::Error::from_raw_os_error(errno);
    assert_eq!(got.map(|error| error.to_string()), Some(wanted.to_string()), "{}", path.display());
}

fn throttled() -> Fault {
    Fault::error(400, "ThrottlingException")
}

fn unavailable() -> Fault {
    Fault::error(503, "ServiceUnavailable")
}

#[test]
fn secrets_are_read_by_name_key_and_version() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("prod/db", br#"{"USER":"old"}"#);
    let new = cloud.wait(cloud.account.rotate("prod/db", br#"{"USER":"app","PORT":5432,"TLS":true,"NONE":null}"#));
    cloud.wait(cloud.account.tag("prod/db", "team", "storage"));
    cloud.create("prod/team/deep/token", b"plain text\n");
    cloud.create("prod/cert", b"\x00\xff binary");
    cloud.create("elsewhere/x", b"outside of the prefix");
    let _daemon = cloud.mount(&place, &cloud.scope("prod", "prefix = \"prod/\""));
    let prod = place.mnt().join("prod");

    assert_eq!(text(&prod.join("db/USER")), "app");
    assert_eq!(text(&prod.join("db/PORT")), "5432");
    assert_eq!(text(&prod.join("db/TLS")), "true");
    assert_eq!(text(&prod.join("db/NONE")), "");
    assert_eq!(text(&prod.join("db/.json")), r#"{"NONE":"","PORT":"5432","TLS":"true","USER":"app"}"#);
    assert_eq!(text(&prod.join("team/deep/token/value")), "plain text\n");
    assert_eq!(fs::read(prod.join("cert/value")).unwrap(), b"\x00\xff binary");
    assert_errno(&prod.join("x/value"), libc::ENOENT);
    assert_errno(&prod.join("db/nosuch"), libc::ENOENT);

    let names = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&prod), ["cert", "db", "team"]);
    assert_eq!(names(&prod.join("team")), ["deep"]);
    assert_eq!(names(&prod.join("db")), ["NONE", "PORT", "TLS", "USER"]);

    assert_eq!(text(&prod.join("db/@AWSPREVIOUS/USER")), "old");
    assert_eq!(text(&prod.join("db/@AWSCURRENT/USER")), "app");
    assert_eq!(text(&prod.join("db/@current/USER")), "app");
    assert_eq!(text(&prod.join("db/@previous/USER")), "old");
    assert_eq!(text(&prod.join(format!("db/@{new}/USER"))), "app");
    assert_eq!(fs::read_link(prod.join("db/@current")).unwrap(), Path::new(&format!("@{new}")));
    let old = fs::read_link(prod.join("db/@previous")).unwrap();
    assert_eq!(text(&prod.join("db").join(old).join("USER")), "old");
    assert_errno(&prod.join("db/@AWSNOSUCH/USER"), libc::ENOENT);
    assert_errno(&prod.join("db/@00000000-0000-4000-8000-000000000000/USER"), libc::ENOENT);

    let file = prod.join("db/USER");
    assert_eq!(xattr(&file, "user.hushfs.provider").as_deref(), Some("aws-secrets-manager"));
    assert_eq!(xattr(&file, "user.hushfs.version"), Some(new));
    assert!(xattr(&file, "user.hushfs.source").unwrap().starts_with("arn:aws:secretsmanager:us-east-1:"));
    assert_eq!(xattr(&file, "user.hushfs.stale").as_deref(), Some("0"));
    assert_eq!(xattr(&file, "user.hushfs.tag.team").as_deref(), Some("storage"));
}

#[test]
fn every_failure_has_its_errno() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for name in ["hangs", "gone", "large", "cut"] {
        cloud.create(name, &[b'x'; 4000]);
    }
    cloud.create("large-in-truth", &[b'x'; 20_000]);
    cloud.create("exactly", &[b'x'; 16_384]);
    cloud.wait(cloud.account.delete("gone"));
    let closed = ports::free();
    let nobody = format!(
        "[scopes.nobody]\nprovider = \"aws-secrets-manager\"\nregion = \"us-east-1\"\n\
         endpoint_url = \"http://127.0.0.1:{closed}\"\ntimeout = \"60s\"\n"
    );
    let scopes = cloud.scope("prod", "timeout = \"60s\"\nmax_secret_bytes = \"16KiB\"")
        + &cloud.scope("brief", "timeout = \"2s\"")
        + &nobody;
    let _daemon = cloud.mount(&place, &scopes);
    let prod = place.mnt().join("prod");

    assert_errno(&prod.join("gone/value"), libc::ENOENT);
    assert_errno(&prod.join("never-was/value"), libc::ENOENT);
    assert_errno(&prod.join("large-in-truth/value"), libc::EFBIG);
    assert_eq!(fs::read(prod.join("exactly/value")).unwrap().len(), 16_384);
    assert_errno(&place.mnt().join("nobody/x/value"), libc::EHOSTUNREACH);
    let listing = fs::read_dir(place.mnt().join("nobody")).unwrap_err();
    assert_eq!(listing.raw_os_error(), Some(libc::EHOSTUNREACH));

    // What is seen of the name itself is right; the value's call goes wrong.
    cloud.proxy.set("GetSecretValue", Fault::Huge { bytes: 64 << 20 });
    assert_errno(&prod.join("large/value"), libc::EFBIG);
    cloud.proxy.set("GetSecretValue", Fault::CutBody);
    assert_errno(&prod.join("cut/value"), libc::EHOSTUNREACH);
    cloud.proxy.set("GetSecretValue", Fault::Hang);
    assert_errno(&place.mnt().join("brief/hangs/value"), libc::ETIMEDOUT);

    // A name of its own for each, because failures are remembered.
    let garbage = || Fault::body(r#"{"SecretString":17}"#);
    for (name, fault, errno) in [
        ("unavailable", unavailable(), libc::EHOSTUNREACH),
        ("garbage", garbage(), libc::EIO),
        ("not-json", Fault::body("<html>It works!</html>"), libc::EIO),
        ("empty", Fault::body(""), libc::EIO),
        ("denied", Fault::error(400, "AccessDeniedException"), libc::EACCES),
        ("expired", Fault::error(400, "ExpiredTokenException"), libc::EKEYREJECTED),
    ] {
        cloud.proxy.set("*", Fault::Pass);
        cloud.proxy.set("GetSecretValue", fault);
        cloud.create(name, b"value");
        assert_errno(&prod.join(name).join("value"), errno);
    }
    for (name, fault, errno) in [
        ("prod/all-unavailable", unavailable(), libc::EHOSTUNREACH),
        ("brief/all-hang", Fault::Hang, libc::ETIMEDOUT),
        // The last, for the whole scope then pauses.
        ("prod/all-throttled", throttled(), libc::EBUSY),
    ] {
        for operation in ["*", "GetSecretValue"] {
            cloud.proxy.set(operation, fault.clone());
        }
        assert_errno(&place.mnt().join(name).join("value"), errno);
    }
    let log = place.log();
    assert!(!log.contains("defect"), "{log}");
}

#[test]
fn iam_refuses_one_secret_and_not_its_neighbour() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("open-db", br#"{"USER":"app"}"#);
    cloud.create("shut-db", b"value");
    // Neither ListSecrets nor DescribeSecret.
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue",
        "Resource":"arn:aws:secretsmanager:us-east-1:000000000000:secret:open-*"}]}"#;
    let (id, secret) = cloud.account.server.user("reader", policy);
    let _daemon = cloud.mount_as(&place, &cloud.scope("prod", ""), Some((&id, &secret)));
    let prod = place.mnt().join("prod");
    let cat = Command::new("cat").arg(prod.join("open-db/USER")).output().unwrap();
    assert_eq!(cat.stdout, b"app", "{}", String::from_utf8_lossy(&cat.stderr));
    assert_errno(&prod.join("shut-db/value"), libc::EACCES);
    assert_eq!(fs::read_dir(&prod).unwrap_err().raw_os_error(), Some(libc::EACCES));
    // A secret itself can be listed: that needs its value and nothing else.
    assert_eq!(fs::read_dir(prod.join("open-db")).unwrap().count(), 1);
}

#[test]
fn credentials_that_are_wrong_or_missing_are_ekeyrejected() {
    for keys in [Some(("AKIAIOSFODNN7EXAMPLE", "wrong")), None] {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        cloud.create("db", b"value");
        let _daemon = cloud.mount_as(&place, &cloud.scope("prod", "timeout = \"20s\""), keys);
        assert_errno(&place.mnt().join("prod/db/value"), libc::EKEYREJECTED);
        let listing = fs::read_dir(place.mnt().join("prod")).unwrap_err();
        assert_eq!(listing.raw_os_error(), Some(libc::EKEYREJECTED));
        assert!(fs::read_dir(place.mnt()).is_ok());
    }
}

#[test]
fn a_thousand_secrets_are_listed_in_ten_calls_and_without_a_value() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let account = Arc::new(cloud.account);
    cloud.proxy.forget_calls();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut workers = JoinSet::new();
        for worker in 0..8 {
            let account = Arc::clone(&account);
            workers.spawn(async move {
                for n in (worker..1000).step_by(8) {
                    account.create(&format!("many/s{n:04}"), b"value").await;
                }
            });
        }
        while let Some(done) = workers.join_next().await {
            done.unwrap();
        }
    });
    let url = cloud.proxy.url();
    place.configure(&format!(
        "[scopes.prod]\nprovider = \"aws-secrets-manager\"\nregion = \"us-east-1\"\nendpoint_url = {url:?}\n\
         prefix = \"many/\"\ntimeout = \"60s\"\nlist_ttl = \"1h\"\n"
    ));
    let mut command = place.hushfs(&["mount"]);
    command.env("AWS_ACCESS_KEY_ID", ROOT_KEYS.0).env("AWS_SECRET_ACCESS_KEY", ROOT_KEYS.1);
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/dev/null");
    let _daemon = place.start(command);
    for _ in 0..2 {
        let ls = Command::new("ls").arg("-l").arg(place.mnt().join("prod")).output().unwrap();
        assert!(ls.status.success(), "{}", String::from_utf8_lossy(&ls.stderr));
        assert_eq!(String::from_utf8_lossy(&ls.stdout).lines().filter(|line| line.contains(" s")).count(), 1000);
    }
    let find = Command::new("find").arg(place.mnt().join("prod")).args(["-maxdepth", "1"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&find.stdout).lines().count(), 1001);
    assert_eq!(cloud.proxy.calls("ListSecrets"), 10);
    assert_eq!(cloud.proxy.all_calls(), 10, "nothing but the listing");
}

#[test]
fn a_hundred_readers_of_a_cold_secret_are_one_call() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    for n in 0..5 {
        cloud.create(&format!("db-{n}"), b"value");
    }
    let _daemon = cloud.mount(&place, &cloud.scope("prod", "timeout = \"60s\""));
    // Several times: what is wrong here is wrong once in many.
    for n in 0..5 {
        cloud.proxy.forget_calls();
        let together = Arc::new(Barrier::new(100));
        let readers: Vec<_> = (0..100)
            .map(|_| {
                let (together, path) = (Arc::clone(&together), place.mnt().join(format!("prod/db-{n}/value")));
                std::thread::spawn(move || {
                    together.wait();
                    fs::read(path).unwrap()
                })
            })
            .collect();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() == b"value"));
        assert_eq!(cloud.proxy.calls("GetSecretValue") + cloud.proxy.calls("BatchGetSecretValue"), 1);
        assert!(cloud.proxy.calls("DescribeSecret") <= 1);
    }
}

#[test]
fn while_the_provider_is_down_the_last_good_value_is_served_and_marked_stale() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let _daemon = cloud.mount(&place, &cloud.scope("prod", "ttl = \"1s\"\nlist_ttl = \"1s\"\ntimeout = \"2s\""));
    let file = place.mnt().join("prod/db/value");
    assert_eq!(eventually("the value", || fs::read(&file).ok()), b"value");
    for fault in [unavailable(), throttled(), Fault::Hang] {
        cloud.proxy.set("*", fault);
        std::thread::sleep(PAST_TTL);
        assert_eq!(text(&file), "value");
        assert_eq!(xattr(&file, "user.hushfs.stale").as_deref(), Some("1"));
    }
    assert!(place.status()["cache"]["stale"].as_u64() > Some(0));
    cloud.proxy.set("*", Fault::Pass);
    let start = Instant::now();
    while xattr(&file, "user.hushfs.stale").as_deref() != Some("0") {
        assert!(start.elapsed() < Duration::from_secs(60), "it never recovers");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(text(&file), "value");
    }
}

#[test]
fn nothing_stale_is_served_past_max_stale_or_where_it_is_zero() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let scopes = cloud.scope("never", "ttl = \"1s\"\nmax_stale = \"0s\"\nnegative_ttl = \"200ms\"")
        + &cloud.scope("briefly", "ttl = \"1s\"\nmax_stale = \"1s\"\nnegative_ttl = \"200ms\"");
    let _daemon = cloud.mount(&place, &scopes);
    let never = place.mnt().join("never/db/value");
    let briefly = place.mnt().join("briefly/db/value");
    assert_eq!(text(&never), "value");
    assert_eq!(text(&briefly), "value");
    cloud.proxy.set("*", unavailable());
    std::thread::sleep(PAST_TTL);
    assert_errno(&never, libc::EKEYEXPIRED);
    // Also long after it was wiped.
    std::thread::sleep(3 * PAST_TTL);
    assert_errno(&never, libc::EKEYEXPIRED);
    assert_errno(&briefly, libc::EKEYEXPIRED);
    assert_eq!(place.status()["cache"]["values"], 0);
    // What was never had is another matter.
    assert_errno(&place.mnt().join("never/other/value"), libc::EHOSTUNREACH);
    cloud.proxy.set("*", Fault::Pass);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(text(&never), "value");
}

#[test]
fn after_a_denial_the_old_value_is_never_served_again() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let scope = cloud.scope("prod", "ttl = \"1s\"\nlist_ttl = \"1s\"\nnegative_ttl = \"500ms\"");
    let _daemon = cloud.mount(&place, &scope);
    let file = place.mnt().join("prod/db/value");
    assert_eq!(text(&file), "value");
    cloud.proxy.set("*", Fault::error(400, "AccessDeniedException"));
    std::thread::sleep(PAST_TTL);
    assert_errno(&file, libc::EACCES);
    // The provider going away afterwards does not bring it back.
    for fault in [unavailable(), throttled(), Fault::error(400, "AccessDeniedException")] {
        cloud.proxy.set("*", fault);
        for _ in 0..4 {
            assert!(errno_of_reading(&file).is_some());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    assert_eq!(place.status()["cache"]["values"], 0);
}

#[test]
fn a_role_is_taken_on_with_its_external_id_and_the_wrong_one_is_ekeyrejected() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    cloud.create("db", b"value");
    let server = &cloud.account.server;
    let (id, secret) = server.user(
        "base",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#,
    );
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},
        "Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"let-me-in"}}}]}"#;
    let reads =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}]}"#;
    let role = server.role("reader", trust, reads);
    let scope = |name: &str, external_id: &str| {
        let role = format!("auth = {{ method = \"role_arn\", role_arn = {role:?}, external_id = {external_id:?} }}");
        cloud.scope(name, &role)
    };
    place.configure(&(scope("right", "let-me-in") + &scope("wrong", "open-sesame")));
    let mut command = cloud.command(&place, Some((&id, &secret)));
    command.env("AWS_ENDPOINT_URL_STS", server.url());
    let _daemon = place.start(command);
    assert_eq!(text(&place.mnt().join("right/db/value")), "value");
    assert_errno(&place.mnt().join("wrong/db/value"), libc::EKEYREJECTED);
}
