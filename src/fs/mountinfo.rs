//! The kernel's table of mounts, as `/proc/self/mountinfo` shows it; proc(5) has the format.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub const TABLE: &str = "/proc/self/mountinfo";

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// `major:minor`: no other file system has it while this one lives, mounted or not.
    pub device: Vec<u8>,
    /// What of it is mounted: `/`, or with a bind mount a directory in it.
    pub root: PathBuf,
    /// Such as `fuse.hushfs`.
    pub kind: Vec<u8>,
    /// The file system is, whatever this mount of it is.
    pub is_read_only: bool,
}

/// What is mounted at a canonical path; where several are stacked, the topmost.
pub fn topmost(mountpoint: &Path) -> io::Result<Option<Mounted>> {
    let table = std::fs::read(TABLE)?;
    let mut lines = table.split(|&byte| byte == b'\n').filter_map(parse);
    Ok(lines.rfind(|(point, _)| point == mountpoint).map(|(_, mounted)| mounted))
}

/// Where whole file systems of a type are mounted.
pub fn of_kind(kind: &[u8]) -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read(TABLE)?;
    let lines = table.split(|&byte| byte == b'\n').filter_map(parse);
    let wanted = lines.filter(|(_, mounted)| mounted.kind == kind && mounted.root == Path::new("/"));
    Ok(wanted.map(|(point, _)| point).collect())
}

/// The mount that a path is in, by its spelling: where, and what. The path is absolute and has no `..`.
pub fn holding(path: &Path) -> io::Result<Option<(PathBuf, Mounted)>> {
    let table = std::fs::read(TABLE)?;
    let lines = table.split(|&byte| byte == b'\n').filter_map(parse);
    // Of several at one place the last covers the others.
    Ok(lines.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.components().count()))
}

/// Where the whole of a file system is mounted, of which a part is mounted elsewhere too.
pub fn whole(device: &[u8]) -> io::Result<Option<PathBuf>> {
    let table = std::fs::read(TABLE)?;
    let mut lines = table.split(|&byte| byte == b'\n').filter_map(parse);
    let is_whole = |mounted: &Mounted| mounted.device == device && mounted.root == Path::new("/");
    Ok(lines.find(|(_, mounted)| is_whole(mounted)).map(|(point, _)| point))
}

/// Is a file system, or a part of it, mounted anywhere?
pub fn is_anywhere(device: &[u8]) -> io::Result<bool> {
    let table = std::fs::read(TABLE)?;
    Ok(table.split(|&byte| byte == b'\n').filter_map(parse).any(|(_, mounted)| mounted.device == device))
}

/// A line of the table: where, and what.
fn parse(line: &[u8]) -> Option<(PathBuf, Mounted)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = fields.nth(2)?.to_vec();
    let root = PathBuf::from(OsStr::from_bytes(&unescape(fields.next()?)));
    let point = PathBuf::from(OsStr::from_bytes(&unescape(fields.next()?)));
    fields.find(|field| *field == b"-")?;
    let kind = fields.next()?.to_vec();
    let options = fields.nth(1).unwrap_or_default();
    let is_read_only = options.split(|&byte| byte == b',').any(|option| option == b"ro");
    Some((point, Mounted { device, root, kind, is_read_only }))
}

/// `\040` and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (byte, code) {
            (b'\\', Some(code)) => {
                plain.push(code);
                rest = &tail[3..];
            }
            _ => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_proc_5_says() {
        let line = b"36 35 0:50 / /mnt/with\\040space rw,noatime shared:1 master:2 - fuse.hushfs hushfs ro,user_id=0";
        let (point, mounted) = parse(line).unwrap();
        assert_eq!(point, Path::new("/mnt/with space"));
        let (device, kind) = (b"0:50".to_vec(), b"fuse.hushfs".to_vec());
        assert_eq!(mounted, Mounted { device, root: "/".into(), kind, is_read_only: true });
        let line = b"36 35 0:50 / /mnt ro,noatime - fuse.hushfs hushfs rw,user_id=0";
        assert!(!parse(line).unwrap().1.is_read_only, "the file system, not the mount");
        assert!(parse(b"").is_none());
        assert!(parse(b"1 2 3").is_none());
    }

    #[test]
    fn odd_escapes_are_left_as_they_are() {
        assert_eq!(unescape(b"a\\"), b"a\\");
        assert_eq!(unescape(b"a\\04"), b"a\\04");
        assert_eq!(unescape(b"a\\134b"), b"a\\b");
        assert_eq!(unescape(b"a\\999"), b"a\\999");
    }
}
