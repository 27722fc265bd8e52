//! How often the provider is called when very many come at once, when it says "too many", and when there is a limit.

#[cfg(feature = "aws")]
mod aws;
#[cfg(any(
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "azure",
    feature = "kubernetes",
    feature = "databricks"
))]
mod storm;

use std::fs;

use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

/// Every call that a scope has made.
fn calls(place: &Place, scope: &str) -> u64 {
    ["list", "look", "fetch", "iam"].into_iter().map(|kind| place.calls(scope, kind)).sum()
}

fn budget(place: &Place, scope: &str) -> serde_json::Value {
    let status = place.status();
    let scopes = status["scopes"].as_array().expect("scopes");
    scopes.iter().find(|found| found["name"] == scope).expect("the scope")["budget"].clone()
}

#[test]
fn past_the_limit_of_a_scope_no_call_is_made_and_memory_and_other_scopes_serve_on() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    for number in 0..50 {
        store.put(&format!("secret-{number}"), b"value");
    }
    let limited = store.scope("limited") + "calls = \"20/h\"\nlist_ttl = \"1h\"\n";
    let _daemon = place.mount(&(limited + &store.scope("prod")));
    let read = |scope: &str, number| fs::read(place.mnt().join(format!("{scope}/secret-{number}/value")));
    let told: Vec<_> = (0..50).map(|number| read("limited", number).map_err(|error| error.raw_os_error())).collect();
    assert_eq!(calls(&place, "limited"), 20);
    let served = told.iter().filter(|told| told.is_ok()).count();
    assert!(served > 0 && told[..served].iter().all(|told| told.as_deref() == Ok(b"value")), "{told:?}");
    assert!(told[served..].iter().all(|told| *told == Err(Some(libc::EBUSY))), "{told:?}");
    for number in 0..50 {
        assert_eq!(read("limited", number).is_ok(), number < served, "what is in memory costs no call");
        assert_eq!(read("prod", number).unwrap(), b"value", "another scope has another budget");
    }
    assert_eq!(calls(&place, "limited"), 20);

    let told = budget(&place, "limited");
    assert_eq!((&told["limit"], &told["left"], &told["recovering"]), (&"20/h".into(), &0.into(), &false.into()));
    assert!(told["refused"].as_u64() >= Some(1) && told["throttled_until"].is_null(), "{told}");
    assert!(budget(&place, "prod")["limit"].is_null(), "a folder of this host has none by default");
    let status = String::from_utf8(place.run(&["status"]).stdout).unwrap();
    assert!(status.contains("call budget: 20/h, 0 left"), "{status}");
    let file = place.mnt().join("limited/secret-49/value");
    let why = place.run(&["why", file.to_str().unwrap()]);
    let why = String::from_utf8(why.stdout).unwrap();
    assert!(why.contains("call budget, calls = \"20/h\", is used up"), "{why}");
    assert!(place.log().matches("is used up").count() <= 2, "said once, not for each: {}", place.log());
}
