//! Credentials that Vault lends, read from the mount and used with PostgreSQL.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::{Place, errno_of_reading, eventually, is_mounted, xattr};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::openbao::OpenBao;
use crate::support::postgres::{Postgres, leases};

const RULES: &str = r#"path "database/creds/*" { capabilities = ["read"] }
    path "database/roles" { capabilities = ["list"] }
    path "database/static-roles" { capabilities = ["list"] }
    path "sys/leases/revoke" { capabilities = ["update"] }"#;

fn start() -> (OpenBao, Postgres) {
    let (bao, postgres) = (OpenBao::start(), Postgres::start());
    postgres.engine(&bao);
    bao.policy("hushfs", RULES);
    (bao, postgres)
}

fn scope(bao: &OpenBao, name: &str, url: &str) -> String {
    let file = bao.file(&format!("token-{name}"), &bao.token(&["hushfs"], json!({})));
    format!(
        "[scopes.{name}]\nprovider = \"vault\"\naddress = {url:?}\nkv = \"database\"\n\
         auth = {{ method = \"token\", token_file = {file:?} }}\n"
    )
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The account that the mount shows, having logged in with it; or what the server says.
fn try_to_log_in(postgres: &Postgres, role: &Path) -> Result<String, String> {
    // Of one open: other credentials may come between two.
    let both: Value = serde_json::from_str(&text(&role.join(".json"))).expect("JSON");
    let [user, password] = ["username", "password"].map(|key| both[key].as_str().expect("text"));
    let told = postgres.query(user, password, "SELECT current_user")?;
    assert_eq!(told, user);
    Ok(told)
}

fn log_in(postgres: &Postgres, role: &Path) -> String {
    try_to_log_in(postgres, role).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_account_is_made_by_reading_it_and_is_gone_after_the_unmount() {
    let place = Place::new();
    let (bao, postgres) = start();
    postgres.role(&bao, "app", "1h", "24h");
    let daemon = place.mount(&[scope(&bao, "one", &bao.url()), scope(&bao, "two", &bao.url())].concat());
    let (one, two) = (place.mnt().join("one"), place.mnt().join("two"));

    let names: Vec<_> = fs::read_dir(&one).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["app"]);
    assert!(fs::metadata(one.join("app")).unwrap().is_dir());
    assert!(fs::metadata(one.join("none")).is_err());
    assert!(postgres.roles().is_empty(), "looking at a role asks for nothing");

    let user = log_in(&postgres, &one.join("app"));
    for _ in 0..3 {
        assert_eq!(log_in(&postgres, &one.join("app")), user);
    }
    let keys: Vec<_> = fs::read_dir(one.join("app")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(keys.len(), 2);
    assert!(text(&one.join("app/.env")).contains(&user));
    assert_eq!(errno_of_reading(&one.join("app/@previous/username")), Some(libc::ENOENT));
    assert_eq!(text(&one.join("app/@current/username")), user);
    let password = text(&one.join("app/password"));
    assert_eq!(postgres.query(&text(&one.join("app/username")), &password, "SELECT current_user"), Ok(user.clone()));
    assert_eq!(postgres.roles().len(), 1);
    // Another scope is another token, with a lease of its own.
    let other = log_in(&postgres, &two.join("app"));
    assert_ne!(user, other);
    assert_eq!((postgres.roles().len(), leases(&bao, "app").len()), (2, 2));

    let file = one.join("app/username");
    let expires = humantime_seconds(&xattr(&file, "user.hushfs.expires").unwrap());
    let fetched = humantime_seconds(&xattr(&file, "user.hushfs.fetched").unwrap());
    assert!((3590..=3600).contains(&(expires - fetched)), "{}", expires - fetched);
    let version = xattr(&file, "user.hushfs.version").unwrap();
    assert!(leases(&bao, "app").iter().all(|id| !id.contains(&version)));
    assert!((fs::metadata(&file).unwrap().mtime() - fetched).abs() <= 1);

    assert!(daemon.stop().success());
    eventually("the accounts are gone", || postgres.roles().is_empty().then_some(()));
    assert!(leases(&bao, "app").is_empty());
    assert!(!place.log().contains("could not be given back"), "{}", place.log());
}

#[test]
fn a_reload_keeps_the_accounts_of_a_scope_that_is_what_it_was_and_gives_back_those_of_one_that_is_not() {
    let place = Place::new();
    let (bao, postgres) = start();
    postgres.role(&bao, "app", "1h", "24h");
    let same = scope(&bao, "same", &bao.url());
    let daemon =
        place.mount(&[same.clone(), scope(&bao, "moves", &bao.url()), scope(&bao, "goes", &bao.url())].concat());
    let account = |scope: &str| log_in(&postgres, &place.mnt().join(scope).join("app"));
    let (kept, moves, goes) = (account("same"), account("moves"), account("goes"));
    assert_eq!(postgres.roles().len(), 3);

    // As another token.
    place
        .configure(&[same, scope(&bao, "moves", &bao.url()), "max_stale = \"0\"\nformat = \"json\"\n".into()].concat());
    let reload = place.run(&["reload", "--mountpoint", place.mnt().to_str().unwrap()]);
    assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
    eventually("what was lent is given back", || (postgres.roles() == [kept.clone()]).then_some(()));
    assert_eq!(account("same"), kept, "it goes on");
    let moved = account("moves");
    assert!(moved != moves && moved != goes);
    assert_eq!((postgres.roles().len(), leases(&bao, "app").len()), (2, 2));
    assert!(daemon.stop().success());
    eventually("the accounts are gone", || postgres.roles().is_empty().then_some(()));
}

fn humantime_seconds(text: &str) -> i64 {
    let output = std::process::Command::new("date").args(["-u", "+%s", "-d", text]).output().expect("date runs");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_lease_that_is_read_from_is_kept_alive_and_then_replaced_before_it_ends() {
    let place = Place::new();
    let (bao, postgres) = start();
    let ttl = Duration::from_secs(10);
    postgres.role(&bao, "app", "10s", "30s");
    let proxy = FaultProxy::start(bao.address());
    let _daemon = place.mount(&scope(&bao, "db", &proxy.url()));
    let role = place.mnt().join("db/app");
    // Each login proves that what was served was good when it was read. After a while it may be so no more.
    let account = || {
        let start = Instant::now();
        match try_to_log_in(&postgres, &role) {
            Ok(user) => Some(user),
            Err(_) if start.elapsed() > ttl / 10 => None,
            Err(error) => panic!("{error}"),
        }
    };
    let first = eventually("credentials", account);
    eventually("renewals", || {
        let user = account()?;
        let is_renewed = proxy.calls("POST /v1/sys/leases/renew") >= 2;
        assert!(is_renewed || user == first, "renewed before it is replaced");
        is_renewed.then_some(())
    });
    eventually("other credentials", || account().filter(|user| *user != first));
    eventually("the old account goes", || (!postgres.roles().contains(&first)).then_some(()));
    eventually("credentials", account);
}

#[test]
fn credentials_are_never_served_past_the_end_of_their_lease() {
    let place = Place::new();
    let (bao, postgres) = start();
    postgres.role(&bao, "app", "10s", "1h");
    let proxy = FaultProxy::start(bao.address());
    let _daemon = place.mount(&format!("{}max_stale = \"1h\"\n", scope(&bao, "db", &proxy.url())));
    let role = place.mnt().join("db/app");
    let mut open = fs::File::open(role.join("username")).unwrap();
    let user = log_in(&postgres, &role);
    proxy.set("*", Fault::HangUp);
    // Served, as stale, for as long as they are good; then not, whatever max_stale is.
    let errno = eventually("the end of the lease", || errno_of_reading(&role.join("username")));
    assert_eq!(errno, libc::EKEYEXPIRED);
    eventually("the server takes them back too", || postgres.roles().is_empty().then_some(()));
    let mut snapshot = String::new();
    std::io::Read::read_to_string(&mut open, &mut snapshot).unwrap();
    assert_eq!(snapshot, user, "an open file is what it was");
    proxy.set("*", Fault::Pass);
    let next = eventually("credentials again", || fs::read_to_string(role.join("username")).ok());
    assert_ne!(next, user);
}

#[test]
fn a_check_online_reads_one_account_and_leaves_none() {
    let place = Place::new();
    let (bao, postgres) = start();
    postgres.role(&bao, "app", "1h", "24h");
    let proxy = FaultProxy::start(bao.address());
    place.configure(&scope(&bao, "db", &proxy.url()));
    let output = place.run(&["check", "--online"]);
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{told}");
    for line in
        ["it takes us for token (policies: default, hushfs)", "it lists 1 secret,", "it gave app, which was dropped"]
    {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    assert_eq!(proxy.calls("GET /v1/database/creds/app"), 1);
    eventually("none is left", || (postgres.roles().is_empty() && leases(&bao, "app").is_empty()).then_some(()));
}

#[test]
fn a_static_role_is_the_same_account_with_another_password_once_the_engine_has_changed_it() {
    let place = Place::new();
    let (bao, postgres) = start();
    bao.policy("hushfs", &RULES.replace("database/creds/*", "database/static-creds/*"));
    postgres.fixed_role(&bao, "legacy", "24h");
    let daemon = place.mount(&scope(&bao, "db", &bao.url()));
    let role = place.mnt().join("db/legacy");
    assert_eq!(log_in(&postgres, &role), "legacy");
    let (before, version) = (text(&role.join("password")), xattr(&role.join("password"), "user.hushfs.version"));

    bao.root("POST", "database/rotate-role/legacy", &json!({}));
    let refreshed = place.run(&["refresh", &role.join("password").to_string_lossy()]);
    assert!(refreshed.status.success(), "{}", String::from_utf8_lossy(&refreshed.stderr));
    assert_eq!(log_in(&postgres, &role), "legacy");
    assert_ne!(text(&role.join("password")), before);
    assert_ne!(xattr(&role.join("password"), "user.hushfs.version"), version);
    assert!(daemon.stop().success());
    assert_eq!(postgres.roles(), ["legacy"], "nobody takes back what was not lent");
}

#[test]
fn a_server_that_hangs_keeps_no_daemon_from_ending() {
    let place = Place::new();
    let (bao, postgres) = start();
    postgres.role(&bao, "app", "1h", "24h");
    let proxy = FaultProxy::start(bao.address());
    let daemon = place.mount(&[scope(&bao, "one", &proxy.url()), scope(&bao, "two", &proxy.url())].concat());
    for scope in ["one", "two"] {
        log_in(&postgres, &place.mnt().join(scope).join("app"));
    }
    proxy.set("*", Fault::Hang);
    let start = Instant::now();
    assert!(daemon.stop().success());
    // The promise is five seconds; what this proves is that nobody waited for the server, who never answers.
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    assert!(!is_mounted(&place.mnt()));
    assert!(place.log().contains("took too long"), "{}", place.log());
    assert_eq!(postgres.roles().len(), 2, "what could not be given back ends by itself");
}
