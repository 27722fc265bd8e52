//! System calls on what is open.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::*;

pub struct Call {
    pub name: &'static str,
    /// With the descriptor, the size of the file, and a descriptor of an empty file elsewhere.
    make: fn(c_int, i64, c_int) -> i64,
}

impl Call {
    pub fn is_about_holes(&self) -> bool {
        self.name.starts_with("to data") || self.name.starts_with("to a hole")
    }
}

/// What the call gives, and otherwise its errno, below 0; and then where the descriptor stands, where that is not a
/// directory.
pub fn make(call: &Call, path: &Path, elsewhere: &Path) -> (i64, i64) {
    let [path, elsewhere] =
        [path, &elsewhere.join("elsewhere")].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    // SAFETY, here and below: C strings that live longer than the call, descriptors that are open, and buffers of the
    // length that is told.
    let opened = unsafe { open(path.as_ptr(), O_RDONLY) };
    assert!(opened >= 0, "{path:?}: {}", std::io::Error::last_os_error());
    let other = unsafe { open(elsewhere.as_ptr(), O_RDWR | O_CREAT | O_TRUNC, 0o600) };
    let mut about: stat = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { fstat(opened, &mut about) }, 0);
    let is_directory = about.st_mode & S_IFMT == S_IFDIR;
    let result = (call.make)(opened, if is_directory { 10 } else { about.st_size }, other);
    let errno = i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    let stands = if is_directory { 0 } else { unsafe { lseek(opened, 0, SEEK_CUR) } };
    for descriptor in [opened, other] {
        unsafe { close(descriptor) };
    }
    (if result < 0 { -errno } else { result }, stands)
}

/// The first and the last byte of a mapping, where there is one.
fn mapped(descriptor: c_int, size: i64, protection: c_int, sharing: c_int, at: i64) -> i64 {
    let length = (size as usize).max(1);
    // SAFETY: a new mapping, of which only the bytes that the file has are read, and which is unmapped.
    unsafe {
        let address = mmap(std::ptr::null_mut(), length, protection, sharing, descriptor, at);
        if address == MAP_FAILED {
            return -1;
        }
        let bytes: &[u8] = std::slice::from_raw_parts(address.cast(), size as usize);
        let told = bytes.first().map_or(0, |first| i64::from(*first) << 8 | i64::from(bytes[bytes.len() - 1]));
        munmap(address, length);
        told
    }
}

fn locked(descriptor: c_int, kind: c_int, command: c_int) -> i64 {
    // SAFETY: a struct on the stack.
    unsafe {
        let mut lock: flock = std::mem::zeroed();
        lock.l_type = kind as i16;
        i64::from(fcntl(descriptor, command, &mut lock))
    }
}

macro_rules! calls {
    ($($name:literal => |$fd:ident, $size:ident, $other:ident| $body:expr;)*) => {
        &[$(Call { name: $name, make: |$fd, $size, $other| {
            let _ = ($size, $other);
            // SAFETY: as said in `make`.
            #[allow(unused_unsafe)]
            i64::from(unsafe { $body })
        } }),*]
    };
}

fn read_at(descriptor: c_int, length: usize, at: i64) -> i64 {
    let mut buffer = vec![0_u8; length];
    // SAFETY: a buffer of the length that is told.
    unsafe { pread(descriptor, buffer.as_mut_ptr().cast(), length, at) as i64 }
}

