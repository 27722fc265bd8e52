//! No value where it does not belong: not in logs, errors, answers about the daemon, files it writes, nor
//! in its memory once it is past use.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::cloud::Cloud;
use crate::support::daemon::{Daemon, HUSHFS, Place, xattr};
use crate::support::fault_proxy::Fault;
use crate::support::ministack::ROOT_KEYS;
use crate::support::store::Store;

/// Made at run time, so that it is in no binary.
fn mark() -> String {
    format!("MARK-{:x}-{}", 0x7f3a_u32, std::process::id())
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Files that cannot be served, each in another way and each with the value before the place that is wrong.
fn broken_files(store: &Store, mark: &str) -> usize {
    let files: &[(&str, String)] = &[
        ("json/cut.json.age", format!(r#"{{"K":"{mark}"#)),
        ("json/no-colon.json.age", format!(r#"{{"{mark}" "x"}}"#)),
        ("json/after.json.age", format!(r#"{{"K":"{mark}"}} trailing {mark}"#)),
        ("json/number.json.age", format!(r#"{{"K":12{mark}}}"#)),
        ("json/escape.json.age", format!(r#"{{"K":"{mark}\x"}}"#)),
        ("json/surrogate.json.age", format!(r#"{{"K":"{mark}\ud800"}}"#)),
        ("json/array.json.age", format!(r#"["{mark}"]"#)),
        ("json/text.json.age", format!(r#""{mark}""#)),
        ("json/deep.json.age", format!(r#"{{"{mark}":{}"#, "[".repeat(100_000))),
        ("keys/tab.yaml.age", format!("K: {mark}\n\t- : [ {mark}\n")),
        ("keys/alias.yaml.age", format!("K: *{mark}\n")),
        ("keys/binary.yaml.age", format!("K: !!binary \"{mark}\"\n")),
        ("keys/open.yaml.age", format!("K: \"{mark}\n")),
        ("keys/twice.yaml.age", format!("{mark}: 1\n{mark}: 2\n")),
        ("keys/line.env.age", format!("K={mark}\nnonsense {mark}\n")),
        ("keys/quote.env.age", format!("K='{mark}\n")),
        ("keys/large.age", mark.repeat(4000)),
    ];
    for (file, contents) in files {
        store.put(file, contents.as_bytes());
    }
    store.put("keys/utf8.yaml.age", &[b"K: ", mark.as_bytes(), b"\xff\n"].concat());
    // Damaged after encryption.
    store.put("keys/damaged.age", mark.as_bytes());
    let damaged = store.path.join("keys/damaged.age");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes.truncate(bytes.len() - 3);
    fs::write(damaged, bytes).unwrap();
    // As SOPS leaves it, but for the value.
    fs::write(store.path.join("keys/sops.json"), format!(r#"{{"K":"{mark}","sops":{{"mac":"{mark}"}}}}"#)).unwrap();
    files.len() + 3
}

/// Answers that are none, with the value in them.
fn broken_answers(mark: &str) -> Vec<Fault> {
    let body = |text: String| Fault::body(&text);
    let answer = |status, text: String| Fault::Answer { status, headers: Vec::new(), body: text };
    vec![
        body(format!(r#"{{"SecretString":"{mark}"#)),
        body(format!(r#"{{"SecretString":"{mark}"}}"#)),
        body(format!(r#"{{"SecretString":["{mark}"],"VersionId":"v"}}"#)),
        body(format!(r#"{{"SecretString":"{mark}","VersionId":17}}"#)),
        body(format!(r#"{{"SecretString":"{mark}","VersionId":"v","CreatedDate":"{mark}"}}"#)),
        body(format!(r#"{{"SecretBinary":"{mark}!","VersionId":"v"}}"#)),
        body(format!(r#"{{"SecretString":"{mark}\x","VersionId":"v"}}"#)),
        body(mark.to_owned()),
        answer(400, format!(r#"{{"SecretString":"{mark}"}}"#)),
        answer(400, mark.to_owned()),
        answer(500, format!("<html>{mark}</html>")),
        answer(204, format!(r#"{{"SecretString":"{mark}","VersionId":"v"}}"#)),
        Fault::CutBody,
        body(format!(r#"{{"SecretString":"{}","VersionId":"v"}}"#, mark.repeat(4000))),
    ]
}

/// Reads a secret's directory in every way there is; gives what the programs said.
fn try_everything(secret: &Path) -> Vec<u8> {
    let mut said = Vec::new();
    for name in ["value", "K", "nosuch", ".raw", ".json", ".env", "@current/K", "@previous/K", "@v/K", "@v/.raw"] {
        said.extend(Command::new("cat").arg(secret.join(name)).output().unwrap().stderr);
        said.extend(Command::new("getfattr").arg("-d").arg(secret.join(name)).output().unwrap().stdout);
    }
    for program in ["ls", "find", "stat"] {
        let output = Command::new(program).arg(secret).output().unwrap();
        said.extend([output.stdout, output.stderr].concat());
    }
    said.extend(Command::new("getfattr").arg("-d").arg(secret).output().unwrap().stdout);
    said
}

/// Whatever is said of the daemon by itself and by the kernel.
fn everything_about(place: &Place, daemon: &Daemon) -> Vec<u8> {
    let mut all = place.log().into_bytes();
    for args in [&["status"][..], &["status", "--json"]] {
        let output = place.run(args);
        assert!(output.status.success());
        all.extend([output.stdout, output.stderr].concat());
    }
    let socket = xattr(&place.mnt(), "user.hushfs.control").unwrap();
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"{\"command\":\"values\"}\n").unwrap();
    stream.read_to_end(&mut all).unwrap();
    for file in ["environ", "cmdline", "maps", "status", "comm"] {
        all.extend(fs::read(format!("/proc/{}/{file}", daemon.child.id())).unwrap());
    }
    all
}

/// How often `needle` is in the process's writable memory.
fn in_memory(daemon: &Daemon, needle: &[u8]) -> usize {
    let process = format!("/proc/{}", daemon.child.id());
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    let mut memory = File::open(format!("{process}/mem")).unwrap();
    let mut found = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        if to - from > 512 << 20 {
            // Reserved address space.
            continue;
        }
        memory.seek(SeekFrom::Start(from)).unwrap();
        let mut bytes = vec![0; (to - from) as usize];
        // What cannot be read is a hole.
        if memory.read_exact(&mut bytes).is_ok() {
            let first = needle[0];
            let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first).map(|(at, _)| at);
            found += starts.filter(|&at| bytes[at..].starts_with(needle)).count();
        }
    }
    found
}

/// Polls until there are none; gives the last count.
fn until_gone(daemon: &Daemon, needle: &[u8]) -> usize {
    let start = Instant::now();
    loop {
        let count = in_memory(daemon, needle);
        if count == 0 || start.elapsed() > Duration::from_secs(60) {
            return count;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Needs what only root may do or see.
mod as_root {
    use super::*;

    #[test]
    fn no_error_path_lets_a_value_out() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        let mark = mark();
        let store = Store::new(place.path());
        store.put("keys/good.json.age", format!(r#"{{"K":"{mark}","L":1}}"#).as_bytes());
        let files = broken_files(&store, &mark);
        let answers = broken_answers(&mark);
        cloud.create("good", mark.as_bytes());
        for n in 0..answers.len() {
            cloud.create(&format!("broken-{n}"), mark.as_bytes());
        }
        for n in 0..40 {
            cloud.create(&format!("together-{n}"), mark.as_bytes());
        }
        let limits = "max_secret_bytes = \"16KiB\"\nnegative_ttl = \"100ms\"\n";
        let lenient = store.scope("local") + "allow_plaintext = true\n" + limits;
        let strict = store.scope("strict") + "format = \"json\"\n" + limits;
        place.configure(&(lenient + &strict + &cloud.scope("cloud", limits)));

        let trace = place.path().join("trace");
        let daemon_command = cloud.command(&place, Some(ROOT_KEYS));
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-y", "-s", "200000", "-o"]).arg(&trace).args([
            "-e",
            "trace=open,openat,openat2,creat,mknod,mknodat,write,pwrite64,writev,pwritev,sendto,sendmsg,sendmmsg,memfd_create",
        ]);
        command.arg(HUSHFS).args(daemon_command.get_args());
        for (name, value) in daemon_command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env("HUSHFS_LOG", "debug")
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .env("RUST_LIB_BACKTRACE", "1");
        let daemon = place.start(command);

        // It can be seen where it belongs, so the greps below can find it.
        let mnt = place.mnt();
        assert_eq!(fs::read(mnt.join("local/keys/good/K")).unwrap(), mark.as_bytes());
        assert_eq!(fs::read(mnt.join("cloud/good/value")).unwrap(), mark.as_bytes());

        let mut said = Vec::new();
        let listed = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let mut tried = 0;
        for secret in [listed(&mnt.join("local/keys")), listed(&mnt.join("strict/json"))].concat() {
            said.extend(try_everything(&secret));
            tried += 1;
        }
        assert!(tried >= files, "{tried} of {files} were tried");
        for (n, fault) in answers.into_iter().enumerate() {
            for operation in ["GetSecretValue", "BatchGetSecretValue"] {
                cloud.proxy.set(operation, fault.clone());
            }
            said.extend(try_everything(&mnt.join(format!("cloud/broken-{n}"))));
            cloud.proxy.set("DescribeSecret", fault.clone());
            cloud.proxy.set("ListSecrets", fault);
            said.extend(try_everything(&mnt.join(format!("cloud/nosuch-{n}"))));
            for operation in ["DescribeSecret", "ListSecrets"] {
                cloud.proxy.set(operation, Fault::Pass);
            }
        }
        // Reads that go together, in an answer that is none.
        cloud.proxy.set("GetSecretValue", Fault::Delay(Duration::from_millis(300)));
        cloud.proxy.set(
            "BatchGetSecretValue",
            Fault::body(&format!(r#"{{"SecretValues":[{{"Name":"{mark}","SecretString":17}}"#)),
        );
        let reads: Vec<_> = (0..40)
            .map(|n| {
                let path = mnt.join(format!("cloud/together-{n}/value"));
                std::thread::spawn(move || fs::read(path).is_ok_and(|bytes| !bytes.is_empty()))
            })
            .collect();
        let _ = reads.into_iter().map(|read| read.join().unwrap()).filter(|served| *served).count();

        let about = everything_about(&place, &daemon);
        let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.child.id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "no core dumps");
        assert_eq!(daemon.stop().code(), Some(0));
        assert!(!contains(&said, &mark), "programs were told a value");
        let text = String::from_utf8_lossy(&about);
        let line = text.lines().find(|line| line.contains(&mark)).unwrap_or_default();
        assert!(!text.contains(&mark), "the daemon told a value: {line}");
        assert!(text.matches("WARN").count() > 30, "the errors were logged, so they were looked at");

        let trace = String::from_utf8_lossy(&fs::read(&trace).unwrap()).into_owned();
        let mut answered = 0;
        for line in trace.lines() {
            let call: String = line.chars().take(300).collect();
            if line.contains(&mark) {
                assert!(
                    call.contains("writev(") && call.contains("</dev/fuse>"),
                    "a value was written elsewhere: {call}"
                );
                answered += 1;
            }
            let for_writing = ["O_WRONLY", "O_RDWR", "O_CREAT", "creat(", "mknod", "memfd_create"];
            if for_writing.iter().any(|flag| call.contains(flag)) {
                // The ledger's writes are in the trace, too, and were looked at above.
                let fine = [
                    "\"/dev/fuse\"",
                    "\"/dev/null\"",
                    "\"/run/hushfs/",
                    "memfd_create(\"hushfs-ledger\"",
                    "\"/proc/self/coredump_filter\"",
                ];
                let fine = fine.iter().any(|path| call.contains(path));
                assert!(fine, "opened for writing: {call}");
            }
        }
        assert!(answered > 0, "the trace shows values where they are written");
    }

    #[test]
    fn a_local_value_past_its_use_is_not_in_memory_any_more() {
        let place = Place::new();
        let store = Store::new(place.path());
        let mark = mark();
        // One that a reply carries inline and one that it does not, in a key and on its own.
        let (short, long) = (format!("{mark}-s"), format!("{mark}-long-{}", "x".repeat(100)));
        store.put("db.json.age", format!(r#"{{"S":"{short}","L":"{long}"}}"#).as_bytes());
        store.put("plain.age", long.as_bytes());
        store.put("keys.yaml.age", format!("S: {short}\nL: '{long}'\n").as_bytes());
        store.put("vars.env.age", format!("S={short}\nL=\"{long}\"\n").as_bytes());
        let daemon = place.mount(&(store.scope("prod") + "ttl = \"2s\"\nmax_stale = \"0s\"\n"));
        let prod = place.mnt().join("prod");
        for _ in 0..3 {
            for secret in ["db", "keys", "vars"] {
                assert_eq!(fs::read(prod.join(secret).join("S")).unwrap(), short.as_bytes());
                assert_eq!(fs::read(prod.join(secret).join("L")).unwrap(), long.as_bytes());
                for whole in [".raw", ".json", ".env"] {
                    assert!(contains(&fs::read(prod.join(secret).join(whole)).unwrap(), &mark));
                }
            }
            assert_eq!(fs::read(prod.join("plain/value")).unwrap(), long.as_bytes());
        }
        // However long the scan takes, this is in use.
        let open = File::open(prod.join("db/L")).unwrap();
        let before = in_memory(&daemon, mark.as_bytes());
        assert!(before >= 1, "the scan finds what is there");
        drop(open);
        let after = until_gone(&daemon, mark.as_bytes());
        eprintln!("local: {before} copies while cached, {after} after");
        assert_eq!(after, 0);
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn an_aws_value_past_its_use_is_not_in_memory_any_more() {
        let place = Place::new();
        let cloud = Cloud::start(&place);
        let mark = mark();
        for n in 0..20 {
            cloud.create(&format!("db-{n}"), format!(r#"{{"K":"{mark}-{n}"}}"#).as_bytes());
        }
        let daemon = cloud.mount(&place, &cloud.scope("prod", "ttl = \"2s\"\nmax_stale = \"0s\""));
        let paths: Vec<_> = (0..20).map(|n| place.mnt().join(format!("prod/db-{n}/K"))).collect();
        let readers: Vec<_> =
            paths.into_iter().map(|path| std::thread::spawn(move || fs::read(path).unwrap())).collect();
        assert!(readers.into_iter().all(|reader| contains(&reader.join().unwrap(), &mark)));
        // However long the scan takes, this is in use.
        let open = File::open(place.mnt().join("prod/db-0/K")).unwrap();
        let before = in_memory(&daemon, mark.as_bytes());
        assert!(before >= 1, "the scan finds what is there");
        drop(open);
        let after = until_gone(&daemon, mark.as_bytes());
        eprintln!("AWS, plain HTTP: {before} copies while cached, {after} after");
        assert_eq!(after, 0);
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[test]
    fn a_value_that_was_flushed_is_not_in_memory_any_more_and_one_that_is_open_is_until_it_is_closed() {
        let place = Place::new();
        let store = Store::new(place.path());
        let mark = mark();
        for name in ["db", "web"] {
            store
                .put(&format!("{name}.json.age"), format!(r#"{{"K":"{name} {mark}-{}"}}"#, "x".repeat(100)).as_bytes());
        }
        let daemon = place.mount(&(store.scope("prod") + "ttl = \"1h\"\n"));
        let prod = place.mnt().join("prod");
        let open = File::open(prod.join("db/K")).unwrap();
        assert!(contains(&fs::read(prod.join("web/K")).unwrap(), &mark));
        let flush = || assert!(place.run(&["flush"]).status.success());
        assert!(in_memory(&daemon, format!("web {mark}").as_bytes()) >= 1, "the scan finds what is there");
        flush();
        assert_eq!(until_gone(&daemon, format!("web {mark}").as_bytes()), 0);
        assert!(in_memory(&daemon, format!("db {mark}").as_bytes()) >= 1, "it is open");
        drop(open);
        assert_eq!(until_gone(&daemon, format!("db {mark}").as_bytes()), 0);
        assert_eq!(daemon.stop().code(), Some(0));
    }
}
