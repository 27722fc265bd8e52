//! Entries in the systemd journal, by its native protocol: one datagram of fields per entry.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with};

use super::put::put;
use super::record::{Event, Outcome, Record};
use super::sink::{Entry, Sink};

pub const SOCKET: &str = "/run/systemd/journal/socket";

/// syslog's LOG_AUTHPRIV.
const FACILITY: &str = "10";

pub struct JournaldSink {
    path: PathBuf,
    connected: Option<OwnedFd>,
}

impl JournaldSink {
    /// Connects before the first entry, and again whenever the journal was restarted.
    pub fn new(path: PathBuf) -> Self {
        Self { path, connected: None }
    }

    fn connection(&mut self) -> io::Result<&OwnedFd> {
        if self.connected.is_none() {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
            connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
            self.connected = Some(socket);
        }
        self.connected.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn send(&mut self, datagram: &[u8], until: Instant) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        put(self.connection()?, datagram, until, |fd, bytes| send(fd, bytes, flags)).map_err(|cut| cut.error)
    }
}

impl Sink for JournaldSink {
    fn name(&self) -> &'static str {
        "journald"
    }

    fn write(&mut self, entry: &Entry<'_>, until: Instant) -> io::Result<()> {
        let datagram = datagram(entry);
        let known = self.connected.is_some();
        let sent = self.send(&datagram, until);
        match sent.as_ref().map_err(io::Error::raw_os_error) {
            Err(Some(code)) if known && is_gone(code) => {
                self.connected = None;
                self.send(&datagram, until)
            }
            _ => sent,
        }
    }

    fn reopen(&mut self) {
        self.connected = None;
    }
}

/// Nobody is at the other end any more.
fn is_gone(code: i32) -> bool {
    [Errno::CONNREFUSED, Errno::CONNRESET, Errno::NOTCONN, Errno::PIPE, Errno::NOENT]
        .iter()
        .any(|errno| errno.raw_os_error() == code)
}

fn datagram(entry: &Entry<'_>) -> Vec<u8> {
    let mut fields = Fields(Vec::with_capacity(2 * entry.line.len() + 512));
    fields.add("MESSAGE", entry.line.strip_suffix(b"\n").unwrap_or(entry.line));
    fields.add("SYSLOG_IDENTIFIER", b"hushfs");
    fields.add("SYSLOG_FACILITY", FACILITY.as_bytes());
    match entry.event {
        Event::Decision(record) => of_record(record, &mut fields),
        Event::Lost(lost) => {
            fields.add("PRIORITY", b"3");
            fields.add("HUSHFS_EVENT", b"lost");
            fields.add("HUSHFS_COUNT", lost.count.to_string().as_bytes());
        }
    }
    fields.0
}

/// What one may want to search by. The whole record is in MESSAGE.
fn of_record(record: &Record, fields: &mut Fields) {
    let priority: &[u8] = if record.outcome == Outcome::Allow { b"6" } else { b"5" };
    fields.add("PRIORITY", priority);
    fields.add("HUSHFS_EVENT", b"decision");
    fields.add("HUSHFS_PATH", record.path.as_bytes());
    fields.add("HUSHFS_ACTION", record.action.name().as_bytes());
    fields.add("HUSHFS_DECISION", record.outcome.name().as_bytes());
    fields.add("HUSHFS_UID", record.uid.to_string().as_bytes());
    fields.add("HUSHFS_GID", record.gid.to_string().as_bytes());
    fields.add("HUSHFS_PID", record.pid.to_string().as_bytes());
    let unknown_left_out = [
        ("HUSHFS_EXE", &record.exe),
        ("HUSHFS_UNIT", &record.unit),
        ("HUSHFS_CONTAINER", &record.container),
        ("HUSHFS_IDENTITY", &record.identity),
        ("HUSHFS_VERSION", &record.version),
    ];
    for (name, value) in unknown_left_out {
        if let Some(value) = value {
            fields.add(name, value.as_bytes());
        }
    }
}

struct Fields(Vec<u8>);

impl Fields {
    /// A value with a line break in it has its length before it, so that none can make up a field.
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::*;
    use crate::access::audit::json;
    use crate::access::audit::test_sinks::record;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn write(sink: &mut JournaldSink, path: &str, until: Instant) -> io::Result<()> {
        let event = Event::Decision(Box::new(record(path)));
        let mut line = json::of(&event);
        line.push(b'\n');
        sink.write(&Entry { event: &event, line: &line }, until)
    }

    fn received(journal: &UnixDatagram) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 18];
        let length = journal.recv(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    /// Splits a datagram as the journal does.
    fn fields(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'=' || *byte == b'\n').unwrap();
            let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let (value, rest) = if bytes[end] == b'=' {
                let value_end = end + 1 + bytes[end + 1..].iter().position(|byte| *byte == b'\n').unwrap();
                (&bytes[end + 1..value_end], &bytes[value_end + 1..])
            } else {
                let start = end + 9;
                let length = u64::from_le_bytes(bytes[end + 1..start].try_into().unwrap()) as usize;
                assert_eq!(bytes[start + length], b'\n');
                (&bytes[start..start + length], &bytes[start + length + 1..])
            };
            fields.push((name, value.to_vec()));
            bytes = rest;
        }
        fields
    }

    #[test]
    fn the_journal_gets_the_line_and_fields_to_search_by() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut sink = JournaldSink::new(path);
        write(&mut sink, "prod/db/PASSWORD", soon()).unwrap();

        let fields = fields(&received(&journal));
        let get = |name: &str| {
            let found: Vec<_> = fields.iter().filter(|(known, _)| known == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            String::from_utf8(found[0].1.clone()).unwrap()
        };
        assert_eq!(get("HUSHFS_PATH"), "prod/db/PASSWORD");
        assert_eq!(get("HUSHFS_DECISION"), "allow");
        assert_eq!(get("SYSLOG_IDENTIFIER"), "hushfs");
        let message: serde_json::Value = serde_json::from_str(&get("MESSAGE")).unwrap();
        assert_eq!(message["path"], "prod/db/PASSWORD");
        assert_eq!(message["age"], 42);
    }

    #[test]
    fn a_name_with_a_line_break_makes_up_no_field() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        write(&mut JournaldSink::new(path), "x\nHUSHFS_UID=0", soon()).unwrap();

        let fields = fields(&received(&journal));
        assert!(fields.contains(&("HUSHFS_PATH".to_owned(), b"x\nHUSHFS_UID=0".to_vec())));
        assert_eq!(fields.iter().filter(|(name, _)| name == "HUSHFS_UID").count(), 1);
    }

    #[test]
    fn a_journal_that_was_restarted_gets_the_next_entry() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut sink = JournaldSink::new(path.clone());
        write(&mut sink, "first", soon()).unwrap();
        drop(journal);
        std::fs::remove_file(&path).unwrap();
        assert!(write(&mut sink, "nobody there", soon()).is_err());
        let journal = UnixDatagram::bind(&path).unwrap();
        write(&mut sink, "second", soon()).unwrap();
        assert!(fields(&received(&journal)).contains(&("HUSHFS_PATH".to_owned(), b"second".to_vec())));
    }

    #[test]
    fn a_journal_that_takes_nothing_holds_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut sink = JournaldSink::new(path);
        let mut taken = 0;
        let error = loop {
            match write(&mut sink, "x", Instant::now() + Duration::from_millis(20)) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        for _ in 0..taken {
            received(&journal);
        }
        write(&mut sink, "there is room again", soon()).unwrap();
        assert!(!received(&journal).is_empty());
    }
}
