//! `hushfs why` tells what a caller would get, and what decides it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::grants::{cat, grant, mount, place};
use crate::support::daemon::HUSHFS;
use crate::support::users::hushfs_as;

/// A value that may be in no answer.
const VALUE: &str = "value";

fn why(path: &Path, args: &[&str]) -> Output {
    Command::new(HUSHFS).arg("why").arg(path).args(args).output().expect("hushfs runs")
}

fn says(path: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = why(path, &[args, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(VALUE), "{text}");
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

/// The steps of a stage, as (what it says, its words).
fn steps(explanation: &Value, stage: &str) -> Vec<(String, String)> {
    let steps = explanation["steps"].as_array().unwrap().iter().filter(|step| step["stage"] == stage);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    steps.map(|step| (text(&step["says"]), text(&step["text"]))).collect()
}

/// A process of a user, in these groups, that ends with this.
struct Process(Child);

impl Process {
    fn start(uid: u32, groups: &[u32]) -> Self {
        let mut command = Command::new("setpriv");
        let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
        command.args([format!("--reuid={uid}"), format!("--regid={uid}"), format!("--groups={}", groups.join(","))]);
        command.args(["sh", "-c", "echo up; exec sleep 600"]).stdout(Stdio::piped());
        // SAFETY: one system call, with plain numbers, between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().expect("setpriv");
        let mut up = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).expect("the process is up");
        Self(child)
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn settings() -> String {
    grant("allow", "gid:3000", "read", "prod/**")
        + &grant("allow", "uid:2001", "read", "prod/db")
        + &grant("allow", "uid:2002", "list", "prod/web")
        + &grant("deny", "uid:2001", "read", "prod/billing")
        + &grant("allow", "exe:/nowhere/at/all", "read", "prod/web")
}

#[test]
fn what_it_says_is_what_a_caller_gets() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &settings());
    let prod = place.mnt().join("prod");
    let paths =
        ["db/KEY", "db/.json", "db/@current/KEY", "web/KEY", "billing/KEY", "team/app/KEY", "db/NOSUCH", "nosuch/KEY"];
    let (mut yes, mut no) = (0, 0);
    for (uid, groups) in
        [(2001, vec![]), (2001, vec![3000]), (2002, vec![]), (2003, vec![3000, 7]), (2004, vec![]), (0, vec![])]
    {
        let process = Process::start(uid, &[groups.clone(), vec![uid]].concat());
        for path in paths {
            let path = prod.join(path);
            let output = Command::new("setpriv")
                .args([format!("--reuid={uid}"), format!("--regid={uid}")])
                .arg(format!(
                    "--groups={}",
                    [groups.clone(), vec![uid]].concat().iter().map(u32::to_string).collect::<Vec<_>>().join(",")
                ))
                .arg("cat")
                .arg(&path)
                .output()
                .unwrap();
            let (status, explanation) = says(&path, &["--pid", &process.id()]);
            let got = output.status.success();
            assert_eq!(
                status,
                Some(if got { 0 } else { 1 }),
                "uid {uid} {groups:?} {}: {explanation:#}",
                path.display()
            );
            assert_eq!(explanation["decision"], if got { "allow" } else { "deny" });
            let change = explanation["change"].as_array().unwrap();
            assert_eq!(change.is_empty(), got, "{explanation:#}");
            if got { yes += 1 } else { no += 1 }
        }
    }
    assert!(yes > 10 && no > 10, "{yes} {no}");
}

#[test]
fn it_names_the_statements_and_what_would_make_it_a_yes() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &settings());
    let prod = place.mnt().join("prod");
    let (_, refused) = says(&prod.join("web/KEY"), &["--uid", "2001"]);
    let grants = steps(&refused, "grant");
    let said = |says: &str, text: &str| (says.to_owned(), text.to_owned());
    assert!(grants.contains(&said("nothing", "gid:3000 may read prod/**: is for others")), "{grants:?}");
    assert!(grants.contains(&said("nothing", "uid:2002 may list prod/web: is about another action")), "{grants:?}");
    let unknown =
        "exe:/nowhere/at/all may read prod/web: might allow it, but what it asks of the caller cannot be known";
    assert!(grants.contains(&said("unknown", unknown)), "{grants:?}");
    assert!(grants.contains(&said("no", "nothing grants it to this caller")), "{grants:?}");
    assert_eq!(steps(&refused, "bits")[0].0, "yes", "a condition makes the bits a yes: {refused:#}");
    let change = refused["change"][0].as_str().unwrap();
    assert!(change.contains("principals = [\"uid:2001\"]") && change.contains("\"prod/web/KEY\""), "{change}");

    let (_, denied) = says(&prod.join("billing/KEY"), &["--uid", "2001"]);
    let line = denied["steps"].as_array().unwrap().iter().find(|step| step["says"] == "no").unwrap();
    assert_eq!(line["at"], format!("{}:18", place.path().join("hushfs.toml").display()));
    assert!(denied["change"][0].as_str().unwrap().contains("out of the deny at"), "{denied:#}");

    // What was proposed works.
    drop(_daemon);
    let proposed: String = change.lines().skip(1).map(|line| format!("{line}\n")).collect();
    let _daemon = mount(&place, &store, &(settings() + &proposed));
    assert_eq!(cat(2001, &[], &prod.join("web/KEY")).as_deref(), Some(VALUE));
    assert_eq!(says(&prod.join("web/KEY"), &["--uid", "2001"]).0, Some(0));
}

