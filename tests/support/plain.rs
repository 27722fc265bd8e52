//! A local store of files that are not encrypted: for tests of what is the same whatever the value was
//! encrypted with, and need many values.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder of plaintext files that a scope serves.
pub struct PlainStore {
    pub path: PathBuf,
}

impl PlainStore {
    /// Makes an empty store called `name` in `folder`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        std::fs::create_dir(&path).expect("the store's folder");
        Self { path }
    }

    /// Writes `bytes` into `file`, such as `db.json`, replacing it at once.
    pub fn put(&self, file: &str, bytes: &[u8]) -> PathBuf {
        self.replace(file, bytes, None)
    }

    /// As [`PlainStore::put`], with the time at which the value is said to have changed.
    pub fn put_at(&self, file: &str, bytes: &[u8], changed: SystemTime) {
        self.replace(file, bytes, Some(changed));
    }

    fn replace(&self, file: &str, bytes: &[u8], changed: Option<SystemTime>) -> PathBuf {
        let target = self.path.join(file);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("the folder");
        let temporary = target.with_file_name(".new");
        std::fs::write(&temporary, bytes).expect("the file is written");
        if let Some(changed) = changed {
            let opened = std::fs::File::options().write(true).open(&temporary).expect("the file opens");
            opened.set_modified(changed).expect("its time is set");
        }
        std::fs::rename(&temporary, &target).expect("the file is replaced");
        target
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.path.join(file)).expect("the file is removed");
    }

    pub fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path.join(from), self.path.join(to)).expect("the file is renamed");
    }

    /// The scope's lines in a configuration; what is added to them stands in the scope.
    pub fn scope(&self, name: &str) -> String {
        format!("[scopes.{name:?}]\nprovider = \"local\"\npath = {:?}\nallow_plaintext = true\n", self.path)
    }
}
