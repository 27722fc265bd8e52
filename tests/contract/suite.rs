//! What every provider promises.

use std::sync::Arc;
use std::time::Duration;

use hushfs::config::Scope;
use hushfs::provider::{
    Error, ErrorKind, Fetched, Known, Listing, Presence, Provider, SecretName, VersionSelector, registry,
};

use crate::support::fault_proxy::{Fault, FaultProxy};

/// In every value of these tests, so that an error's text can be searched for it.
pub const MARK: &str = "marked-7c1f2e";

/// A service that tests can change.
pub trait Fixture {
    /// The scope's settings.
    fn scope(&self) -> Scope;
    /// A new secret of these exact bytes; `name` is relative to the scope.
    async fn put(&self, name: &str, bytes: &[u8]);
    /// Many of them with the same bytes.
    async fn put_all(&self, names: &[String], bytes: &[u8]);
    /// Other bytes for a secret that is there.
    async fn rotate(&self, name: &str, bytes: &[u8]);
    async fn delete(&self, name: &str);
    fn abilities(&self) -> Abilities;

    /// How a secret is called that the suite calls `name`, where names have fewer characters; another for each.
    fn spell(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Can secrets be below `name/`?
    fn has_folders(&self) -> bool {
        true
    }

    /// The bytes that were put, out of what was fetched: where values are maps, one of their keys.
    fn bytes<'a>(&self, fetched: &'a Fetched) -> &'a [u8] {
        fetched.payload.raw.expose()
    }

    /// How many bytes a value has besides those that were put.
    fn overhead(&self) -> u64 {
        0
    }

    /// The longest value, in bytes.
    fn largest(&self) -> usize {
        usize::MAX
    }

    /// Can a value be any bytes, or only text?
    fn holds_binary(&self) -> bool {
        true
    }

    /// Does the service say when a version was made: when it is fetched or looked at, and in listings?
    fn has_times(&self) -> (bool, bool) {
        (true, true)
    }

    /// Can names have characters beyond ASCII?
    fn holds_unicode_names(&self) -> bool {
        false
    }

    /// Does the service name a secret's keys without their values?
    fn names_keys(&self) -> bool {
        false
    }

    /// Has every call from now on go like this. False where there is nothing between the provider and the service
    /// that could: then the provider has tests of its own.
    fn set_fault(&self, _fault: Fault) -> bool {
        false
    }

    /// The same scope with credentials that the service does not take. None where tests of its own say all.
    fn with_bad_credentials(&self) -> Option<Scope> {
        None
    }
}

/// Where services differ.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    pub empty_values: bool,
    pub versions: bool,
}

/// One `#[test]` per case; `$run` gives a fixture to it.
macro_rules! contract {
    ($run:path) => {
        contract!($run:
            an_empty_scope_lists_nothing,
            a_listing_has_every_secret_once,
            a_thousand_secrets_are_listed,
            a_listing_has_what_stays_whatever_goes_between_its_pages,
            a_look_tells_the_secret_from_what_is_below_it,
            a_value_comes_back_byte_for_byte,
            an_empty_value_is_a_value,
            what_is_not_there_is_not_found,
            a_rotated_secret_has_a_new_version_and_value,
            older_versions_are_served_where_they_are_kept,
            a_deleted_secret_is_gone,
            keys_that_are_named_alone_are_those_of_the_value,
            what_changes_after_it_was_listed_is_read_as_it_is_now,
            names_beyond_ascii_are_listed_looked_at_and_read,
            an_answer_that_is_slow_is_waited_for_and_one_that_never_comes_is_not,
            what_goes_wrong_on_the_way_is_what_it_is_and_never_an_absence,
            no_redirect_takes_the_credentials_along,
            credentials_that_are_not_taken_are_credentials_rejected,
            a_value_over_the_limit_is_too_large,
            odd_names_are_answered_and_never_a_panic,
        );
    };
    ($run:path: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $run($crate::test_name!(), async |fixture| $crate::suite::$case(&fixture).await);
            }
        )*
    };
}

pub fn provider(fixture: &impl Fixture) -> Arc<dyn Provider> {
    build(fixture.scope())
}

pub fn build(scope: Scope) -> Arc<dyn Provider> {
    registry::build(&scope, None).unwrap_or_else(|error| panic!("{error}"))
}

pub fn name(text: &str) -> SecretName {
    SecretName::new(text).expect("a name")
}

