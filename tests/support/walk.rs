//! What a user does with a secret, with the programs that they would use, whichever the provider and the login.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::daemon::{HUSHFS, Place, errno_of_reading, xattr};

/// A secret of a mount, with a key whose value is `old`, and `new` once it is rotated.
pub struct Walk<'a> {
    pub place: &'a Place,
    pub scope: &'a str,
    pub secret: &'a str,
    pub key: &'a str,
    pub old: &'a str,
    pub new: &'a str,
}

impl Walk<'_> {
    fn folder(&self) -> PathBuf {
        self.place.mnt().join(self.scope).join(self.secret)
    }

    /// Looks, reads, asks why, misses, and reads again after `rotate` and a refresh.
    pub fn through(&self, rotate: impl FnOnce()) {
        let (folder, file) = (self.folder(), self.folder().join(self.key));
        assert!(ls(&self.place.mnt().join(self.scope)).contains(&self.secret.to_owned()), "{}", self.place.log());
        assert!(ls(&folder).contains(&self.key.to_owned()));
        assert_eq!(cat(&file), self.old);
        self.is_in_every_form(self.old);
        assert!(why(&file).0, "{}", why(&file).1);
        self.misses();

        rotate();
        let output = Command::new(HUSHFS).arg("refresh").arg(&file).output().expect("hushfs runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(cat(&file), self.new);
        self.is_in_every_form(self.new);
        let log = self.place.log();
        assert!(!log.contains(self.old) && !log.contains(self.new), "{log}");
        assert!(!log.contains("defect"), "{log}");
    }

    /// The version's own name, and all keys at once.
    fn is_in_every_form(&self, value: &str) {
        let folder = self.folder();
        let version = xattr(&folder.join(self.key), "user.hushfs.version").expect("a version");
        assert_eq!(std::fs::read_link(folder.join("@current")).unwrap(), Path::new(&format!("@{version}")));
        assert_eq!(cat(&folder.join("@current").join(self.key)), value);
        let json: serde_json::Value = serde_json::from_str(&cat(&folder.join(".json"))).expect("JSON");
        assert_eq!(json[self.key], value, "{json}");
    }

    /// What is not there is not there.
    fn misses(&self) {
        for absent in [self.folder().join("NOSUCH"), self.place.mnt().join(self.scope).join("nosuch").join(self.key)] {
            assert_eq!(errno_of_reading(&absent), Some(libc::ENOENT), "{}", absent.display());
            let said = run("cat", &absent);
            assert!(!said.status.success() && said.stdout.is_empty());
            assert!(String::from_utf8_lossy(&said.stderr).contains("No such file"), "{said:?}");
        }
    }
}

fn run(program: &str, path: &Path) -> Output {
    Command::new(program).arg(path).env("LC_ALL", "C").output().expect("it runs")
}

/// What `cat` prints, which must go well.
pub fn cat(path: &Path) -> String {
    let output = run("cat", path);
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The names that `ls` shows, which must go well.
pub fn ls(path: &Path) -> Vec<String> {
    let output = run("ls", path);
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// What `hushfs why` says of reading a file: may it be, and in words.
pub fn why(path: &Path) -> (bool, String) {
    let output = Command::new(HUSHFS).arg("why").arg(path).output().expect("hushfs runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// Reading is refused with this errno, and `hushfs why` says why.
#[track_caller]
pub fn is_refused(path: &Path, errno: i32, says: &str) {
    let name = |errno: i32| std::io::Error::from_raw_os_error(errno).to_string();
    assert_eq!(errno_of_reading(path).map(name), Some(name(errno)), "{}", path.display());
    let (may, said) = why(path);
    assert!(!may && said.contains(says), "{says} in: {said}");
}

/// What `hushfs check --online` should find where all is well: as whom, and that this one was given.
#[track_caller]
pub fn is_well((status, found): &(Option<i32>, serde_json::Value), whoami: &str, secret: &str) {
    assert!(found["whoami"]["ok"].as_str().is_some_and(|it| it.contains(whoami)), "{whoami} in {found:#}");
    assert!(found["list"]["ok"].as_u64().is_some_and(|count| count > 0), "{found:#}");
    assert_eq!(found["read"]["ok"], secret, "{found:#}");
    assert_eq!(*status, Some(0), "{found:#}");
}
