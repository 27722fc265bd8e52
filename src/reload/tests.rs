//! What is under way while one configuration takes the place of another.

use std::sync::mpsc::Receiver;

use super::*;
use crate::cache::{Clock, Memory, SystemClock};
use crate::config::Source as File;
use crate::provider::registry;

/// Serves a folder as the scope `prod`.
fn config(folder: &std::path::Path, of: &str) -> (Origin, Config) {
    let (file, path) = (folder.join("hushfs.toml"), folder.join(of));
    std::fs::create_dir_all(&path).unwrap();
    // Longer than a test waits: the end of a request is to be noticed, not given up on.
    let settings = "provider = \"local\"\nallow_plaintext = true\ntimeout = \"2m\"";
    let text = format!("[scopes.prod]\n{settings}\npath = {path:?}\n");
    std::fs::write(&file, text).unwrap();
    let origin = Origin { source: File::File(file), mountpoint: None };
    let config = origin.load().unwrap_or_else(|report| panic!("{report}")).config;
    (origin, config)
}

async fn reloader(folder: &std::path::Path) -> (Reloader, Receiver<News>) {
    let (origin, config) = config(folder, "before");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let memory = Arc::new(Memory::new(1 << 20, &clock, &tokio::runtime::Handle::current(), |_| {}));
    let sources =
        crate::cache::Sources::new(config.scopes.values(), Vec::new(), Box::new(registry::build)).ok().unwrap();
    let members = Members::of(&config).await;
    let audit = Arc::new(AuditLog::start(&config.audit).unwrap());
    let namespace = Arc::new(Namespace::new(Arc::new(sources), memory));
    let operations = Operations::new(namespace, judge(&config, &members), Arc::clone(&audit), "".into());
    let (news, told) = mpsc::channel();
    let (serving, followers) = (Arc::new(Serving::new(operations)), Followers::new(Arc::new(|_, _| {})));
    let (agreed, lent, unfinished) = (fuse::Agreed { flags: 0, patience: 0 }, Vec::new(), Vec::new());
    (
        Reloader {
            origin,
            config,
            serving,
            audit,
            members,
            followers,
            news,
            agreed,
            lent,
            unfinished,
            bounded: MayHang::default(),
        },
        told,
    )
}

/// The next thing that the kernel is to be told; it has been told when what comes back is dropped.
async fn next(told: &Receiver<News>) -> tokio::sync::oneshot::Sender<()> {
    loop {
        match told.try_recv() {
            Ok(News::Configuration(_, is_told)) => return is_told,
            Ok(News::Value(_)) => {}
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn what_a_request_leaves_that_ends_while_the_kernel_is_told_is_taken_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, told) = reloader(folder.path()).await;
    let (_, after) = config(folder.path(), "after");
    let request = reloader.serving.now();
    let kernel = async {
        let first = next(&told).await;
        // Its answer comes to the kernel after what is taken back, and before that is done.
        drop(request);
        drop(first);
        drop(next(&told).await);
    };
    let both = async { tokio::join!(reloader.apply(after), kernel) };
    let (applied, ()) =
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("the kernel is told once more");
    assert!(applied.is_ok() && reloader.lent.is_empty());
}

#[tokio::test]
async fn a_daemon_that_is_stopped_while_a_reload_waits_knows_what_is_yet_to_be_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, told) = reloader(folder.path()).await;
    let (_, after) = config(folder.path(), "after");
    let request = reloader.serving.now();
    tokio::select! {
        _ = reloader.apply(after) => panic!("a request is under way"),
        first = next(&told) => drop(first),
    }
    let before = request.namespace().sources().all();
    assert!(reloader.lent.len() == 1 && Arc::ptr_eq(&reloader.lent[0], &before[0]));
}

#[tokio::test]
async fn a_look_that_hangs_since_an_earlier_reload_is_not_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reloader, told) = reloader(folder.path()).await;
    // Or what is applied after all would wait for the kernel.
    drop(told);
    let (_, mut after) = config(folder.path(), "after");
    after.audit.stderr = !after.audit.stderr;
    let patience = Duration::from_millis(1);
    let hangs_since_then = |refused: Option<Refused>, what: &str| match refused {
        Some(Refused::Failed(why)) => assert!(why.contains(what) && why.contains("since an earlier reload"), "{why}"),
        _ => panic!("{what} has begun again"),
    };

    let (_end, ended) = mpsc::channel::<()>();
    let hangs = move || ended.recv().map_or_else(|_| (Vec::new(), Vec::new()), |()| unreachable!());
    assert!(reloader.bounded.looking.run(hangs, patience).await.is_err());
    hangs_since_then(reloader.apply(after.clone()).await.err(), "looking at files");

    reloader.bounded.looking = Bounded::default();
    let (_end, ended) = mpsc::channel::<()>();
    let hangs = move || ended.recv().map_err(io::Error::other).map(|()| unreachable!());
    assert!(reloader.bounded.starting.run(hangs, patience).await.is_err());
    hangs_since_then(reloader.apply(after).await.err(), "starting the audit log");
}
