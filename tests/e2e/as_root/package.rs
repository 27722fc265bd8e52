//! The package that `make deb` builds, in a machine that boots.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::daemon::{HUSHFS, Place};
use crate::support::machine::{Machine, Results, STORE};
use crate::support::missing;

/// What is on the machine's disk, but for what dpkg and systemd keep of their own.
const DISK: &str = "find / -xdev ! -path '/var/log/*' ! -path '/var/cache/*' ! -path '/var/lib/dpkg/*-old' \
     ! -path '/var/lib/dpkg/triggers/*' | sort";

/// Two versions of the package, in a folder.
struct Packages {
    folder: PathBuf,
    binary: PathBuf,
}

impl Packages {
    fn new(place: &Place) -> Self {
        missing::program("dpkg-deb", "dpkg");
        missing::program("strip", "binutils");
        let packages = Self { folder: place.path().join("packages"), binary: place.path().join("hushfs-stripped") };
        let strip = Command::new("strip").arg("-o").arg(&packages.binary).arg(HUSHFS).status();
        assert!(strip.expect("strip runs").success(), "strip {HUSHFS}");
        packages.build("1.0");
        packages.build("1.1");
        packages
    }

    fn build(&self, version: &str) {
        let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/debian/build"))
            .args([&self.binary, &self.folder])
            .env_remove("MAKEFLAGS")
            .env("DEB_VERSION", version)
            .env("DEB_FLAGS", "-Znone")
            .env("DEBFULLNAME", "Ann & Sons")
            .env("DEBEMAIL", "ann@example.com")
            .output();
        let output = output.expect("the script runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let package = String::from_utf8(output.stdout).expect("a path");
        let told = Command::new("dpkg-deb").args(["--field", package.trim(), "Maintainer"]).output().expect("dpkg-deb");
        assert_eq!(String::from_utf8_lossy(&told.stdout), "Ann & Sons <ann@example.com>\n");
    }
}

/// A machine with the packages in /packages, in which `script` runs once an operator has installed the first and
/// mounted a secret with it.
fn run(place: &Place, script: &str) -> Results {
    let packages = Packages::new(place);
    let mut machine = Machine::new(place);
    machine.without_hushfs();
    machine.bind(&packages.folder, "/packages");
    machine.secret("db", "value");
    machine.write("operator.toml", STORE);
    machine.run(&format!(
        "{DISK} >/results/before
        dpkg --install /packages/hushfs_1.0_*.deb
        systemctl is-active hushfs.service && exit 1
        systemctl is-enabled hushfs.service && exit 1
        cp /operator.toml /etc/hushfs/conf.d/prod.toml
        echo '# changed' >>/etc/hushfs/hushfs.toml
        systemctl enable --now hushfs.service
        cat /secrets/prod/db/KEY >/results/read
        {script}"
    ))
}

#[test]
fn an_upgrade_takes_over_the_mount_and_keeps_the_configuration_and_files_that_are_open() {
    let place = Place::new();
    let results = run(
        &place,
        "exec 4</secrets/prod/db/KEY
        before=$(systemctl show --property=MainPID --value hushfs.service)
        dpkg --install /packages/hushfs_1.1_*.deb
        after=$(systemctl show --property=MainPID --value hushfs.service)
        [ $before != $after ]
        cat <&4 >/results/open
        cat /secrets/prod/db/KEY >/results/anew
        tail -n 1 /etc/hushfs/hushfs.toml >/results/configuration
        systemctl is-enabled hushfs.service
        dpkg-query --show --showformat='${Version}' hushfs >/results/version",
    );
    assert_eq!(results.file("read"), "value");
    assert_eq!(results.file("open"), "value");
    assert_eq!(results.file("anew"), "value");
    assert_eq!(results.file("configuration"), "# changed\n");
    assert_eq!(results.file("version"), "1.1");
}

#[test]
fn a_package_that_is_purged_leaves_nothing() {
    let place = Place::new();
    let results = run(
        &place,
        &format!(
            "dpkg --remove hushfs
            findmnt /secrets && exit 1
            [ -e /etc/hushfs/conf.d/prod.toml ]
            dpkg --purge hushfs
            {DISK} >/results/after
            ls -d /run/hushfs /secrets >/results/left 2>/dev/null || true
            systemctl list-units --all --plain --no-legend 'hushfs*' >>/results/left"
        ),
    );
    assert_eq!(results.file("read"), "value");
    let lines = |name: &str| results.file(name).lines().map(str::to_owned).collect::<Vec<_>>();
    let before = lines("before");
    assert!(before.len() > 1000, "{}", before.len());
    let left: Vec<String> = lines("after").into_iter().filter(|path| !before.contains(path)).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(results.file("left"), "");
}

#[test]
fn a_purge_leaves_keys_without_which_a_store_is_lost_and_a_mountpoint_that_is_not_empty() {
    let place = Place::new();
    let results = run(
        &place,
        "hushfs store --path /var/lib/hushfs/dev --identity /etc/hushfs/dev.key init
        # Not a good place for it, but one that somebody may have chosen.
        hushfs store --path /etc/hushfs/store --identity /etc/hushfs/dev.key init || true
        printf x | hushfs store --path /etc/hushfs/store --identity /etc/hushfs/dev.key set db KEY
        echo token >/etc/hushfs/token
        systemctl stop hushfs.service
        mkdir /secrets/of-the-operator
        dpkg --purge hushfs
        find /etc/hushfs /secrets -mindepth 1 ! -name '.*' -not -path /etc/hushfs/store | sort >/results/kept",
    );
    let kept = results.file("kept");
    let values = kept.lines().filter(|it| it.starts_with("/etc/hushfs/store/") && it.ends_with(".age")).count();
    assert_eq!(values, 1, "{kept}");
    for other in ["/etc/hushfs/dev.key", "/secrets/of-the-operator"] {
        assert!(kept.lines().any(|line| line == other), "{other}: {kept}");
    }
    assert!(!kept.contains("token") && !kept.contains("hushfs.toml"), "{kept}");
}
