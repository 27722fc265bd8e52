//! What a user does with a scope of Vault: asks whether its provider takes us, mounts it, looks around, reads, and reads
//! again after a rotation. The same whichever the login.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::daemon::{Daemon, HUSHFS, Place, errno_of_reading, xattr};

pub const OLD: &str = "the old one";
pub const NEW: &str = "the new one, and longer";

/// The scope `app`, whose only secret `db` has the only key `PASSWORD`, which is [`OLD`].
pub struct Walk<'a> {
    place: &'a Place,
    /// Of the daemon and of `hushfs check`.
    environment: Vec<(&'static str, String)>,
}

impl<'a> Walk<'a> {
    /// `configuration` is what follows the mountpoint.
    pub fn new(place: &'a Place, configuration: &str) -> Self {
        place.configure(configuration);
        Self { place, environment: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.hushfs(args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `hushfs check --online`: its exit status, and what it says of each scope and identity.
    pub fn check(&self) -> (Option<i32>, Vec<Value>) {
        let output = self.command(&["check", "--online", "--json"]).output().expect("hushfs runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(!text.contains(OLD) && !text.contains(NEW), "{text}");
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        (output.status.code(), told["online"].as_array().cloned().unwrap_or_default())
    }

    /// The provider is reached, takes us for `whoami`, and can list the one secret and give it.
    pub fn is_taken_for(&self, whoami: &str) -> &Self {
        let (status, found) = self.check();
        assert_eq!(status, Some(0), "{found:#?}");
        let [scope] = &found[..] else { panic!("{found:#?}") };
        let taken_for = scope["whoami"]["ok"].as_str().unwrap_or_else(|| panic!("{scope:#}"));
        assert!(taken_for.contains(whoami), "{taken_for} for {whoami}");
        assert_eq!((&scope["list"]["ok"], &scope["read"]["ok"]), (&json!(1), &json!("db")), "{scope:#}");
        self
    }

    pub fn mount(&self) -> Daemon<'a> {
        self.place.start(self.command(&["mount"]))
    }

    pub fn scope(&self) -> PathBuf {
        self.place.mnt().join("app")
    }

    /// The file of the key.
    pub fn file(&self) -> PathBuf {
        self.scope().join("db/PASSWORD")
    }

    /// `ls`, `cat`, versions, `.json`, what is not there, a write, `why`.
    pub fn looks_around(&self, provider: &str) {
        let (scope, file) = (self.scope(), self.file());
        assert_eq!(names(&scope), ["db"], "{}", self.place.log());
        assert_eq!(names(&scope.join("db")), ["PASSWORD"]);
        assert_eq!(self.text(&file), OLD);
        assert_eq!(fs::metadata(&file).expect("attributes").len(), OLD.len() as u64);
        assert_eq!(self.text(&scope.join("db/@current/PASSWORD")), OLD);
        assert_eq!(self.text(&scope.join("db/.json")).trim_end(), json!({ "PASSWORD": OLD }).to_string());
        assert_eq!(self.text(&scope.join("db/.env")).trim_end(), format!("PASSWORD='{OLD}'"));
        assert_eq!(xattr(&file, "user.hushfs.provider").as_deref(), Some(provider));
        for missing in ["none/PASSWORD", "db/NONE", "db/@nosuch/PASSWORD"] {
            assert_eq!(errno_of_reading(&scope.join(missing)), Some(libc::ENOENT), "{missing}");
        }
        let written = fs::write(&file, "x").expect_err("it is read-only").raw_os_error();
        assert!(matches!(written, Some(libc::EROFS | libc::EACCES)), "{written:?}");
        let (status, told) = why(&file);
        assert_eq!(status, Some(0), "{told}");
        assert!(told.contains("the provider gave version "), "{told}");
    }

    /// The value becomes [`NEW`] by `rotate`: within its `ttl` memory answers, after `hushfs refresh` it is there, at the
    /// same inode. Is the version before kept?
    pub fn sees_the_rotation(&self, keeps_previous: bool, rotate: impl FnOnce()) {
        let file = self.file();
        assert_eq!(self.text(&file), OLD);
        let seen = || (fs::metadata(&file).expect("attributes").ino(), xattr(&file, "user.hushfs.version"));
        let (ino, before) = seen();
        rotate();
        assert_eq!(self.text(&file), OLD, "within ttl memory answers");
        self.refresh().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(self.text(&file), NEW);
        let (number, after) = seen();
        assert!(number == ino && after != before && after.is_some(), "{number} {after:?}");
        let former = file.with_file_name("@previous").join("PASSWORD");
        if keeps_previous {
            assert_eq!(self.text(&former), OLD);
        } else {
            assert_eq!(errno_of_reading(&former), Some(libc::ENOENT));
        }
    }

    /// `hushfs refresh` of the key's file; what it says where it fails.
    pub fn refresh(&self) -> Result<(), String> {
        let output = self.place.run(&["refresh", &self.file().to_string_lossy()]);
        let told = [output.stdout, output.stderr].concat();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&told).into_owned()) }
    }

    /// What is in memory is gone, so that the next read asks.
    pub fn forget(&self) {
        let output = self.place.run(&["flush"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn text(&self, file: &Path) -> String {
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}: {}", file.display(), self.place.log()))
    }
}

/// What `ls` shows.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().expect("text")).collect()
}

/// `hushfs why`: its exit status, and what it says, which is never a value.
pub fn why(file: &Path) -> (Option<i32>, String) {
    let output = Command::new(HUSHFS).arg("why").arg(file).output().expect("hushfs runs");
    let told = String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains(OLD) && !told.contains(NEW), "{told}");
    (output.status.code(), told)
}
