//! Runs `hushfs check` in a directory of its own and makes what it says comparable.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory that is gone when the test is.
pub struct Fixture {
    directory: TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn file(&self) -> PathBuf {
        self.path().join("hushfs.toml")
    }

    /// Writes a file of mode 0600; `[dir]` in the text stands for the directory.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(name);
        let folder = path.parent().expect("below the directory");
        if folder != self.path() {
            fs::create_dir_all(folder).expect("directories are made");
            // Whatever the umask is: of one that others may write it would be said.
            fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("a mode is set");
        }
        let text = match std::str::from_utf8(text.as_ref()) {
            Ok(text) => text.replace("[dir]", &self.path().display().to_string()).into_bytes(),
            Err(_) => text.as_ref().to_vec(),
        };
        fs::write(&path, text).expect("a file is written");
        self.mode(name, 0o600)
    }

    pub fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path().join(name), PermissionsExt::from_mode(mode)).expect("a mode is set");
        self
    }

    /// What `hushfs check` says of `hushfs.toml`.
    pub fn check(&self) -> String {
        self.run(&["check", "--config", &self.file().display().to_string()])
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        self.plain(&output(hushfs().args(arguments)))
    }

    /// Status and output, without what differs from run to run.
    pub fn plain(&self, output: &Output) -> String {
        let mut text = match output.status.code() {
            Some(code) => format!("exit status {code}\n"),
            None => format!("{}\n", output.status),
        };
        for (name, bytes) in [("standard output", &output.stdout), ("standard error", &output.stderr)] {
            if !bytes.is_empty() {
                text.push_str(&format!("--- {name}\n{}", String::from_utf8_lossy(bytes)));
            }
        }
        self.without_directory(&text)
    }

    /// The directory's name is not always as long, and so are the marks below it.
    pub fn without_directory(&self, text: &str) -> String {
        let directory = self.path().display().to_string();
        let mut below_directory = false;
        let mut lines = Vec::new();
        for line in text.lines() {
            let (before, rest) = line.split_at(line.find('^').unwrap_or(line.len()));
            lines.push(if below_directory && !rest.is_empty() && before.trim() == "|" {
                format!("{before}^^^{}", rest.trim_start_matches('^'))
            } else {
                line.replace(&directory, "[dir]")
            });
            below_directory = line.contains(&directory);
        }
        lines.join("\n")
    }
}

pub fn hushfs() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hushfs"));
    command.stdin(Stdio::null());
    command
}

pub fn output(command: &mut Command) -> Output {
    command.output().expect("hushfs runs")
}

/// Compares with the file `snapshots/<name>.snap`.
pub fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A test per line: its name, and the configuration that it holds against the golden file of that name.
macro_rules! goldens {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            let fixture = crate::support::Fixture::new();
            fixture.write("hushfs.toml", $text);
            crate::support::golden(stringify!($name), &fixture.check());
        }
    )*};
}
pub(crate) use goldens;
