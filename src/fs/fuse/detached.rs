//! A mount that is not to be seen any more (`umount -l`): nobody comes to it, so it ends with the last who has
//! something of it open. Who waits for a provider is not to hold that up.

use std::future::pending;
use std::time::Duration;
use std::{fs, io};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::fs::mountinfo;

/// How long somebody may wait from then on.
const PATIENCE: Duration = Duration::from_secs(3);

/// Is the mount detached?
#[derive(Debug, Default)]
pub struct Detached(watch::Sender<bool>);

impl Detached {
    /// Follows the kernel's table of mounts until nothing of `device` (`major:minor`) is in it.
    ///
    /// # Errors
    /// Where the table cannot be read. Then waiting ends as ever.
    pub async fn follow(&self, device: &str) -> io::Result<()> {
        // Open before it is read: of what changes afterwards we are told.
        let table = fs::File::open(mountinfo::TABLE)?;
        // SAFETY: `File` owns a valid descriptor, and `AsyncFd` gives nobody a way to close or replace it.
        let table = unsafe { AsyncFd::register_with_interest(table, Interest::PRIORITY) }?;
        let mut was_there = false;
        loop {
            let is_there = mountinfo::is_anywhere(device.as_bytes())?;
            if was_there && !is_there {
                tracing::debug!("the mount is detached: who waits is answered within {} s", PATIENCE.as_secs());
                self.0.send_replace(true);
                return Ok(());
            }
            was_there |= is_there;
            table.ready(Interest::PRIORITY).await?.clear_ready();
        }
    }

    /// Ready once nobody is to wait any more who does so now.
    pub async fn is_over(&self) {
        if self.0.subscribe().wait_for(|it| *it).await.is_err() {
            pending::<()>().await;
        }
        tokio::time::sleep(PATIENCE).await;
    }
}