/// Of that kind, and without a value in its text.
pub fn expect_error<T>(result: Result<T, Error>, kind: ErrorKind) -> Error {
    let Err(error) = result else { panic!("answered, not {kind:?}") };
    assert!(!error.detail.contains(MARK), "a value is in an error's text");
    assert_eq!(error.kind, kind, "{error}");
    eprintln!("{}: {error}", kind.as_str());
    error
}

pub async fn listing(provider: &dyn Provider) -> Listing {
    provider.list().await.unwrap_or_else(|error| panic!("list: {error}"))
}

async fn names(provider: &dyn Provider) -> Vec<String> {
    let mut names: Vec<String> = listing(provider).await.secrets.iter().map(|it| it.name.to_string()).collect();
    names.sort();
    names
}

pub async fn look(provider: &dyn Provider, text: &str) -> Presence {
    provider.look(&name(text)).await.unwrap_or_else(|error| panic!("look at {text}: {error}"))
}

pub async fn fetch(provider: &dyn Provider, text: &str, version: &VersionSelector) -> Fetched {
    provider.fetch(&name(text), version).await.unwrap_or_else(|error| panic!("fetch {text}: {error}"))
}

pub async fn current(provider: &dyn Provider, text: &str) -> Fetched {
    fetch(provider, text, &VersionSelector::Current).await
}

fn marked(text: &str) -> Vec<u8> {
    format!("{MARK} {text}").into_bytes()
}

pub async fn an_empty_scope_lists_nothing(fixture: &impl Fixture) {
    let provider = provider(fixture);
    assert!(names(&*provider).await.is_empty());
}

pub async fn a_listing_has_every_secret_once(fixture: &impl Fixture) {
    let expected = ["a", "app/db", "app/db/replica", "app/db-2", "deep/er/than/that", "z_1.x@y=+"];
    let expected = expected.map(|name| fixture.spell(name));
    for name in &expected {
        fixture.put(name, &marked("value")).await;
    }
    let provider = provider(fixture);
    let mut sorted = expected;
    sorted.sort();
    assert_eq!(names(&*provider).await, sorted);
    let listing = listing(&*provider).await;
    assert!(listing.left_out.is_empty(), "{:?}", listing.left_out);
    assert!(listing.secrets.iter().all(|it| it.changed.is_some() == fixture.has_times().1));
}

pub async fn a_thousand_secrets_are_listed(fixture: &impl Fixture) {
    let expected: Vec<String> = (0..1000).map(|n| fixture.spell(&format!("many/s{n:04}"))).collect();
    fixture.put_all(&expected, &marked("value")).await;
    let provider = provider(fixture);
    assert_eq!(names(&*provider).await, expected);
}

