//! Kubernetes tells of changes as they happen.

use std::sync::{Arc, Mutex};

use hushfs::provider::{Change, ErrorKind, Provider};
use serde_json::json;

use crate::kubernetes::{Kube, eventually, run, secrets};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::fault_proxy::Fault;
use crate::test_name;

/// What a provider tells while it is followed.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Change>>>);

impl Told {
    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Waits for a change of that name.
    async fn of(&self, name: &str) {
        let wanted = Change::Secret(suite::name(name));
        eventually(async || self.0.lock().unwrap().contains(&wanted)).await;
        self.take();
    }
}

/// Follows, again and again.
fn follow(provider: &Arc<dyn Provider>) -> (Told, tokio::task::JoinHandle<()>) {
    let (told, provider) = (Told::default(), Arc::clone(provider));
    let ours = told.clone();
    let task = tokio::spawn(async move {
        let heard = |change| ours.0.lock().unwrap().push(change);
        loop {
            let Err(error) = provider.watch(&heard).expect("it watches").await;
            eprintln!("the watch ended: {error}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    (told, task)
}

async fn begun(told: &Told) {
    eventually(async || told.0.lock().unwrap().contains(&Change::All)).await;
    told.take();
}

#[test]
fn what_is_new_changed_or_gone_is_told_and_what_is_not_in_the_scope_is_not() {
    run(test_name!(), async |kube| {
        kube.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&kube);
        let (told, task) = follow(&provider);
        begun(&told).await;
        kube.rotate("db", b"second").await;
        told.of("db").await;
        kube.put("new", b"x").await;
        told.of("new").await;
        kube.cluster.put("beside", &[("value", b"other")]);
        kube.delete("new").await;
        told.of("new").await;
        kube.put("last", b"x").await;
        eventually(async || !told.0.lock().unwrap().is_empty()).await;
        assert_eq!(told.take(), [Change::Secret(suite::name("last"))], "and nothing of what is beside");
        assert!(kube.proxy.accepted().iter().all(|it| it.contains("PartialObjectMetadata")), "values were asked for");
        task.abort();
    });
}

#[test]
fn a_watch_that_breaks_off_goes_on_where_it_was_and_an_outdated_one_begins_anew() {
    run(test_name!(), async |kube| {
        kube.put("db", MARK.as_bytes()).await;
        kube.put("same", MARK.as_bytes()).await;
        let watch = format!("watch {}", secrets(""));
        let gone = r#"{"kind":"Status","status":"Failure","reason":"Expired","code":410}"#;
        let ended =
            format!("{}\n", json!({"type": "ERROR", "object": {"kind": "Status", "reason": "Expired", "code": 410}}));
        let provider = suite::provider(&kube);
        for (round, fault) in
            [Fault::HangUp, Fault::Answer { status: 410, headers: Vec::new(), body: gone.into() }, Fault::body(&ended)]
                .into_iter()
                .enumerate()
        {
            // Nothing is told while it cannot be followed.
            kube.proxy.set(&watch, fault);
            let (told, task) = follow(&provider);
            let before = kube.proxy.calls(&watch);
            eventually(async || kube.proxy.calls(&watch) > before + 1).await;
            let all = told.take();
            assert_eq!(all.contains(&Change::All), round == 0, "only the first time nothing is known: {all:?}");
            kube.rotate("db", format!("round {round}").as_bytes()).await;
            kube.proxy.set(&watch, Fault::Pass);
            told.of("db").await;
            kube.put("after", format!("round {round}").as_bytes()).await;
            eventually(async || told.0.lock().unwrap().contains(&Change::Secret(suite::name("after")))).await;
            assert!(!told.take().contains(&Change::Secret(suite::name("same"))), "what is as it was is not told");
            task.abort();
            let _ = task.await;
        }
    });
}

#[test]
fn who_may_not_watch_is_denied_once_and_reads_all_the_same() {
    run(test_name!(), async |kube: Kube| {
        kube.put("db", MARK.as_bytes()).await;
        let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]);
        let provider = kube.provider_as("no-watch", rules);
        let error = expect_error(provider.watch(&|_| {}).expect("it watches").await, ErrorKind::Denied);
        assert!(error.detail.contains("cannot watch"), "{error}");
        suite::current(&*provider, "db").await;
    });
}
