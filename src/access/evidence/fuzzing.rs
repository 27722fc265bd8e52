//! What the kernel shows of callers, who choose some of it: their name, their groups, their control group.

use super::cgroup::Cgroup;
use super::thread::{Started, Status};

/// Whatever a file of `/proc` has, nothing in it does harm; and what a caller may choose changes nothing besides.
pub fn proc(bytes: &[u8]) {
    let _ = Started::parse(bytes);
    let _ = Status::parse(bytes);
    name(bytes);
    let text = String::from_utf8_lossy(bytes);
    if let Some(cgroup) = Cgroup::from_lines(&text) {
        check(&cgroup);
    }
    let from_path = Cgroup::from_path(&text);
    if let Some(cgroup) = &from_path {
        check(cgroup);
    }
    // The kernel makes no control group with a newline in its name.
    if !text.contains('\n') {
        assert_eq!(Cgroup::from_lines(&format!("1:cpu:/other\n0::{text}")), from_path);
    }
}

/// A process may be called anything. In `status` the kernel escapes newlines.
fn name(name: &[u8]) {
    let after = b") S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4711 13 14 15 4096 8192 140000 16\n";
    let started = Started::parse(&[&b"42 ("[..], name, after].concat()).expect("a whole line");
    assert_eq!((started.at, &*started.name, started.image), (4711, name, (4096, 140_000)));
    let escaped: Vec<u8> = name
        .iter()
        .flat_map(|byte| if *byte == b'\n' { &b"\\n"[..] } else { std::slice::from_ref(byte) })
        .copied()
        .collect();
    let after = b"\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
    let status = Status::parse(&[&b"Name:\t"[..], &*escaped, after].concat()).expect("a whole file");
    assert_eq!((status.tgid, status.uid, status.gid), (7, 4, 8));
}

/// A unit is a part of the path, and so is a container.
fn check(cgroup: &Cgroup) {
    let path = cgroup.path();
    let mut parts = path.split('/');
    assert_eq!(parts.next(), Some(""));
    assert!(!parts.clone().any(|part| part == ".." || part == "."), "{path:?}");
    assert_eq!(Cgroup::from_path(path).as_ref(), Some(cgroup));
    for unit in [cgroup.unit(), cgroup.user_unit()].into_iter().flatten() {
        assert!(parts.clone().any(|part| part == unit || part.strip_prefix('_') == Some(unit)), "{unit:?} in {path:?}");
        assert!(unit.len() <= 255 && unit.bytes().all(|byte| byte.is_ascii_graphic()), "{unit:?}");
    }
    assert!(cgroup.user_unit().is_none() || cgroup.unit().is_some_and(|unit| unit.starts_with("user@")), "{path:?}");
    if let Some(container) = cgroup.container() {
        assert!(container.id.len() == 64 && path.contains(&container.id), "{:?} in {path:?}", container.id);
    }
}
