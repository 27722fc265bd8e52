use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const INNER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

fn units(path: &str) -> (Option<String>, Option<String>) {
    let cgroup = Cgroup::from_path(path).unwrap();
    (cgroup.unit, cgroup.user_unit)
}

#[test]
fn the_unit_is_the_one_that_systemd_itself_would_name() {
    let service = |name: &str| (Some(name.to_owned()), None);
    assert_eq!(units("/system.slice/worker.service"), service("worker.service"));
    assert_eq!(units("/system.slice/system-getty.slice/getty@tty1.service"), service("getty@tty1.service"));
    assert_eq!(units("/init.scope"), service("init.scope"));
    assert_eq!(units("/user.slice/user-1000.slice/session-3.scope"), service("session-3.scope"));
    assert_eq!(units("/system.slice/_cpu.service"), service("cpu.service"));
    assert_eq!(units("/system.slice/dev-sda\\x2d1.swap"), service("dev-sda\\x2d1.swap"));
    assert_eq!(units("/system.slice/a.service/deeper/down"), service("a.service"));
    for none in ["/", "/system.slice", "/payload/system.slice/worker.service", "/docker/x", "/.service", "/.slice"] {
        assert_eq!(units(none), (None, None), "{none}");
    }
}

#[test]
fn a_name_that_someone_gave_a_group_of_their_own_is_no_unit() {
    let inside = "/user.slice/user-1000.slice/user@1000.service";
    let of = |inner: &str| units(&format!("{inside}{inner}"));
    let manager = || Some("user@1000.service".to_owned());
    assert_eq!(of(""), (manager(), None));
    assert_eq!(of("/app.slice/worker.service"), (manager(), Some("worker.service".to_owned())));
    assert_eq!(of("/init.scope"), (manager(), Some("init.scope".to_owned())));
    assert_eq!(of("/app.slice/mine/worker.service"), (manager(), None));
    assert_eq!(units("/system.slice/ci.service/worker.service").0.as_deref(), Some("ci.service"));
    assert_eq!(
        units("/machine.slice/machine-m.scope/payload/system.slice/worker.service").0.as_deref(),
        Some("machine-m.scope")
    );
}

#[test]
fn a_container_is_known_by_the_names_that_runtimes_give() {
    let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a.slice";
    for (path, runtime, delegated) in [
        (format!("/docker/{ID}"), Some("docker"), false),
        (format!("/system.slice/docker-{ID}.scope"), Some("docker"), false),
        (format!("/system.slice/docker-{ID}.scope/init"), Some("docker"), false),
        (format!("/machine.slice/libpod-{ID}.scope/container"), Some("podman"), false),
        (format!("/libpod_parent/libpod-{ID}"), Some("podman"), false),
        (format!("/system.slice/web.service/libpod-payload-{ID}"), Some("podman"), true),
        (format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"), Some("podman"), true),
        (format!("{pod}/cri-containerd-{ID}.scope"), Some("containerd"), false),
        (format!("{pod}/crio-{ID}.scope"), Some("cri-o"), false),
        (format!("/kubepods/besteffort/pod0a/{ID}"), None, false),
        (
            format!("/system.slice/containerd.service/kubepods-pod0a.slice:cri-containerd:{ID}"),
            Some("containerd"),
            true,
        ),
        (format!("/docker/{ID}/docker/{INNER}"), Some("docker"), false),
    ] {
        let expected = Container { id: ID.to_owned(), runtime, delegated };
        assert_eq!(Cgroup::from_path(&path).unwrap().container, Some(expected), "{path}");
    }
}

#[test]
fn what_only_looks_like_a_container_is_none() {
    let short = &ID[1..];
    let upper = ID.to_uppercase();
    for path in [
        "/".to_owned(),
        format!("/machine.slice/libpod-conmon-{ID}.scope"),
        format!("/crio-conmon-{ID}.scope"),
        format!("/docker/{short}"),
        format!("/docker/{upper}"),
        format!("/docker/{ID}0"),
        format!("/docker-{ID}.service"),
        format!("/docker/-{ID}"),
    ] {
        assert_eq!(Cgroup::from_path(&path).unwrap().container, None, "{path}");
    }
}

#[test]
fn the_hierarchy_counts_that_systemd_keeps() {
    let path = |lines: &str| Cgroup::from_lines(lines).map(|cgroup| cgroup.path);
    assert_eq!(path("0::/a\n").as_deref(), Some("/a"));
    assert_eq!(path("2:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u\n").as_deref(), Some("/s"));
    assert_eq!(path("1:name=systemd:/\n0::/u\n").as_deref(), Some("/u"), "nobody keeps it");
    assert_eq!(path("1:name=systemd:/\n").as_deref(), Some("/"));
    assert_eq!(path("0::/a:b c\n").as_deref(), Some("/a:b c"));
    assert_eq!(path("2:name=mine:/m\n1:cpu:/c\n"), None);
    assert_eq!(path(""), None);
}

#[test]
fn a_group_that_cannot_be_seen_from_here_is_not_known() {
    for path in ["/..", "/../worker.service", "/a/../b", "", "relative", "/system.slice/worker.service (deleted)"] {
        assert_eq!(Cgroup::from_path(path), None, "{path}");
    }
}
