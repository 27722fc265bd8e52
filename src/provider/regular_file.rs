//! Files of the configuration, which somebody may have put something else in the place of.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Who may be at one file at a time. Nothing ends a read of a file system that hangs, and each holds a thread of
/// those that all of the daemon has for what blocks.
const AT_ONCE: usize = 4;

/// By file; as many as the configuration and the environment name.
static PLACES: LazyLock<Mutex<HashMap<PathBuf, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);

/// Opens a file for reading; blocks, but never on a FIFO.
///
/// # Errors
/// Besides those of open(2): it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Runs what blocks on that file, out of the way of everything else. None where it ended without an answer.
pub async fn at<T: Send + 'static>(path: &Path, work: impl FnOnce(&Path) -> T + Send + 'static) -> Option<T> {
    let path = path.to_owned();
    let places = {
        let mut all = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(path.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    };
    let place = places.acquire_owned().await.ok()?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work(&path)
    });
    done.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for odd in [&*fifo, folder.path(), Path::new("/dev/null")] {
            assert_eq!(open(odd).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", odd.display());
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(open(&link).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(folder.path().join("file"), "x").unwrap();
        assert!(open(&link).is_ok());
    }

    #[tokio::test]
    async fn a_file_that_hangs_holds_a_few_threads_however_many_ask_and_no_other_file() {
        let (go, hang) = std::sync::mpsc::channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (hang, started) = (Arc::clone(&hang), started.clone());
            asking.spawn(async move {
                let done = at(Path::new("/hangs"), move |_| {
                    started.send(()).unwrap();
                    // Ends when the test has seen enough.
                    let _ = hang.lock().unwrap().recv();
                });
                done.await
            });
        }
        for _ in 0..AT_ONCE {
            starts.recv().await.unwrap();
        }
        assert_eq!(at(Path::new("/other"), |path| path.display().to_string()).await.as_deref(), Some("/other"));
        assert!(starts.try_recv().is_err(), "more than {AT_ONCE} at a time");
        drop(go);
        while let Some(done) = asking.join_next().await {
            assert!(done.unwrap().is_some());
        }
    }
}
