//! The configuration file itself, and the files that it names.

use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{Fixture, golden, output};

const LOCAL: &str = "[scopes.dev]\nprovider = \"local\"\npath = \"[dir]/store\"\nidentity = \"[dir]/dev.key\"\n";

fn local() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", LOCAL).write("dev.key", "").write("store/a.age", "");
    fixture
}

#[test]
fn a_configuration_file_that_is_missing() {
    golden("a_configuration_file_that_is_missing", &Fixture::new().check());
}

#[test]
fn a_configuration_file_that_is_missing_beside_a_near_one() {
    let fixture = Fixture::new();
    fixture.write("hushfs.tml", "");
    golden("a_configuration_file_that_is_missing_beside_a_near_one", &fixture.check());
}

#[test]
fn a_configuration_file_that_is_a_directory() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml/x", "");
    golden("a_configuration_file_that_is_a_directory", &fixture.check());
}

/// Reading a pipe without a writer would wait forever.
#[test]
fn a_configuration_file_that_is_a_pipe() {
    let fixture = Fixture::new();
    let made = Command::new("mkfifo").arg(fixture.file()).status().expect("mkfifo runs");
    assert!(made.success());
    golden("a_configuration_file_that_is_a_pipe", &fixture.check());
}

#[test]
fn a_configuration_file_that_is_a_socket() {
    let fixture = Fixture::new();
    let _socket = UnixListener::bind(fixture.file()).expect("a socket");
    golden("a_configuration_file_that_is_a_socket", &fixture.check());
}

#[test]
fn a_configuration_file_that_is_a_device() {
    let fixture = Fixture::new();
    golden("a_configuration_file_that_is_a_device", &fixture.run(&["check", "--config", "/dev/zero"]));
}

/// Root may read anything, so as root it is `nobody` who tries.
#[test]
fn a_configuration_file_that_may_not_be_read() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "").mode("hushfs.toml", 0o000).mode("", 0o755);
    let binary = fixture.path().join("hushfs");
    std::fs::copy(env!("CARGO_BIN_EXE_hushfs"), &binary).expect("the program is copied to where nobody finds it");
    let mut command = Command::new(binary);
    command.args(["check", "--config"]).arg(fixture.file());
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    golden("a_configuration_file_that_may_not_be_read", &fixture.plain(&output(&mut command)));
}

#[test]
fn an_identity_that_everybody_may_read() {
    let fixture = local();
    fixture.mode("dev.key", 0o644);
    golden("an_identity_that_everybody_may_read", &fixture.check());
}

#[test]
fn an_identity_that_everybody_may_write() {
    let fixture = local();
    fixture.mode("dev.key", 0o602);
    golden("an_identity_that_everybody_may_write", &fixture.check());
}

#[test]
fn an_identity_that_its_group_may_write() {
    let fixture = local();
    fixture.mode("dev.key", 0o660);
    golden("an_identity_that_its_group_may_write", &fixture.check());
}

#[test]
fn an_identity_that_its_group_may_read() {
    let fixture = local();
    fixture.mode("dev.key", 0o640);
    golden("an_identity_that_its_group_may_read", &fixture.check());
}

#[test]
fn an_identity_that_only_its_owner_may_touch() {
    let fixture = local();
    golden("an_identity_that_only_its_owner_may_touch", &fixture.check());
    fixture.mode("dev.key", 0o400);
    golden("an_identity_that_only_its_owner_may_touch", &fixture.check());
}

#[test]
fn an_identity_that_is_missing() {
    let fixture = local();
    fixture.write("hushfs.toml", LOCAL.replace("dev.key", "laptop.txt"));
    golden("an_identity_that_is_missing", &fixture.check());
}

#[test]
fn an_identity_that_is_missing_beside_a_near_one() {
    let fixture = local();
    fixture.write("hushfs.toml", LOCAL.replace("dev.key", "devs.key"));
    golden("an_identity_that_is_missing_beside_a_near_one", &fixture.check());
}

#[test]
fn an_identity_that_is_a_directory() {
    let fixture = local();
    fixture.write("hushfs.toml", LOCAL.replace("dev.key", "store"));
    golden("an_identity_that_is_a_directory", &fixture.check());
}

#[test]
fn an_identity_with_a_name_for_the_shell_to_trip_over() {
    let fixture = local();
    fixture.write("hushfs.toml", LOCAL.replace("dev.key", "it's $HOME.key"));
    fixture.write("it's $HOME.key", "").mode("it's $HOME.key", 0o644);
    golden("an_identity_with_a_name_for_the_shell_to_trip_over", &fixture.check());
}

#[test]
fn a_store_that_does_not_exist_yet() {
    let fixture = local();
    fixture.write("hushfs.toml", LOCAL.replace("/store", "/later"));
    golden("a_store_that_does_not_exist_yet", &fixture.check());
}

#[test]
fn a_store_that_is_a_file() {
    let fixture = local();
    fixture.write("hushfs.toml", LOCAL.replace("/store", "/store/a.age"));
    golden("a_store_that_is_a_file", &fixture.check());
}

#[test]
fn a_store_in_plaintext() {
    let fixture = local();
    let text = LOCAL.replace("identity = \"[dir]/dev.key\"", "allow_plaintext = true");
    fixture.write("hushfs.toml", text);
    golden("a_store_in_plaintext", &fixture.check());
}

#[test]
fn a_ca_file_that_is_missing() {
    let fixture = Fixture::new();
    let text = "[scopes.prod]\nprovider = \"aws-secrets-manager\"\nca_file = \"[dir]/ca.pem\"\n";
    fixture.write("hushfs.toml", text);
    golden("a_ca_file_that_is_missing", &fixture.check());
}
