//! Refusals in the audit log, on a mount of another user.

use serde_json::json;

use super::permissions::mount_as;
use crate::support::audit_log::AuditFile;
use crate::support::daemon::{Place, errno_of_reading};
use crate::support::users::{NOBODY, STRANGER, as_user};

#[test]
fn who_is_refused_is_named_and_so_is_why() {
    let place = Place::new();
    // Where that user may make files.
    let audit = AuditFile::new(&place, "run/audit.log");
    let settings = format!("allow_other = true\nroot = \"deny\"\n{}", audit.section("required = true"));
    let _daemon = mount_as(&place, NOBODY, &settings);
    assert_eq!(errno_of_reading(&place.mnt().join("prod/db/KEY")), Some(libc::EACCES));
    let refused = audit.lines();
    assert_eq!(refused.len(), 1, "it goes no further than the first name: {refused:?}");
    for (name, value) in [
        ("path", json!("prod")),
        ("action", json!("list")),
        ("decision", json!("deny")),
        ("errno", json!("EACCES")),
        ("reason", json!("nothing is granted to this caller")),
        ("uid", json!(0)),
        ("gid", json!(0)),
        ("tgid", json!(std::process::id())),
        ("version", json!(null)),
    ] {
        assert_eq!(refused[0][name], value, "{name}");
    }

    as_user(NOBODY, || assert_eq!(std::fs::read(place.mnt().join("prod/db/KEY")).unwrap(), b"value"));
    let read = audit.about("prod/db/KEY").pop().unwrap();
    assert_eq!((&read["decision"], &read["uid"], &read["gid"]), (&json!("allow"), &json!(NOBODY), &json!(NOBODY)));
    // The kernel has seen the file by now, and asks about root's open.
    assert_eq!(errno_of_reading(&place.mnt().join("prod/db/KEY")), Some(libc::EACCES));
    let last = audit.lines().pop().unwrap();
    assert_eq!((&last["decision"], &last["uid"]), (&json!("deny"), &json!(0)));
}

#[test]
fn whom_the_bits_refuse_the_kernel_turns_away_before_there_is_anything_to_record() {
    let place = Place::new();
    let audit = AuditFile::new(&place, "run/audit.log");
    let _daemon = mount_as(&place, NOBODY, &format!("allow_other = true\n{}", audit.section("required = true")));
    as_user(STRANGER, || assert_eq!(errno_of_reading(&place.mnt().join("prod/db/KEY")), Some(libc::EACCES)));
    assert_eq!(audit.text(), "");
}
