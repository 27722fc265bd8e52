//! A local store made with the real `age`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::missing;

/// A folder of age-encrypted files and the identity that opens them.
pub struct Store {
    pub path: PathBuf,
    pub identity: PathBuf,
    recipient: String,
}

impl Store {
    /// Makes an empty store in `folder`.
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("store");
        let identity = folder.join("identity.txt");
        std::fs::create_dir(&path).expect("the store's folder");
        missing::program("age", "age");
        let made = Command::new("age-keygen").arg("-o").arg(&identity).output().expect("age-keygen runs");
        assert!(made.status.success());
        let shown = Command::new("age-keygen").arg("-y").arg(&identity).output().expect("age-keygen runs");
        let recipient = String::from_utf8(shown.stdout).expect("a recipient").trim().to_owned();
        Self { path, identity, recipient }
    }

    /// Encrypts `bytes` into `file`, such as `db.json.age`, replacing it at once.
    pub fn put(&self, file: &str, bytes: &[u8]) {
        let target = self.path.join(file);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("the folder");
        let temporary = target.with_file_name(format!(".new-{}", target.file_name().unwrap().to_string_lossy()));
        let mut age = Command::new("age")
            .args(["-r", &self.recipient, "-o"])
            .arg(&temporary)
            .stdin(Stdio::piped())
            .spawn()
            .expect("age runs");
        age.stdin.take().expect("its input").write_all(bytes).expect("it reads");
        assert!(age.wait().expect("it ends").success());
        std::fs::rename(temporary, target).expect("the file is replaced");
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.path.join(file)).expect("the file is removed");
    }

    /// The scope's lines in a configuration.
    pub fn scope(&self, name: &str) -> String {
        format!("[scopes.{name}]\nprovider = \"local\"\npath = {:?}\nidentity = {:?}\n", self.path, self.identity)
    }
}
