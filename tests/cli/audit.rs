//! `[audit]`: where decisions are recorded.

use std::os::unix::fs::symlink;

use crate::support::{Fixture, golden, goldens};

goldens! {
    a_required_audit_without_a_sink: "[audit]\nrequired = true\n";
    a_required_audit_whose_sinks_are_all_off: "[audit]\njournald = false\nstderr = false\nrequired = true\n";
    an_audit_file_that_is_relative: "[audit]\nfile = \"audit.log\"\nrequired = true\n";
    an_audit_file_below_the_mountpoint: "mountpoint = \"/srv/x\"\n[audit]\nfile = \"/srv/x/prod/audit.log\"\n";
    an_audit_sink_in_quotes: "[audit]\njournald = \"true\"\n";
    an_unknown_key_in_audit: "[audit]\nfiel = \"/var/log/hushfs.log\"\n";
    an_audit_key_at_the_top: "journald = true\n";
    an_audit_that_is_no_table: "audit = \"/var/log/hushfs.log\"\n";
    an_audit_file_in_a_directory_that_is_not_there: "[audit]\nfile = \"[dir]/log/audit.log\"\n";
    an_audit_file_that_is_a_directory: "[audit]\nfile = \"[dir]\"\n";
    an_audit_with_every_sink: "[audit]\nfile = \"[dir]/audit.log\"\njournald = true\nstderr = true\nrequired = true\n";
}

#[test]
fn an_audit_file_that_is_a_link() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "[audit]\nfile = \"[dir]/audit.log\"\n");
    symlink(fixture.path().join("elsewhere"), fixture.path().join("audit.log")).expect("a link is made");
    golden("an_audit_file_that_is_a_link", &fixture.check());
}