pub const CALLS: &[Call] = calls! {
    "read" => |fd, size, other| { let mut it = [0_u8; 4]; read(fd, it.as_mut_ptr().cast(), 4) as i64 };
    "read of nothing" => |fd, size, other| { let mut it = [0_u8; 1]; read(fd, it.as_mut_ptr().cast(), 0) as i64 };
    "pread" => |fd, size, other| read_at(fd, 100, 0);
    "pread at the last byte" => |fd, size, other| read_at(fd, 100, size - 1);
    "pread at the end" => |fd, size, other| read_at(fd, 100, size);
    "pread past the end" => |fd, size, other| read_at(fd, 100, size + 5000);
    "pread far past the end" => |fd, size, other| read_at(fd, 100, i64::MAX - 4096);
    "pread before the start" => |fd, size, other| read_at(fd, 100, -1);
    "preadv" => |fd, size, other| {
        let (mut one, mut two) = ([0_u8; 3], [0_u8; 300]);
        let parts = [
            iovec { iov_base: one.as_mut_ptr().cast(), iov_len: one.len() },
            iovec { iov_base: two.as_mut_ptr().cast(), iov_len: two.len() },
        ];
        preadv(fd, parts.as_ptr(), 2, 1) as i64
    };
    "write" => |fd, size, other| write(fd, c"x".as_ptr().cast(), 1) as i64;
    "pwrite" => |fd, size, other| pwrite(fd, c"x".as_ptr().cast(), 1, 0) as i64;
    "ftruncate" => |fd, size, other| ftruncate(fd, 0);
    "fallocate" => |fd, size, other| fallocate(fd, 0, 0, 10);
    "punch a hole" => |fd, size, other| fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10);
    "fchmod" => |fd, size, other| fchmod(fd, 0o777);
    "fchown" => |fd, size, other| fchown(fd, 1, 1);
    "futimens" => |fd, size, other| futimens(fd, std::ptr::null());
    "fsetxattr" => |fd, size, other| fsetxattr(fd, c"user.x".as_ptr(), c"1".as_ptr().cast(), 1, 0);
    "fremovexattr" => |fd, size, other| fremovexattr(fd, c"user.x".as_ptr());
    "fsync" => |fd, size, other| fsync(fd);
    "fdatasync" => |fd, size, other| fdatasync(fd);
    "syncfs" => |fd, size, other| syncfs(fd);
    "to the end" => |fd, size, other| if size == 10 { lseek(fd, 3, SEEK_SET) } else { lseek(fd, 0, SEEK_END) };
    "before the start" => |fd, size, other| lseek(fd, -1, SEEK_SET);
    "to nowhere" => |fd, size, other| lseek(fd, 0, 99);
    "to data" => |fd, size, other| lseek(fd, 0, SEEK_DATA);
    "to a hole" => |fd, size, other| lseek(fd, 0, SEEK_HOLE);
    "to data at the end" => |fd, size, other| lseek(fd, size, SEEK_DATA);
    "to a hole at the end" => |fd, size, other| lseek(fd, size, SEEK_HOLE);
    "to a hole past the end" => |fd, size, other| lseek(fd, size + 7, SEEK_HOLE);
    "map shared" => |fd, size, other| mapped(fd, size, PROT_READ, MAP_SHARED, 0);
    "map private" => |fd, size, other| mapped(fd, size, PROT_READ, MAP_PRIVATE, 0);
    "map private to write" => |fd, size, other| mapped(fd, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    "map shared to write" => |fd, size, other| mapped(fd, size, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    "map to execute" => |fd, size, other| mapped(fd, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0);
    "map from half a page" => |fd, size, other| mapped(fd, size, PROT_READ, MAP_PRIVATE, 2048);
    "lock shared" => |fd, size, other| flock(fd, LOCK_SH | LOCK_NB);
    "lock alone" => |fd, size, other| flock(fd, LOCK_EX | LOCK_NB);
    "record lock to read" => |fd, size, other| locked(fd, F_RDLCK, F_SETLK);
    "record lock to write" => |fd, size, other| locked(fd, F_WRLCK, F_SETLK);
    "description's lock to read" => |fd, size, other| locked(fd, F_RDLCK, F_OFD_SETLK);
    "who holds a lock" => |fd, size, other| locked(fd, F_RDLCK, F_GETLK);
    "readahead" => |fd, size, other| readahead(fd, 0, 100) as i64;
    "advice" => |fd, size, other| posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    "sendfile" => |fd, size, other| sendfile(other, fd, std::ptr::null_mut(), 100) as i64;
    "sendfile into it" => |fd, size, other| sendfile(fd, other, std::ptr::null_mut(), 100) as i64;
    "copy into it" => |fd, size, other| copy_file_range(other, std::ptr::null_mut(), fd, std::ptr::null_mut(), 100, 0) as i64;
    "splice" => |fd, size, other| {
        let mut pipes = [0; 2];
        pipe(pipes.as_mut_ptr());
        let moved = splice(fd, std::ptr::null_mut(), pipes[1], std::ptr::null_mut(), 100, 0) as i64;
        let errno = *__errno_location();
        close(pipes[0]);
        close(pipes[1]);
        *__errno_location() = errno;
        moved
    };
    "fstatfs" => |fd, size, other| { let mut it: statfs = std::mem::zeroed(); fstatfs(fd, &mut it) };
    "list into too little" => |fd, size, other| { let mut it = [0_u8; 20]; syscall(SYS_getdents64, fd, it.as_mut_ptr(), 20) };
    "the path of a file below it" => |fd, size, other| {
        let opened = openat(fd, c"key".as_ptr(), O_RDONLY);
        if opened >= 0 { close(opened) } else { opened }
    };
    "opened again to read" => |fd, size, other| {
        let path = CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        let opened = open(path.as_ptr(), O_RDONLY);
        if opened >= 0 { close(opened) } else { opened }
    };
    "opened again to write" => |fd, size, other| {
        let path = CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        open(path.as_ptr(), O_RDWR)
    };
};
