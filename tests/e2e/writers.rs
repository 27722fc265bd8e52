//! Who may write the configuration, and what comes of what they write.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

const TOLD: &str = "may be written to by everybody";

#[test]
fn a_configuration_that_others_may_write_is_told_of_in_the_log_and_by_doctor() {
    let place = Place::new();
    let store = PlainStore::new(place.path(), "store");
    let doctor = || String::from_utf8_lossy(&place.run(&["doctor", "--offline"]).stdout).into_owned();
    let file = place.configure(&store.scope("prod"));
    assert!(!doctor().contains(TOLD), "{}", doctor());
    fs::set_permissions(file, PermissionsExt::from_mode(0o646)).unwrap();
    assert!(doctor().contains(TOLD), "{}", doctor());
    let _daemon = place.start(place.hushfs(&["mount"]));
    assert!(place.log().contains(TOLD), "{}", place.log());
}

/// Needs an /etc of its own.
mod as_root {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    use serde_json::Value;

    use super::*;
    use crate::support::daemon::HUSHFS;
    use crate::support::users::{bind, mount_overlay, private_mounts};

    /// The folder of the configuration, which is read without having been named.
    fn default_folder(place: &Place) -> PathBuf {
        private_mounts(place, 0);
        let etc = place.path().join("etc");
        mount_overlay(Path::new("/etc"), &etc);
        let folder = etc.join("hushfs");
        let _ = fs::remove_dir_all(&folder);
        for path in [&folder, &folder.join("conf.d")] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        bind(&etc, Path::new("/etc"));
        PathBuf::from("/etc/hushfs")
    }

    /// As TOML has it: a title for the window, and the screen cleared.
    const NAME: &str = "\"\\u001b]0;title\\u0007\\u009b2J\"";

    fn write(file: &Path, text: &str, mode: u32) {
        fs::write(file, text).unwrap();
        fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn make_pipe(at: &Path) {
        assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
    }

    fn reload(place: &Place, args: &[&str]) -> Output {
        Command::new(HUSHFS).args(["reload", "--mountpoint"]).arg(place.mnt()).args(args).output().unwrap()
    }

    #[test]
    fn a_hostile_fragment_is_refused_and_the_configuration_before_is_served_on() {
        let place = Place::new();
        let [one, two] = ["one", "two"].map(|name| {
            let store = PlainStore::new(place.path(), name);
            store.put("db.json", format!(r#"{{"KEY":"of {name}"}}"#).as_bytes());
            store
        });
        let folder = default_folder(&place);
        let main =
            format!("mountpoint = {:?}\nroot = \"allow\"\n[sandbox]\nread = [{:?}]\n", place.mnt(), place.path());
        write(&folder.join("hushfs.toml"), &(main + &one.scope("a") + "timeout = \"60s\"\n"), 0o644);
        let mut mount = Command::new(HUSHFS);
        mount.arg("mount");
        let _daemon = place.start(mount);
        let is_served_on = |what: &str| {
            assert_eq!(fs::read_to_string(place.mnt().join("a/db/KEY")).unwrap(), "of one", "{what}");
            assert_eq!(fs::read_dir(place.mnt()).unwrap().count(), 1, "{what}");
        };
        is_served_on("at first");

        let fragment = folder.join("conf.d/hostile.toml");
        let hang = place.path().join("pipe");
        make_pipe(&hang);
        let text = |text: String| move |at: &Path| write(at, &text, 0o644);
        type Put = Box<dyn Fn(&Path)>;
        let hostile: [(&str, Put); 9] = [
            ("a weaker sandbox", Box::new(text("[sandbox]\nlandlock = false\nseccomp = false\n".to_owned()))),
            ("what root may", Box::new(text("root = \"deny\"\n".to_owned()))),
            ("a scope a second time", Box::new(text(two.scope("a")))),
            ("a name with escapes", Box::new(text(two.scope("b").replace("\"b\"", NAME)))),
            ("a setting with escapes", Box::new(text(format!("{NAME} = 1\n")))),
            ("a line with escapes", Box::new(text("# \u{1b}]0;title\u{7}\u{9b}2J\nx = 1\n".to_owned()))),
            ("a pipe", Box::new(make_pipe)),
            ("a link to a pipe", Box::new(move |at: &Path| std::os::unix::fs::symlink(&hang, at).unwrap())),
            (
                "a file without an end",
                Box::new(|at: &Path| {
                    write(at, "", 0o644);
                    fs::OpenOptions::new().write(true).open(at).unwrap().set_len(1 << 30).unwrap();
                }),
            ),
        ];
        for (what, put) in hostile {
            put(&fragment);
            let answer = reload(&place, &["--json"]);
            let json: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|_| panic!("{what}: {answer:?}"));
            assert_eq!((answer.status.code(), &json["outcome"]), (Some(78), &Value::from("wrong")), "{what}: {json}");
            let told = reload(&place, &[]);
            let said = String::from_utf8_lossy(&told.stderr);
            assert_eq!(told.status.code(), Some(78), "{what}: {said}");
            assert!(said.contains("everything stays as it was"), "{what}: {said}");
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{what}: {said:?}");
            is_served_on(what);
            fs::remove_file(&fragment).unwrap();
        }
        let log = place.log();
        assert!(!log.contains("title\u{7}") && !log.contains('\u{9b}'), "{log:?}");

        // One that is none, and that everybody may write.
        write(&fragment, &two.scope("b"), 0o646);
        let answer = reload(&place, &["--json"]);
        let json: Value = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!((answer.status.code(), &json["outcome"]), (Some(0), &Value::from("applied")), "{json}");
        assert!(json["report"].as_str().unwrap().contains(TOLD), "{json}");
        assert!(place.log().contains(TOLD), "{}", place.log());
        assert_eq!(fs::read_to_string(place.mnt().join("b/db/KEY")).unwrap(), "of two");
    }
}
