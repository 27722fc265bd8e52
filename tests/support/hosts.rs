//! A name of this machine that resolves or does not, as a test likes.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Resolves to loopback at first.
pub struct Name {
    table: File,
    /// Where its line begins.
    at: u64,
    pub name: String,
}

static MADE: AtomicUsize = AtomicUsize::new(0);

impl Name {
    /// None where no table of hosts is the tests' own: `tests/setup/sandbox` has one for root.
    pub fn new() -> Option<Self> {
        let path = std::env::var_os("HUSHFS_TEST_HOSTS")?;
        let name = format!("n{}-{}.hushfs.invalid", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let line = format!(" 127.0.0.1 {name}\n");
        // In one write at the end: others do the same.
        File::options().append(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes())).expect("a line");
        let text = std::fs::read_to_string(&path).expect("the table");
        let at = text.find(&line).expect("the line") as u64;
        Some(Self { table: File::options().write(true).open(&path).expect("the table"), at, name })
    }

    /// From now on.
    pub fn resolves(&self, does: bool) {
        self.table.write_all_at(if does { b" " } else { b"#" }, self.at).expect("written");
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.resolves(false);
    }
}
