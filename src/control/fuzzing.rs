//! What comes in at the control socket, and what a command is answered.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::desk::Desk;
use super::places::Places;
use super::protocol::{Request, Response};
use super::report::Reporter;
use super::server::talk;
use crate::fs::fuse::fuzzing::{Mount, mount};

/// A client that says this and hangs up is answered with one line that a command understands; and a command takes any
/// answer without harm.
pub fn control_socket(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Response>(bytes);
    let daemon = daemon();
    let request =
        serde_json::from_slice::<Request>(bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or(bytes));
    let answer = daemon.runtime.block_on(async {
        let (ours, mut client) = UnixStream::pair().expect("a socket");
        let conversation = async {
            let place = daemon.places.take(None);
            talk(ours, Some(std::process::id().cast_signed()), place, &daemon.places, &daemon.desk).await
        };
        let asking = async {
            // The daemon may have had enough before the end.
            let _ = client.write_all(bytes).await;
            let _ = client.shutdown().await;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.map(|_| answer)
        };
        tokio::join!(conversation, asking).1
    });
    // Where the daemon hangs up on what it has not read, the kernel may say so before the answer.
    let (Ok(answer), true) = (answer, bytes.len() < 8192) else { return };
    assert!(answer.ends_with(b"\n") && !answer[..answer.len() - 1].contains(&b'\n'));
    let response = serde_json::from_slice::<Response>(&answer).expect("an answer that a command understands");
    let is_understood = !matches!(response, Response::Refused { .. });
    assert_eq!(request.is_ok(), is_understood, "{}", String::from_utf8_lossy(bytes));
}

struct Daemon {
    runtime: Runtime,
    desk: Desk,
    places: Arc<Places>,
}

fn daemon() -> &'static Daemon {
    static DAEMON: OnceLock<Daemon> = OnceLock::new();
    DAEMON.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let Mount { operations, .. } = mount(&runtime);
        let reporter = move || Reporter {
            operations: Arc::clone(&operations),
            mountpoint: PathBuf::from("/nowhere"),
            started: SystemTime::UNIX_EPOCH,
            had_predecessor: false,
            max_bytes: 1 << 20,
            allow_other: true,
        };
        // Nobody reloads: it says so.
        Daemon { runtime, desk: Desk::new(Box::new(reporter), mpsc::channel(1).0), places: Arc::default() }
    })
}
