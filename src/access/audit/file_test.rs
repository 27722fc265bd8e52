use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::access::audit::record::Event;
use crate::access::audit::test_sinks::{deadline, record};

fn write(sink: &mut FileSink, line: &str, until: Instant) -> io::Result<()> {
    let event = Event::Decision(Box::new(record("")));
    sink.write(&Entry { event: &event, line: format!("{line}\n").as_bytes() }, until)
}

#[test]
fn lines_are_added_to_a_file_that_only_its_owner_may_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    write(&mut FileSink::new(path.clone()), "one", deadline()).unwrap();
    write(&mut FileSink::new(path.clone()), "two", deadline()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_file_that_was_rotated_away_gets_no_more_lines_once_that_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("audit.log"), directory.path().join("audit.log.1"));
    let mut sink = FileSink::new(path.clone());
    write(&mut sink, "one", deadline()).unwrap();
    fs::rename(&path, &old).unwrap();
    sink.reopen();
    write(&mut sink, "two", deadline()).unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "one\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");

    // Without being told: every line is in one of the two files, and sooner or later in the new one.
    fs::rename(&path, &old).unwrap();
    let mut written = "two\n".to_owned();
    while !path.exists() {
        write(&mut sink, "x", deadline()).unwrap();
        written.push_str("x\n");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(fs::read_to_string(&old).unwrap() + &fs::read_to_string(&path).unwrap(), written);
}

#[test]
fn a_file_that_was_deleted_takes_no_line_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let mut sink = FileSink::new(path.clone());
    write(&mut sink, "one", deadline()).unwrap();
    fs::remove_file(&path).unwrap();
    write(&mut sink, "two", deadline()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
}

#[test]
fn a_file_that_was_truncated_after_being_copied_goes_on_from_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let mut sink = FileSink::new(path.clone());
    write(&mut sink, "one", deadline()).unwrap();
    fs::write(&path, "").unwrap();
    write(&mut sink, "two", deadline()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
}

#[test]
fn a_rotated_file_is_used_on_while_no_new_one_can_be_made() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("log");
    fs::create_dir(&below).unwrap();
    let (path, old) = (below.join("audit.log"), directory.path().join("audit.log.1"));
    let mut sink = FileSink::new(path.clone());
    write(&mut sink, "one", deadline()).unwrap();
    fs::rename(&path, &old).unwrap();
    fs::remove_dir(&below).unwrap();
    sink.reopen();
    write(&mut sink, "two", deadline()).unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntwo\n");

    fs::remove_file(&old).unwrap();
    let error = write(&mut sink, "three", deadline()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "there is no file left to find it in");
}

#[test]
fn a_line_that_a_dead_daemon_left_in_part_spoils_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    fs::write(&path, "one\ntw").unwrap();
    write(&mut FileSink::new(path.clone()), "three", deadline()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\nthree\n");
}

#[test]
fn a_link_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
    let error = write(&mut FileSink::new(path), "one", deadline()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    assert!(!directory.path().join("elsewhere").exists());
}

#[test]
fn a_full_device_is_an_error() {
    let error = write(&mut FileSink::new("/dev/full".into()), "one", deadline()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_fifo_that_nobody_reads_is_an_error_and_one_that_is_read_no_more_holds_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut sink = FileSink::new(path.clone());
    assert_eq!(write(&mut sink, "nobody", deadline()).unwrap_err().raw_os_error(), Some(libc::ENXIO));

    let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let mut taken = 0;
    let line = "x".repeat(5_000);
    let error = loop {
        match write(&mut sink, &line, Instant::now() + Duration::from_millis(20)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    let mut text = String::new();
    let _ = io::Read::read_to_string(&mut reader, &mut text);
    write(&mut sink, "after", deadline()).unwrap();
    let _ = io::Read::read_to_string(&mut reader, &mut text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.iter().filter(|got| **got == line).count(), taken, "every line that was taken is whole");
    assert_eq!(lines.last(), Some(&"after"), "and the one that was cut off has spoilt no other");
}

/// A disk that fills up in the middle of a line: a tmpfs of one page, in a mount namespace of its own.
#[test]
fn a_line_that_a_full_disk_cut_off_spoils_no_other() {
    const INSIDE: &str = "HUSHFS_TEST_FULL_DISK";
    let Some(directory) = std::env::var_os(INSIDE) else {
        let directory = tempfile::tempdir().unwrap();
        let name = "access::audit::file::tests::a_line_that_a_full_disk_cut_off_spoils_no_other";
        let mounted =
            "mount -t tmpfs -o size=4k none \"$HUSHFS_TEST_FULL_DISK\" && exec \"$0\" --exact \"$1\" --nocapture";
        let ended = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", mounted])
            .arg(std::env::current_exe().unwrap())
            .arg(name)
            .env(INSIDE, directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("1 passed"), "{ended:?}");
        return;
    };
    let path = Path::new(&directory).join("audit.log");
    let mut sink = FileSink::new(path.clone());
    let long = "l".repeat(3_000);
    write(&mut sink, &long, deadline()).unwrap();
    assert_eq!(write(&mut sink, &long, deadline()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.len(), 4096, "the disk took a part of it");

    // Someone makes room, as copytruncate does.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(3_500).unwrap();
    write(&mut sink, "after", deadline()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), [long.as_str(), &"l".repeat(499), "after"]);
}