#[test]
fn people_are_told_in_words() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &grant("allow", "uid:65534", "read", "prod/db"));
    let key = place.mnt().join("prod/db/KEY");
    let plain = |output: Output| {
        let text = String::from_utf8(output.stdout).unwrap().replace(&place.path().display().to_string(), "[dir]");
        // However long it has taken.
        let words: Vec<&str> = text.split(", ").collect();
        let aged = |word: &str| word.split_once(" s ago").is_some_and(|(age, _)| age.parse::<u64>().is_ok());
        let words = words.into_iter().map(|word| match word.split_once(" s ago") {
            Some((_, rest)) if aged(word) => format!("N s ago{rest}"),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        plain(why(&key, &["--user", "nobody"])),
        "yes: nobody may read prod/db/KEY\n\
         caller: uid 65534, gid 65534, groups 65534\n\
         \n\
         \x20 yes  mount     other users may reach the mount (allow_other = true)\n\
         \x20 yes  grant     user:nobody may read prod/db: allows it, at [dir]/hushfs.toml:3\n\
         \x20 yes  identity  the provider is asked with the scope's own identity\n\
         \x20 ?    iam       local says nothing about permissions in advance\n\
         \x20 yes  provider  the provider gave version VERSION, N s ago\n\
         \x20 yes  bits      the permission bits let this caller through\n"
            .replace("VERSION", &crate::support::daemon::xattr(&key, "user.hushfs.version").unwrap())
    );
    assert_eq!(
        plain(why(&key, &["--user", "daemon"])),
        "no: daemon may not read prod/db/KEY\n\
         caller: uid 1, gid 1, groups 1\n\
         \n\
         \x20 yes  mount     other users may reach the mount (allow_other = true)\n\
         \x20 -    grant     user:nobody may read prod/db: is for others, at [dir]/hushfs.toml:3\n\
         \x20 no   grant     nothing grants it to this caller\n\
         \x20 yes  identity  the provider is asked with the scope's own identity\n\
         \x20 ?    iam       local says nothing about permissions in advance\n\
         \x20 no   bits      the permission bits of . refuse this caller (getfacl shows them)\n\
         \n\
         to make it a yes:\n\
         \x20 1. grant it, or have the caller be of a group that has it:\n\
         \x20      [[grant]]\n\
         \x20      principals = [\"user:daemon\"]\n\
         \x20      actions    = [\"read\"]\n\
         \x20      resources  = [\"prod/db/KEY\"]\n"
    );
}

#[test]
fn a_path_is_found_however_it_is_put() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &settings());
    let link = place.path().join("link");
    std::os::unix::fs::symlink(place.mnt().join("prod"), &link).unwrap();
    let bound = place.path().join("bound");
    std::fs::create_dir(&bound).unwrap();
    assert!(Command::new("mount").arg("--bind").arg(place.mnt().join("prod")).arg(&bound).status().unwrap().success());
    let ways: [PathBuf; 4] = [
        link.join("db/KEY"),
        bound.join("db/KEY"),
        place.mnt().join("prod/web/../db/./KEY"),
        place.path().join("link/../mnt/prod/db/KEY"),
    ];
    for way in &ways[..3] {
        assert_eq!(says(way, &["--uid", "2001"]).1["path"], "prod/db/KEY", "{}", way.display());
    }
    let relative =
        Command::new(HUSHFS).args(["why", "db/KEY", "--json"]).current_dir(place.mnt().join("prod")).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&relative.stdout).unwrap()["path"], "prod/db/KEY");
    for path in ["", "prod", "prod/team", "prod/db/@current", "prod/db/@previous"] {
        let (status, explanation) = says(&place.mnt().join(path), &["--uid", "2003"]);
        assert_eq!((status, &explanation["action"]), (Some(1), &Value::from("list")), "{path}");
    }
}

