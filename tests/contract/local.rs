//! The local store: files encrypted by the real `age`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hushfs::config::{CacheSettings, Format, LocalSettings, ProviderSettings, Scope, ScopeName};
use tempfile::TempDir;

use crate::suite::{Abilities, Fixture};
use crate::support::missing;

pub struct Local {
    folder: TempDir,
    recipient: String,
}

/// Runs `body` with an empty folder and a new identity.
fn run(_test: &str, body: impl AsyncFnOnce(Local)) {
    let local = Local::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(body(local));
}

contract!(run);

impl Local {
    fn new() -> Self {
        missing::program("age", "age");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("store")).expect("a folder");
        let identity = folder.path().join("identity");
        let made = Command::new("age-keygen").arg("-o").arg(&identity).output().expect("age-keygen runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let shown = Command::new("age-keygen").arg("-y").arg(&identity).output().expect("age-keygen runs");
        let recipient = String::from_utf8(shown.stdout).expect("text").trim().to_owned();
        Self { folder, recipient }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.store().join(format!("{name}.age"))
    }

    fn encrypt(&self, bytes: &[u8]) -> Vec<u8> {
        let mut command = Command::new("age");
        command.args(["-r", &self.recipient]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("age runs");
        child.stdin.take().expect("its input").write_all(bytes).expect("its input is taken");
        let output = child.wait_with_output().expect("age ends");
        assert!(output.status.success(), "age: {}", output.status);
        output.stdout
    }
}

/// As an editor or a deployment does it: whole or not at all.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let new = path.with_extension("new~");
    std::fs::write(&new, bytes).expect("written");
    std::fs::rename(&new, path).expect("renamed");
}

impl Fixture for Local {
    fn scope(&self) -> Scope {
        let identity = Some(self.folder.path().join("identity"));
        Scope {
            name: ScopeName::new("dev").expect("a scope's name"),
            cache: CacheSettings::default(),
            format: Format::Auto,
            provider: ProviderSettings::Local(LocalSettings { path: self.store(), identity, allow_plaintext: false }),
        }
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        replace(&self.file(name), &self.encrypt(bytes));
    }

    async fn put_all(&self, names: &[String], bytes: &[u8]) {
        let encrypted = self.encrypt(bytes);
        for name in names {
            replace(&self.file(name), &encrypted);
        }
    }

    async fn rotate(&self, name: &str, bytes: &[u8]) {
        self.put(name, bytes).await;
    }

    async fn delete(&self, name: &str) {
        std::fs::remove_file(self.file(name)).expect("deleted");
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: true, versions: false }
    }

    fn holds_unicode_names(&self) -> bool {
        true
    }

    fn with_bad_credentials(&self) -> Option<Scope> {
        let other = self.folder.path().join("other");
        let made = Command::new("age-keygen").arg("-o").arg(&other).output().expect("age-keygen runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut scope = self.scope();
        if let ProviderSettings::Local(settings) = &mut scope.provider {
            settings.identity = Some(other);
        }
        Some(scope)
    }
}