/// More than one page holds, wherever there are pages.
pub async fn a_listing_has_what_stays_whatever_goes_between_its_pages(fixture: &impl Fixture) {
    let all: Vec<String> = (0..600).map(|n| fixture.spell(&format!("many/s{n:04}"))).collect();
    fixture.put_all(&all, &marked("value")).await;
    let provider = provider(fixture);
    // From the end: emulators go on at a number, and would pass over one that stays for each that goes before it.
    let going: Vec<_> = all.iter().rev().take(10).collect();
    // Each page then takes longer than taking some of them away.
    fixture.set_fault(Fault::Delay(Duration::from_millis(100)));
    let listing = tokio::spawn({
        let provider = Arc::clone(&provider);
        async move { names(&*provider).await }
    });
    for name in &going {
        fixture.delete(name).await;
    }
    fixture.set_fault(Fault::Pass);
    let listed = listing.await.expect("a listing");
    let missing: Vec<_> = all.iter().filter(|name| !going.contains(name) && !listed.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(listed.iter().all(|name| all.contains(name)));
    let left = names(&*provider).await;
    assert!(going.iter().all(|name| !left.contains(name)));
}

pub async fn a_look_tells_the_secret_from_what_is_below_it(fixture: &impl Fixture) {
    for name in ["lone", "both", "both/child", "folder/child"] {
        fixture.put(&fixture.spell(name), &marked("value")).await;
    }
    let provider = provider(fixture);
    let expected = [
        ("lone", Known::Yes, Known::No),
        ("both", Known::Yes, Known::Yes),
        ("folder", Known::No, Known::Yes),
        ("none", Known::No, Known::No),
        // The start of a name is not a name.
        ("lon", Known::No, Known::No),
        ("bot", Known::No, Known::No),
        ("folder/child/none", Known::No, Known::No),
    ];
    for (name, secret, children) in expected {
        let children = if fixture.has_folders() { children } else { Known::No };
        let presence = look(&*provider, name).await;
        assert_eq!((presence.secret, presence.children), (secret, children), "{name}");
        assert_eq!(presence.changed.is_some(), secret == Known::Yes && fixture.has_times().0, "{name}");
    }
}

pub async fn a_value_comes_back_byte_for_byte(fixture: &impl Fixture) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(1024).collect();
    let mut values = vec![
        (
            "json",
            format!(r#"{{"user":"u","password":"{MARK}","n":1.50,"nested":{{"a":[1,2]}},"x":null}}"#).into_bytes(),
        ),
        ("text", marked("no newline is added")),
        ("lines", marked("first\r\nsecond\n\n")),
        ("binary", every_byte),
        ("not-quite-text", [MARK.as_bytes(), &[0xff, 0xfe, 0]].concat()),
        ("unicode", marked("Zoë 🔑 \u{0000}\u{2028}\u{feff} e\u{301}")),
        ("quotes", marked(r#""\\' $HOME `x` %s {"#)),
        ("one", b"x".to_vec()),
        ("large", MARK.bytes().cycle().take(fixture.largest().min(60_000)).collect()),
    ];
    if !fixture.holds_binary() {
        values.retain(|(_, value)| std::str::from_utf8(value).is_ok());
    }
    for (name, value) in &values {
        fixture.put(name, value).await;
    }
    let provider = provider(fixture);
    for (name, value) in &values {
        let fetched = current(&*provider, name).await;
        assert!(fixture.bytes(&fetched) == &value[..], "{name} came back otherwise");
        assert!(!fetched.version.is_empty(), "{name} has no version");
        assert!(!fetched.source.is_empty(), "{name} has no source");
        assert_eq!(fetched.created.is_some(), fixture.has_times().0, "{name} has no time");
    }
}

pub async fn an_empty_value_is_a_value(fixture: &impl Fixture) {
    if !fixture.abilities().empty_values {
        return;
    }
    fixture.put("empty", b"").await;
    let provider = provider(fixture);
    assert!(fixture.bytes(&current(&*provider, "empty").await).is_empty());
}

pub async fn what_is_not_there_is_not_found(fixture: &impl Fixture) {
    let there = fixture.spell("there/below");
    fixture.put(&there, &marked("value")).await;
    let provider = provider(fixture);
    for absent in ["none", "there", "there/below/none", "ther"] {
        expect_error(provider.fetch(&name(absent), &VersionSelector::Current).await, ErrorKind::NotFound);
    }
    for version in ["no-such-version", "0", "7f3b8f5e-0c1b-4d53-9f0a-1f5f4f7a9d10", "a b", &"x".repeat(300), "é\n"] {
        let version = VersionSelector::Named(version.into());
        expect_error(provider.fetch(&name(&there), &version).await, ErrorKind::NotFound);
    }
    expect_error(provider.fetch(&name(&there), &VersionSelector::Previous).await, ErrorKind::NotFound);
}

pub async fn a_rotated_secret_has_a_new_version_and_value(fixture: &impl Fixture) {
    fixture.put("db", &marked("first")).await;
    let provider = provider(fixture);
    let first = current(&*provider, "db").await;
    assert_eq!(current(&*provider, "db").await.version, first.version, "a version moved without a rotation");
    fixture.rotate("db", &marked("second")).await;
    let second = current(&*provider, "db").await;
    assert!(fixture.bytes(&second) == marked("second"));
    assert_ne!(first.version, second.version);
    assert_eq!(first.source, second.source);
}

pub async fn older_versions_are_served_where_they_are_kept(fixture: &impl Fixture) {
    if !fixture.abilities().versions {
        return;
    }
    fixture.put("db", &marked("first")).await;
    let provider = provider(fixture);
    let first = current(&*provider, "db").await.version;
    fixture.rotate("db", &marked("second")).await;
    let second = current(&*provider, "db").await.version;

    let previous = fetch(&*provider, "db", &VersionSelector::Previous).await;
    assert!(fixture.bytes(&previous) == marked("first"));
    assert_eq!(previous.version, first);
    for (id, value) in [(&first, marked("first")), (&second, marked("second"))] {
        let fetched = fetch(&*provider, "db", &VersionSelector::Named(id.clone())).await;
        assert!(fixture.bytes(&fetched) == value);
        assert_eq!(&fetched.version, id);
    }
}

pub async fn keys_that_are_named_alone_are_those_of_the_value(fixture: &impl Fixture) {
    let provider = provider(fixture);
    let of = fixture.spell("of");
    fixture.put(&of, MARK.as_bytes()).await;
    let of = name(&of);
    let Some(named) = provider.keys(&of) else { return assert!(!fixture.names_keys()) };
    assert!(fixture.names_keys());
    let named = named.await.unwrap();
    let fetched = provider.fetch(&of, &VersionSelector::Current).await.unwrap();
    let keys: Vec<_> = fetched.payload.keys.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(named, keys);
    let missing = name(&fixture.spell("missing"));
    expect_error(provider.keys(&missing).expect("it names keys").await, ErrorKind::NotFound);
    fixture.delete(of.as_str()).await;
    expect_error(provider.keys(&of).expect("it names keys").await, ErrorKind::NotFound);
}

pub async fn a_deleted_secret_is_gone(fixture: &impl Fixture) {
    fixture.put("stays", &marked("value")).await;
    fixture.put("goes", &marked("value")).await;
    let below = fixture.spell("folder/goes");
    fixture.put(&below, &marked("value")).await;
    let provider = provider(fixture);
    assert_eq!(names(&*provider).await.len(), 3);
    fixture.delete("goes").await;
    fixture.delete(&below).await;
    assert_eq!(names(&*provider).await, ["stays"]);
    let presence = look(&*provider, "goes").await;
    assert_eq!((presence.secret, presence.children), (Known::No, Known::No));
    assert_eq!(look(&*provider, "folder").await.children, Known::No);
    expect_error(provider.fetch(&name("goes"), &VersionSelector::Current).await, ErrorKind::NotFound);
    assert!(fixture.bytes(&current(&*provider, "stays").await) == marked("value"));
}

pub async fn what_changes_after_it_was_listed_is_read_as_it_is_now(fixture: &impl Fixture) {
    for name in ["stays", "turns", "goes"] {
        fixture.put(name, &marked("first")).await;
    }
    let provider = provider(fixture);
    assert_eq!(names(&*provider).await.len(), 3);
    expect_error(provider.fetch(&name("comes"), &VersionSelector::Current).await, ErrorKind::NotFound);
    for name in ["turns", "goes"] {
        look(&*provider, name).await;
    }
    // Nothing is listed or looked at from here on.
    fixture.rotate("turns", &marked("second")).await;
    fixture.delete("goes").await;
    expect_error(provider.fetch(&name("goes"), &VersionSelector::Current).await, ErrorKind::NotFound);
    fixture.put("comes", &marked("second")).await;
    for (name, value) in [("stays", "first"), ("turns", "second"), ("comes", "second")] {
        assert!(fixture.bytes(&current(&*provider, name).await) == marked(value), "{name}");
    }
}

pub async fn names_beyond_ascii_are_listed_looked_at_and_read(fixture: &impl Fixture) {
    let names_of_all_kinds = ["Zoë", "e\u{301}", "\u{e9}", "ключ-🔑", "秘密/値"];
    if !fixture.holds_unicode_names() {
        // No such name can be there.
        let provider = provider(fixture);
        for text in names_of_all_kinds {
            assert!(look(&*provider, text).await.is_nothing(), "{text}");
            expect_error(provider.fetch(&name(text), &VersionSelector::Current).await, ErrorKind::NotFound);
        }
        return;
    }
    for name in names_of_all_kinds {
        fixture.put(name, &marked(name)).await;
    }
    let provider = provider(fixture);
    let mut expected = names_of_all_kinds;
    expected.sort_unstable();
    assert_eq!(names(&*provider).await, expected);
    for name in names_of_all_kinds {
        assert_eq!(look(&*provider, name).await.secret, Known::Yes, "{name}");
        assert!(fixture.bytes(&current(&*provider, name).await) == marked(name), "{name}");
    }
}

/// Reads, listings and looks all fail like that.
async fn all_fail(provider: &dyn Provider, kind: ErrorKind) {
    expect_error(provider.list().await, kind);
    expect_error(provider.look(&name("db")).await, kind);
    expect_error(provider.fetch(&name("db"), &VersionSelector::Current).await, kind);
}

pub async fn an_answer_that_is_slow_is_waited_for_and_one_that_never_comes_is_not(fixture: &impl Fixture) {
    fixture.put("db", &marked("value")).await;
    if !fixture.set_fault(Fault::Delay(Duration::from_millis(20))) {
        return;
    }
    let provider = provider(fixture);
    assert_eq!(names(&*provider).await, ["db"]);
    assert_eq!(look(&*provider, "db").await.secret, Known::Yes);
    assert!(fixture.bytes(&current(&*provider, "db").await) == marked("value"));
    fixture.set_fault(Fault::Hang);
    let mut scope = fixture.scope();
    scope.cache.timeout = Duration::from_millis(500);
    // Without a deadline of the provider's own they would hang for good, and the test with them.
    all_fail(&*build(scope), ErrorKind::TimedOut).await;
}

pub async fn what_goes_wrong_on_the_way_is_what_it_is_and_never_an_absence(fixture: &impl Fixture) {
    fixture.put("db", &marked("value")).await;
    let provider = provider(fixture);
    let page = |status| Fault::Answer { status, headers: Vec::new(), body: format!("<html>{MARK}</html>") };
    let faults = [
        (Fault::HangUp, ErrorKind::Unreachable),
        (Fault::CutBody, ErrorKind::Unreachable),
        (page(502), ErrorKind::Unreachable),
        (page(503), ErrorKind::Unreachable),
        (page(429), ErrorKind::Throttled),
        (page(404), ErrorKind::Malformed),
        (page(200), ErrorKind::Malformed),
        (Fault::body("[]"), ErrorKind::Malformed),
        (Fault::body("null"), ErrorKind::Malformed),
        (Fault::body(&"[".repeat(100_000)), ErrorKind::Malformed),
        (Fault::body(""), ErrorKind::Malformed),
    ];
    for (fault, kind) in faults {
        eprintln!("{fault:.80?}");
        if !fixture.set_fault(fault) {
            return;
        }
        all_fail(&*provider, kind).await;
    }
    fixture.set_fault(Fault::Pass);
    assert!(fixture.bytes(&current(&*provider, "db").await) == marked("value"), "it recovers");
    assert_eq!(names(&*provider).await, ["db"]);
}

pub async fn no_redirect_takes_the_credentials_along(fixture: &impl Fixture) {
    fixture.put("db", &marked("value")).await;
    let provider = provider(fixture);
    // It would take every call, and says how many there were.
    let elsewhere = FaultProxy::start(std::net::SocketAddr::from(([127, 0, 0, 1], 9)));
    for status in [301, 302, 307, 308] {
        let headers = vec![format!("Location: {}/elsewhere", elsewhere.url())];
        if !fixture.set_fault(Fault::Answer { status, headers, body: String::new() }) {
            return;
        }
        let db = name("db");
        let fetched = provider.fetch(&db, &VersionSelector::Current).await;
        for error in [fetched.err(), provider.list().await.err(), provider.look(&db).await.err()] {
            let error = error.unwrap_or_else(|| panic!("{status} is an answer"));
            assert!(matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Malformed), "{error}");
        }
    }
    assert_eq!(elsewhere.all_calls(), 0);
}

pub async fn credentials_that_are_not_taken_are_credentials_rejected(fixture: &impl Fixture) {
    fixture.put("db", &marked("value")).await;
    let Some(scope) = fixture.with_bad_credentials() else { return };
    let provider = build(scope);
    for _ in 0..2 {
        expect_error(provider.fetch(&name("db"), &VersionSelector::Current).await, ErrorKind::CredentialsRejected);
    }
}

pub async fn a_value_over_the_limit_is_too_large(fixture: &impl Fixture) {
    let largest: Vec<u8> = MARK.bytes().cycle().take(1000).collect();
    fixture.put("fits", &largest).await;
    fixture.put("one-more", &[&largest[..], b"x"].concat()).await;
    let mut scope = fixture.scope();
    scope.cache.max_secret_bytes = 1000 + fixture.overhead();
    let provider = build(scope);
    assert_eq!(fixture.bytes(&current(&*provider, "fits").await).len(), 1000);
    expect_error(provider.fetch(&name("one-more"), &VersionSelector::Current).await, ErrorKind::TooLarge);
}

pub async fn odd_names_are_answered_and_never_a_panic(fixture: &impl Fixture) {
    fixture.put("here", &marked("value")).await;
    let provider = provider(fixture);
    let long = "x".repeat(5000);
    let odd = [
        "..",
        "../here",
        "./here",
        "/here",
        "here/",
        "//",
        "/",
        "here/../here",
        "a b",
        "é",
        "\u{0}",
        "a\nb",
        "*",
        "!here",
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:here",
        "here\u{0}",
        "-",
        "%2e%2e",
        &long,
    ];
    for text in odd {
        let presence = look(&*provider, text).await;
        assert_eq!(presence.secret, Known::No, "{text:?}");
        expect_error(provider.fetch(&name(text), &VersionSelector::Current).await, ErrorKind::NotFound);
    }
}