#[test]
fn what_is_not_there_is_said_and_only_the_owner_may_ask() {
    let (place, store) = place();
    let _daemon = mount(&place, &store, &settings());
    let key = place.mnt().join("prod/db/KEY");
    for (path, args, status, said) in [
        (key.clone(), vec!["--user", "no-such-user-anywhere"], 66, "no user"),
        (key.clone(), vec!["--pid", "4194304"], 66, "no process"),
        (key.clone(), vec!["--pid", "0"], 66, "no process"),
        (PathBuf::from("/etc/passwd"), vec![], 66, "in no hushfs mount"),
        (place.mnt().join("prod/.hidden"), vec![], 66, "ever called"),
        (key.clone(), vec!["--uid", "-1"], 64, ""),
        (key.clone(), vec!["--uid", "1", "--pid", "1"], 64, "cannot be used with"),
    ] {
        let output = why(&path, &args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
        assert!(text.contains(said) && output.stdout.is_empty(), "{args:?}: {text}");
    }
    let mut command = hushfs_as(&place, 2001, &["why"]);
    let output = command.arg(&key).output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{output:?}");
}

#[test]
fn nobody_but_the_owner_reaches_a_mount_without_allow_other() {
    let (place, store) = place();
    let settings = grant("allow", "uid:2001", "read", "prod/db");
    let _daemon = place.mount(&format!("{settings}\n{}", store.scope("prod")));
    let (status, explanation) = says(&place.mnt().join("prod/db/KEY"), &["--uid", "2001"]);
    assert_eq!(status, Some(1));
    assert!(explanation["change"][0].as_str().unwrap().contains("allow_other"), "{explanation:#}");
    assert_eq!(cat(2001, &[], &place.mnt().join("prod/db/KEY")), None);
}

#[cfg(feature = "aws")]
#[test]
fn what_the_provider_says_is_told_with_whom_it_was_asked_as() {
    use crate::support::cloud::Cloud;
    use serde_json::json;

    let (place, _store) = place();
    let cloud = Cloud::start(&place);
    cloud.create("db", br#"{"KEY":"value"}"#);
    let document = |statements: Value| json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let anyone = document(json!([{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]));
    let deny = document(json!([{"Effect": "Deny", "Action": "secretsmanager:*", "Resource": "*"}]));
    let role = cloud.account.server.role("nothing", &anyone, &deny);
    let policy = document(
        json!([{"Effect": "Allow", "Action": ["secretsmanager:*", "iam:SimulatePrincipalPolicy", "sts:AssumeRole"], "Resource": "*"}]),
    );
    let keys = cloud.account.server.user("app", &policy);
    let configuration = format!(
        "allow_other = true\n{}[[identity]]\nprincipals = [\"uid:2002\"]\nscopes = [\"prod\"]\naws.role_arn = {role:?}\n{}",
        grant("allow", "everyone", "read", "prod/**"),
        cloud.scope("prod", "")
    );
    let _daemon = cloud.mount_with_iam(&place, &configuration, (&keys.0, &keys.1));
    let key = place.mnt().join("prod/db/KEY");
    let (status, fine) = says(&key, &["--uid", "2001"]);
    assert_eq!(status, Some(0), "{fine:#}");
    let iam = steps(&fine, "iam");
    assert!(iam[0].0 == "yes" && iam[0].1.contains("user/app"), "{iam:?}");
    let (status, refused) = says(&key, &["--uid", "2002"]);
    assert_eq!(status, Some(1));
    let iam = steps(&refused, "iam");
    assert!(iam[0].0 == "no" && iam[0].1.contains("explicitDeny"), "{iam:?}");
    assert!(steps(&refused, "identity")[0].1.contains(&role));
    let provider = steps(&refused, "provider");
    assert!(provider[0].0 == "no" && provider[0].1.contains("EACCES"), "{provider:?}");
    assert!(refused["change"].to_string().contains(&role), "{refused:#}");
    assert!(refused["steps"].as_array().unwrap().iter().any(|step| step["stage"] == "iam" && step["age"].is_u64()));
    assert_eq!(cat(2002, &[], &key), None);
}
